"""What only SQLite runs in `make test` is planned by PostgreSQL."""

from sqlalchemy import func, select

from prism.workspaces.store import workspaces
from tests.statements import Statements


def test_what_postgresql_refuses_is_named_with_its_test(copy_database):
    statements = Statements()
    statements.ran = {
        "taken": (select(workspaces.c.id), {}, "test_taken"),
        "by SQLite alone": (select(func.group_concat(workspaces.c.id)), {}, "test_refused"),
        "again": (select(workspaces.c.name), {}, "test_again"),
    }
    [refusal] = statements.refused(copy_database("template1", to="planned"))
    assert refusal.startswith("test_refused: ")
    assert "group_concat" in refusal
