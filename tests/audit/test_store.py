"""Queries of the audit log use an index, so a long log costs no more than a short one."""

import pytest
from msgspec.structs import replace
from sqlalchemy import event, text

from prism.audit import store
from prism.audit.model import AuditQuery
from prism.kit.events import Event
from prism.kit.journal import archive, events


class SampleEvent(Event, frozen=True, kw_only=True):
    """An event of the test."""

    event = "ticked"


@pytest.mark.parametrize("by", ["actor", "subject"])
def test_audit_log_filter_by_actor_or_subject_uses_an_index(daemon, by):
    """The query plan of SQLite names the index; `SCAN` would mean that it reads every row."""
    db = daemon.db
    plan_lines: list[str] = []

    def explained(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("SELECT") and "both_logs" in statement:
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plan_lines.extend(row[3] for row in rows)

    with db.write() as tx:
        tx.happened(SampleEvent(actor="ada", subject="ws_1"))
    with db.read() as sql:
        if sql.dialect.name != "sqlite":
            indexed = {(events.name, by), (archive.name, by)}
            rows = sql.execute(text("SELECT tablename, indexdef FROM pg_indexes"))
            assert indexed <= {
                (table, line.rpartition("(")[2].rstrip(")")) for table, line in rows
            }
            return
        event.listen(sql.engine, "before_cursor_execute", explained)
        try:
            store.page(sql, replace(AuditQuery(), **{by: "nobody"}), None, range(1, 2**60))
        finally:
            event.remove(sql.engine, "before_cursor_execute", explained)
    used = [line for line in plan_lines if "events" in line]
    assert len(used) == 2
    assert all(
        f"USING INDEX ix_{table}_{by}" in " ".join(used) for table in (events.name, archive.name)
    )
