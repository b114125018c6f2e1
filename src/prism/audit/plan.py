"""Turns events into entries of the audit log: pure functions."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from prism.audit.model import AuditEntry
from prism.kit.events import RecordedEvent, sent_event
from prism.kit.spreadsheet import csv_of

PREVIOUS = "previous_"
OLD = {  # the field that `previous` belongs to, in older events
    "allocation_changed": "amount",
    "instance_extended": "expires_at",
    "instance_repriced": "hourly",
}
HEADS = ("id", "at", "actor", "event", "subject", "before", "after", "data")


def entry(recorded: RecordedEvent, id: str) -> AuditEntry:
    """An event as an entry: `previous_x` and `x` are the values before and after."""
    sent = sent_event(recorded, id)
    before, after = changed(sent.data, OLD.get(sent.event))
    return AuditEntry(**structs.asdict(sent), before=before, after=after)


def changed(
    data: dict[str, Any], old: str | None = None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The values before and after; `old` is the field that a plain `previous` belongs to."""
    if old is not None and "previous" in data:
        data = {**data, PREVIOUS + old: data["previous"]}
    before, after = data.get("before"), data.get("after")
    if isinstance(before, dict) or isinstance(after, dict):
        return before, after
    names = [name.removeprefix(PREVIOUS) for name in data if name.startswith(PREVIOUS)]
    if not names:
        return None, None
    now = {name: data[name] for name in names if name in data}
    return {name: data[PREVIOUS + name] for name in names}, now or None


def table(entries: Sequence[AuditEntry]) -> str:
    """The entries as CSV, in which no cell is a formula for a spreadsheet."""
    rows = ([_cell(getattr(audit_entry, name)) for name in HEADS] for audit_entry in entries)
    return csv_of(HEADS, rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
