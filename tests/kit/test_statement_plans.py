"""PostgreSQL plans the statements that ran only on SQLite in `make test`."""

from sqlalchemy import func, select

from prism.workspaces.store import workspaces
from tests.statements import Statements


def test_statement_refused_by_postgresql_is_reported_with_its_test(copy_database):
    statements = Statements()
    statements.ran = {
        "taken": (select(workspaces.c.id), {}, "test_taken"),
        "by SQLite alone": (select(func.group_concat(workspaces.c.id)), {}, "test_refused"),
        "again": (select(workspaces.c.name), {}, "test_again"),
    }
    [refusal] = statements.refused(copy_database("template1", to="planned"))
    assert refusal.startswith("test_refused: ")
    assert "group_concat" in refusal
