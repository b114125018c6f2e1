"""The activity of a workspace in the last 24 hours, and the reasons of each verdict."""

from datetime import datetime, timedelta

import pytest

from prism.idle.activity import steps_between
from prism.idle.model import STEP_SECONDS
from prism.workspaces.idleness import IdleAct, Idleness
from tests.money import ClockedDaemon

FIGURES = {"cpu": 12.0, "memory": 0.0, "resident": 25.0, "network": None, "gpu": 0.0}
BUSY = {"state": "active", "because": ("CPU: 80.0 % of a core, above 5",)}
QUIET = {"state": "idle", "because": ("nothing is going on",)}


@pytest.fixture
def clocked_daemon(make_daemon, clock, cloud):
    cloud.busy = timedelta(0)
    return ClockedDaemon(make_daemon(local_prices="aws"), clock)


@pytest.fixture
def report_samples(clocked_daemon, cloud):
    """Lets the machine of a running workspace report samples, one per minute."""
    clocked_daemon.project("lab")
    clocked_daemon.running("mine", project="lab", size="L", idle_profile="standard")
    id = clocked_daemon.workspace().machine_id
    past = int(clocked_daemon.clock.now().timestamp()) % STEP_SECONDS
    clocked_daemon.clock.advance(seconds=STEP_SECONDS - past)

    def report(minutes, *daemons, **fields):
        fields = {"figures": FIGURES} | fields
        for _ in range(minutes):
            clocked_daemon.clock.advance(minutes=1)
            now = clocked_daemon.clock.now()
            cloud.report_idleness(id, Idleness(since=now, until=now, **fields))
            for daemon in daemons or (clocked_daemon.daemon,):
                daemon.loop.mark_due()

    report(1, **QUIET)  # what counts is the time between two looks
    return report


def activity(clocked_daemon, name="mine"):
    return clocked_daemon.get(f"idle/instances/{name}/activity")


def verdicts(clocked_daemon):
    return [point["verdict"] for point in activity(clocked_daemon)["points"]]


def test_activity_point_has_the_longest_verdict_of_its_step_and_its_reasons(
    clocked_daemon, report_samples
):
    report_samples(9, **QUIET)
    report_samples(6, **BUSY)
    report_samples(4, **QUIET)
    answer = activity(clocked_daemon)
    first, second = answer["points"]
    assert (first["verdict"], first["idle_seconds"]) == ("idle", 540)
    assert first["because"] == ["nothing is going on"]
    assert (second["verdict"], second["because"]) == ("active", [*BUSY["because"]])
    assert (second["active_seconds"], second["idle_seconds"]) == (360, 240)
    assert second["figures"] == {
        "cpu": 12.0,
        "memory": 25.0,
        "network": None,
        "disk": None,
        "gpu": 0.0,
    }
    assert datetime.fromisoformat(second["at"]) - datetime.fromisoformat(first["at"]) == (
        timedelta(seconds=answer["step_seconds"])
    )
    assert {figure["name"]: figure["limit"] for figure in answer["figures"]} == {
        "cpu": 5.0,
        "memory": None,
        "network": 512.0,
        "disk": 1024.0,
        "gpu": 5.0,
    }


def test_activity_survives_a_daemon_restart_and_is_counted_once(
    make_daemon, clocked_daemon, report_samples
):
    report_samples(29, **BUSY)
    before = activity(clocked_daemon)["points"]
    clocked_daemon.daemon.activity.write()
    assert activity(clocked_daemon)["points"] == before
    clocked_daemon.daemon.activity.write()
    clocked_daemon.daemon = make_daemon(local_prices="aws")
    assert activity(clocked_daemon)["points"] == before
    assert sum(point["active_seconds"] for point in before) == 29 * 60


@pytest.mark.postgres
def test_activity_seen_by_two_daemons_is_counted_once(make_daemon, clocked_daemon, report_samples):
    other = make_daemon(local_prices="aws")
    report_samples(60, clocked_daemon.daemon, other, **BUSY)
    clocked_daemon.daemon.activity.write()
    other.activity.write()
    points = activity(clocked_daemon)["points"]
    assert all(point["active_seconds"] + point["idle_seconds"] <= STEP_SECONDS for point in points)
    assert sum(point["active_seconds"] for point in points) >= 50 * 60


def test_activity_is_written_later_after_a_failed_write(
    clocked_daemon, report_samples, monkeypatch
):
    recorder, db = clocked_daemon.daemon.activity, clocked_daemon.daemon.db
    recorder.write()
    report_samples(5, **BUSY)
    with monkeypatch.context() as broken:
        broken.setattr(db, "write", lambda: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            recorder.write()
    report_samples(4, **BUSY)
    before = activity(clocked_daemon)["points"]
    recorder.write()
    assert activity(clocked_daemon)["points"] == before
    assert sum(point["active_seconds"] for point in before) == 9 * 60


def test_activity_has_no_point_for_a_time_without_observation(clocked_daemon, report_samples):
    report_samples(9, **QUIET)
    clocked_daemon.clock.advance(hours=2)
    report_samples(12, **BUSY)
    assert verdicts(clocked_daemon) == ["idle", "active", "active"]


def test_activity_older_than_a_day_is_deleted(clocked_daemon, report_samples):
    report_samples(29, **BUSY)
    clocked_daemon.clock.advance(hours=24, minutes=11)
    report_samples(10, **QUIET)
    assert set(verdicts(clocked_daemon)) == {"idle"}
    clocked_daemon.clock.advance(hours=26)
    assert verdicts(clocked_daemon) == []


def test_unknown_is_a_verdict_in_the_activity(clocked_daemon, report_samples):
    report_samples(
        12, state="unknown", because=("Jupyter does not answer",), figures={"cpu": None}
    )
    point = activity(clocked_daemon)["points"][0]
    assert point["verdict"] == "unknown"
    assert point["because"] == ["Jupyter does not answer"]
    assert point["figures"]["cpu"] is None


def test_reasons_of_a_machine_are_limited_in_number_and_length(clocked_daemon, report_samples):
    report_samples(12, state="active", because=tuple(f"{n}" + "x" * 10_000 for n in range(1000)))
    point = activity(clocked_daemon)["points"][1]
    assert len(point["because"]) == 5
    assert all(len(reason) == 200 for reason in point["because"])


def test_activity_lists_the_idle_action(clocked_daemon, report_samples, cloud):
    report_samples(9, **QUIET)
    at = clocked_daemon.clock.now()
    act = IdleAct(at=at, action="hibernate", seconds=1800, profile="standard")
    cloud.report_idleness(
        clocked_daemon.workspace().machine_id, Idleness(state="idle", until=at, acted=act)
    )
    clocked_daemon.daemon.loop.mark_due()
    [acted] = activity(clocked_daemon)["acted"]
    assert (acted["action"], acted["profile"]) == ("hibernate", "standard")


def test_activity_of_a_missing_workspace_answers_404(clocked_daemon):
    answer = clocked_daemon.http("GET", "/api/v1/idle/instances/nobody/activity")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "INSTANCE_NOT_FOUND")


def test_period_is_split_at_the_steps():
    assert [*steps_between(590, 1210)] == [(0, 590, 600), (1, 600, 1200), (2, 1200, 1210)]
    assert [*steps_between(600, 600)] == []
