"""Amounts in the audit log, before and after a change, and who sees budget events."""

import pytest

from prism.access.model import Caller, Role
from prism.access.visibility import may_see
from prism.kit.events import sent_event

LOG = "audit?event"


def pool_total(usd):
    """A total in the audit log, with the same amount in dollars."""
    return {"total": usd * 10**6, "total_usd": float(usd)}


def allocation_amount(usd, **more):
    return {"amount": usd * 10**6, "amount_usd": float(usd), **more}


def newest(clocked_daemon, kind):
    entry = clocked_daemon.get(f"{LOG}={kind}")[0]
    return entry["before"], entry["after"]


def test_audit_log_records_pool_fields_before_and_after_a_change(clocked_daemon):
    clocked_daemon.pool("grant", 1000.0, period="monthly")
    before, after = newest(clocked_daemon, "budget_changed")
    assert before is None
    assert (after["name"], after["total"], after["period"]) == ("grant", 10**9, "monthly")
    assert clocked_daemon.put("budgets/grant", total_amount=2000.0).status_code == 200
    assert newest(clocked_daemon, "budget_changed") == (pool_total(1000), pool_total(2000))
    ends = {"end_date": "2027-01-01T00:00:00Z", "alert_threshold": 0.5}
    assert clocked_daemon.put("budgets/grant", **ends).status_code == 200
    was = {"end_date": None, "alert_threshold": 0.8}
    assert newest(clocked_daemon, "budget_changed") == (was, ends)
    assert clocked_daemon.http("DELETE", "/api/v1/budgets/grant").status_code == 200
    before, after = newest(clocked_daemon, "budget_changed")
    assert (before["total"], after) == (2 * 10**9, None)


def test_audit_log_records_project_limits_at_creation_and_change(clocked_daemon):
    clocked_daemon.project("thesis", 100.0, auto_hibernate_threshold=90.0)
    limits = {"alert_threshold": 80.0, "prevent_launch_threshold": 100.0}
    began = {"cap": 10**8, "cap_usd": 100.0, **limits, "auto_hibernate_threshold": 90.0}
    assert newest(clocked_daemon, "project_created") == (None, began)
    assert (
        clocked_daemon.put("projects/thesis", budget={"total_allocated": 50.0}).status_code == 200
    )
    changed = ({"cap": 10**8, "cap_usd": 100.0}, {"cap": 5 * 10**7, "cap_usd": 50.0})
    assert newest(clocked_daemon, "project_changed") == changed
    clocked_daemon.project("free")
    _, began = newest(clocked_daemon, "project_created")
    assert (began["cap"], began["auto_hibernate_threshold"]) == (None, None)


def test_audit_log_records_allocation_fields_before_and_after_a_change(clocked_daemon):
    clocked_daemon.pool("grant", 1000.0)
    clocked_daemon.project("one")
    id = clocked_daemon.allocate("grant", "one", 100.0)["id"]
    whole = allocation_amount(100, alert_threshold=0.8)
    assert newest(clocked_daemon, "allocation_changed") == (None, whole)
    assert clocked_daemon.put(f"allocations/{id}", allocated_amount=200.0).status_code == 200
    assert newest(clocked_daemon, "allocation_changed") == (
        allocation_amount(100),
        allocation_amount(200),
    )
    assert clocked_daemon.put(f"allocations/{id}", alert_threshold=0.5).status_code == 200
    alert = ({"alert_threshold": 0.8}, {"alert_threshold": 0.5})
    assert newest(clocked_daemon, "allocation_changed") == alert
    assert clocked_daemon.http("DELETE", f"/api/v1/allocations/{id}").status_code == 200
    gone = allocation_amount(200, alert_threshold=0.5)
    assert newest(clocked_daemon, "allocation_changed") == (gone, None)


def test_audit_log_records_workspace_expiry_and_price_changes(clocked_daemon):
    clocked_daemon.running("mine", ttl_hours=4)
    assert clocked_daemon.verb("mine", "extend", hours=2).status_code == 204
    before, after = newest(clocked_daemon, "instance_extended")
    ends = ("2026-01-01T04:00:00Z", "2026-01-01T06:00:00Z")
    assert (before["expires_at"], after["expires_at"]) == ends
    rate = clocked_daemon.workspace().hourly_rate
    clocked_daemon.daemon.workspaces.reprice(clocked_daemon.workspace().id, rate + 1, "test")
    was, now = newest(clocked_daemon, "instance_repriced")
    assert (was["hourly"], now["hourly"]) == (rate, rate + 1)
    assert (was["hourly_usd"], now["hourly_usd"]) == (rate / 1e6, (rate + 1) / 1e6)


@pytest.mark.parametrize("scope", ["project", "allocation", "pool"])
def test_threshold_event_is_visible_to_project_owners_unless_it_is_of_a_pool(
    clocked_daemon, scope
):
    mine = clocked_daemon.project(
        "mine", 5.0 if scope == "project" else None, alert_threshold=2.0
    )["id"]
    theirs = clocked_daemon.project("theirs")["id"]
    alerts = {
        name: {"alert_threshold": 0.02 if name == scope else 1.0}
        for name in ("pool", "allocation")
    }
    clocked_daemon.pool("grant", 5.0, **alerts["pool"])
    clocked_daemon.allocate("grant", "mine", 5.0, **alerts["allocation"])
    clocked_daemon.running("shell", project="mine")
    clocked_daemon.live(hours=3)
    events = [
        event
        for event in clocked_daemon.events("budget_threshold_exceeded")
        if event.data["scope"] == scope
    ]
    assert len(events) == 1
    sent = sent_event(events[0], "evt_1").data
    assert (sent["cap_usd"], sent["settled_usd"]) == (5.0, sent["settled"] / 1e6)
    hears = {
        project
        for project in (mine, theirs)
        if may_see(Caller(name="o", roles={project: Role.OWNER}), events[0], lambda _: None)
    }
    assert hears == (set() if scope == "pool" else {mine})
