"""The audit log over the API."""

import csv
import re
from io import StringIO

from prism.kit import journal
from tests.shapes import failed
from tests.workspaces.test_api import settle

LOG = "/api/v1/audit"


def project(http, name="Reef"):
    return http("POST", "/api/v1/projects", json={"name": name}).json()["id"]


def change(http, id, role, email="bob@x.org"):
    path = f"/api/v1/projects/{id}/members"
    if role == "viewer":
        return http("POST", path, json={"email": email, "role": role})
    return http("PUT", f"{path}/{email}", json={"role": role})


def test_audit_entry_contains_actor_subject_before_and_after(http):
    id = project(http)
    change(http, id, "viewer")
    change(http, id, "admin")
    newest = http("GET", LOG).json()[0]
    assert newest["actor"] == "ada"
    assert (newest["event"], newest["subject"]) == ("member_changed", "Reef")
    assert newest["before"] == {"role": "viewer", "until": None}
    assert newest["after"] == {"role": "admin", "until": None}
    assert newest["data"]["email"] == "bob@x.org"


def test_audit_entry_of_a_project_change_contains_both_values(http):
    id = project(http)
    body = {"description": "new", "budget": {"total_allocated": 5}}
    http("PUT", f"/api/v1/projects/{id}", json=body)
    newest = http("GET", f"{LOG}?event=project_changed").json()[0]
    assert newest["before"] == {"description": "", "cap": None}
    assert newest["after"] == {"description": "new", "cap": 5_000_000, "cap_usd": 5.0}


def test_workspace_events_lists_only_events_of_the_workspace(http, daemon, clock):
    http.launch()
    http.launch("other")
    path = "/api/v1/instances/mine/events"
    id = http("GET", "/api/v1/instances/mine").json()["id"]
    facts = http("GET", path).json()
    assert {fact["subject"] for fact in facts} == {"mine"}
    assert facts == http("GET", f"/api/v1/instances/{id}/events").json()
    assert http("GET", f"{path}?limit=1").json() == facts[:1]
    clock.advance(hours=1)
    http.post("mine", "extend")
    assert http("GET", path).json()[0]["event"] == "instance_extended"
    failed(http("GET", "/api/v1/instances/none/events"), 404, "INSTANCE_NOT_FOUND")
    failed(http("GET", f"{path}?limit=0"), 422, "VALIDATION_FAILED")


def test_workspace_events_excludes_an_earlier_workspace_of_the_same_name(
    http, daemon, cloud, clock
):
    http.launch()
    settle(daemon, clock)
    http.post("mine", "terminate", json={"confirm": "DELETE"})
    settle(daemon, clock)
    clock.advance(hours=1)
    http.launch()
    facts = http("GET", "/api/v1/instances/mine/events").json()
    assert [fact["data"].get("verb") for fact in facts] == ["launch"]


def test_audit_log_filters_by_subject_actor_event_and_time(http, clock):
    id = project(http)
    clock.advance(days=1)
    project(http, "Other")
    assert {entry["subject"] for entry in http("GET", f"{LOG}?subject=Other").json()} == {"Other"}
    assert http("GET", f"{LOG}?actor=eve").json() == []
    created = http("GET", f"{LOG}?event=project_created").json()
    assert [event["subject"] for event in created] == ["Other", "Reef"]
    late = http("GET", f"{LOG}?event=project_created&since=2026-01-02").json()
    assert [event["subject"] for event in late] == ["Other"]
    early = http("GET", f"{LOG}?event=project_created&until=2026-01-02T00:00:00Z").json()
    assert [event["data"]["project"] for event in early] == [id]
    beyond = "since=0001-01-01T00:00:00%2B14:00"  # before the first day of UTC
    for wrong in ("since=yesterday", beyond, "cursor=x", "limit=0", "limit=1001", "format=xml"):
        failed(http("GET", f"{LOG}?{wrong}"), 422, "VALIDATION_FAILED")


def test_audit_log_pages_contain_each_entry_once(http):
    for number in range(7):
        project(http, f"p{number}")
    whole = [entry["id"] for entry in http("GET", LOG).json()]
    path, ids = f"{LOG}?limit=4", []
    while path:
        page = http("GET", path)
        ids += [entry["id"] for entry in page.json()]
        link = re.search(r"<([^>]+)>", page.headers.get("link", ""))
        path = link[1] if link else ""
    assert ids == whole


def test_audit_log_keeps_events_that_were_pruned_from_the_stream(http, daemon, clock):
    project(http)
    before = http("GET", LOG).json()
    clock.advance(days=30)
    with daemon.db.write() as tx:
        assert journal.prune(tx.sql, clock.now())
    with daemon.db.write() as tx:
        journal.prune(tx.sql, clock.now())
    assert daemon.db.events_after(0)[0].event == "resync"
    assert http("GET", LOG).json() == before


def test_audit_csv_contains_no_formula(http):
    project(http, "=1+cmd|'/C calc'!A0")
    answer = http("GET", f"{LOG}?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = [*csv.DictReader(StringIO(answer.text))]
    assert {row["subject"] for row in rows if row["event"] == "project_created"} == {
        "'=1+cmd|'/C calc'!A0"
    }
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@" and cell]


def test_audit_filter_until_a_day_includes_that_day(http, clock):
    """The clock is stopped at 2026-01-01."""
    clock.advance(seconds=23 * 3600)
    assert http("POST", "/api/v1/projects", json={"name": "late"}).status_code == 201
    log = http("GET", f"{LOG}?event=project_created&until=2026-01-01").json()
    assert "late" in {line["subject"] for line in log}
    midnight = http("GET", f"{LOG}?event=project_created&until=2026-01-01T00:00:00Z").json()
    assert "late" not in {event["subject"] for event in midnight}
