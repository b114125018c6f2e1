"""`prism orphans` and `prism recover`."""

import json

import pytest

from prism.recovery.model import Orphan, RecoveredWorkspace, StorageOrphan, SurveyedLocation
from tests.client.filled import filled

PLACE = filled(SurveyedLocation, place="local:x", looked_at="2026-01-01T00:00:00Z", problem=None)
ORPHAN = filled(
    Orphan,
    id="i-0123456789abcdef0",
    name="mine",
    place="aws:1:us-east-1",
    state="running",
    owner="ada",
    instance_type="t3.medium",
    age_seconds=7200,
    hourly_rate=0.0416,
    cost_so_far=0.08,
)
TAKEN = filled(
    RecoveredWorkspace,
    name="mine",
    instance_id="i-0123456789abcdef0",
    state="running",
    owner="ada",
    place="local:x",
    notes=["it has the present version of its template"],
)


def script_orphans(server, *orphans, places=(PLACE,)):
    report = {"orphans": list(orphans), "places": list(places)}
    server.on("GET /orphans", report)
    return report


def test_orphans_prints_a_table_with_age_and_cost(prism, server):
    report = script_orphans(server, ORPHAN)
    head, row = prism("orphans").stdout.splitlines()
    assert " ".join(head.split()) == "ID NAME STATE TYPE AGE USD/HOUR SO FAR OWNER PLACE"
    for word in ("i-0123456789abcdef0", "mine", "2h 0m", "$0.0416", "$0.08", "ada"):
        assert word in row
    assert json.loads(prism("orphans", "--json").stdout) == report


def test_orphans_lists_a_second_snapshot_with_price_and_removal_command(prism, server):
    command = "aws ec2 delete-snapshot --region us-east-1 --snapshot-id snap-2"
    second = filled(
        StorageOrphan,
        id="snap-2",
        name="copy",
        kind="snapshot",
        size_gb=10,
        monthly_cost=0.5,
        age_seconds=60,
        owner="ada",
        removed_by=command,
    )
    report = {"orphans": [], "storage": [second], "places": [PLACE]}
    server.on("GET /orphans", report)
    done = prism("orphans")
    [row] = [line for line in done.stdout.splitlines() if line.startswith("snap-2")]
    assert ("snapshot" in row, "$0.50" in row) == (True, True)
    note = " ".join(done.stderr.split())
    assert f"snap-2 has the tags of another snapshot; to remove it: `{command}`" in note
    assert json.loads(prism("orphans", "--json").stdout)["storage"][0]["removed_by"] == command


def test_orphans_reports_an_empty_list_and_unreachable_locations(prism, server):
    script_orphans(server)
    assert "has a workspace" in prism("orphans").stderr
    script_orphans(server, places=[{**PLACE, "problem": "no credentials"}])
    assert "local:x did not answer: no credentials" in prism("orphans").stderr


def test_recover_reports_recovered_and_skipped_workspaces(prism, server):
    script_orphans(server)
    left = {"id": "i-1", "name": "hers", "why": "eve launched it"}
    report = {"dry_run": False, "recovered": [TAKEN], "left": [left], "places": [PLACE]}
    server.on("POST /recover", report)
    done = prism("recover", "--everybody")
    assert done.stdout == "mine is a workspace again (running, i-0123456789abcdef0)\n"
    assert "note: it has the present version of its template" in done.stderr
    assert "left alone: hers: eve launched it" in done.stderr
    assert server.asked_for("POST /recover")[0].body == {
        "dry_run": False,
        "everybody": True,
        "accept": False,
        "adopt_home": None,
    }
    assert json.loads(prism("recover", "--json").stdout) == report


def test_recover_suggests_to_repeat_if_a_location_did_not_answer(prism, server):
    script_orphans(server)
    silent = {**PLACE, "problem": "no credentials"}
    report = {"dry_run": False, "recovered": [TAKEN], "left": [], "places": [silent]}
    server.on("POST /recover", report)
    assert "When it does: `prism recover`" in prism("recover").stderr
    server.on("POST /recover", report | {"places": [PLACE]})
    assert "When it does" not in prism("recover").stderr


def test_recover_dry_run_is_phrased_as_conditional(prism, server):
    script_orphans(server)
    report = {"dry_run": True, "recovered": [TAKEN], "left": [], "places": [PLACE]}
    server.on("POST /recover", report)
    assert "mine would be a workspace again" in prism("recover", "--dry-run").stdout
    assert server.asked_for("POST /recover")[0].body == {
        "dry_run": True,
        "everybody": False,
        "accept": False,
        "adopt_home": None,
    }


def test_orphans_adopt_prints_the_workspace_and_its_notes(prism, server):
    server.on("POST /orphans/i-1/adopt", TAKEN)
    done = prism("orphans", "adopt", "i-1")
    assert done.stdout == "mine is running\n"
    assert "note: it has the present version" in done.stderr


def test_orphans_terminate_requires_yes(prism, server):
    server.on("POST /orphans/i-1/terminate", {**TAKEN, "state": "terminating"})
    refused = prism("orphans", "terminate", "i-1")
    assert refused.returncode != 0
    assert "prism orphans terminate i-1 --yes" in refused.stderr
    assert prism("orphans", "terminate", "i-1", "--yes").stdout == "mine is terminating\n"
    assert server.asked_for("POST /orphans/i-1/terminate")[0].body == {"confirm": "DELETE"}


@pytest.mark.parametrize("action", ["adopt", "terminate"])
def test_orphans_adopt_and_terminate_require_an_id(prism, action):
    done = prism("orphans", action)
    assert done.returncode == 2
    assert "required: ID" in done.stderr
