"""Data that the budgets of many projects share is read once."""

from sqlalchemy import Engine, event

from prism.projects import store as projects


def test_project_budgets_are_read_without_a_pool_query_per_project(clocked_daemon):
    for name in ("one", "two"):
        clocked_daemon.project(name)
        clocked_daemon.pool(f"grant-{name}", 10.0)
        clocked_daemon.allocate(f"grant-{name}", name, 5.0)
    statements: list[str] = []

    def record_statement(_connection, _cursor, statement, *_):
        statements.append(statement)

    with clocked_daemon.daemon.db.read() as sql:
        reader, listed = clocked_daemon.daemon.budget_cache.of(sql).reader, projects.every(sql)
        event.listen(Engine, "before_cursor_execute", record_statement)
        try:
            assert [reader.of(project).left for project in listed] == [5_000_000, 5_000_000]
        finally:
            event.remove(Engine, "before_cursor_execute", record_statement)
    assert not [statement for statement in statements if "FROM pools" in statement]
