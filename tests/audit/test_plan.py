"""The values before and after a change, from events in the present and in an older format."""

import pytest

from prism.audit.plan import entry
from prism.kit.events import RecordedEvent


def read(clock, event, **data):
    audit_entry = entry(RecordedEvent(1, event, clock.now(), "ada", "x", data), "evt_1")
    return audit_entry.before, audit_entry.after


@pytest.mark.parametrize(
    ("event", "name", "was", "now"),
    [
        ("allocation_changed", "amount", 100, 200),
        ("allocation_changed", "amount", None, 200),
        ("instance_extended", "expires_at", None, "2026-01-01T06:00:00Z"),
        ("instance_repriced", "hourly", 1000, None),
    ],
)
def test_entry_reads_the_previous_value_of_older_events(clock, event, name, was, now):
    data = {"workspace": "ws_1", "previous": was, name: now}
    assert read(clock, event, **data) == ({name: was}, {name: now})


def test_entry_contains_only_values_that_changed(clock):
    pairs = {"previous_role": "viewer", "role": "admin", "email": "a@x.org"}
    assert read(clock, "member_changed", **pairs) == ({"role": "viewer"}, {"role": "admin"})
    assert read(clock, "member_joined", role="viewer") == (None, None)
    creation = {"before": None, "after": {"total": 5}}
    assert read(clock, "budget_changed", **creation) == (None, {"total": 5, "total_usd": 0.000005})
    assert read(clock, "x", previous=1) == (None, None), "the event does not name the field"
