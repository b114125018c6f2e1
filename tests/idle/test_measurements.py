"""Measurements are kept per hour, and recommendations depend on them."""

from datetime import timedelta

import pytest
from sqlalchemy import event, func, select

from prism.idle import store
from prism.workspaces.idleness import Idleness
from tests.money import ClockedDaemon

FIGURES = {"cpu": 12.0, "memory": 0.0, "resident": 25.0, "network": None, "gpu": 0.0}


@pytest.fixture
def clocked_daemon(make_daemon, clock, cloud):
    cloud.busy = timedelta(0)
    return ClockedDaemon(make_daemon(local_prices="aws"), clock)


@pytest.fixture
def watched_workspace(clocked_daemon, cloud):
    """A workspace of a project, and a function that lets its machine report for minutes."""
    clocked_daemon.project("lab")
    clocked_daemon.running("mine", project="lab", size="L", idle_profile="standard")
    id = clocked_daemon.workspace().machine_id

    def report(minutes, every=1, **fields):
        fields = {"state": "active", "figures": FIGURES} | fields
        for _ in range(0, minutes, every):
            clocked_daemon.clock.advance(minutes=every)
            cloud.report_idleness(
                id,
                Idleness(
                    since=clocked_daemon.clock.now(), until=clocked_daemon.clock.now(), **fields
                ),
            )
            clocked_daemon.daemon.loop.mark_due()

    return report


def analysis(clocked_daemon):
    return clocked_daemon.get("projects/lab/cost-analysis")


def rows(clocked_daemon):
    with clocked_daemon.daemon.db.read() as sql:
        query = select(store.measurements).order_by(store.measurements.c.hour)
        return sql.execute(query).mappings().all()


def test_recommendations_need_a_day_of_measurements_and_list_them(
    clocked_daemon, watched_workspace
):
    watched_workspace(60 * 15, every=4, state="idle")
    watched_workspace(60 * 8, every=4, figures=FIGURES | {"cpu": 100.0})
    watched_workspace(52, every=4)
    clocked_daemon.live(hours=10)  # on, but without measurements
    advice = analysis(clocked_daemon)
    assert advice["optimization_recommendations"] == []
    assert advice["hibernation_potential_savings"] is None
    watched_workspace(88, every=4)
    advice = analysis(clocked_daemon)
    assert advice["hibernation_potential_savings"] == 2.48
    sleep, small = advice["optimization_recommendations"]
    assert (sleep["type"], sleep["instance"]) == ("hibernation", "mine")
    assert sleep["potential_savings"] == 2.48 == int(100 * 14.93 * 0.1664) / 100
    measured = small["measured"]
    assert measured["hours"] == pytest.approx(25.2, abs=0.2)
    assert measured["idle_hours"] == pytest.approx(15, abs=0.1)
    assert measured["cpu"]["max"] == 100.0
    assert measured["cpu"]["mean"] == pytest.approx((17.2 * 12 + 8 * 100) / 25.2, abs=1)
    assert measured["memory"] == {"hours": measured["cpu"]["hours"], "mean": 25.0, "max": 25.0}
    assert measured["network"] is None
    assert "t3.xlarge to t3.large" in small["recommendation"]


def test_measurements_are_one_row_per_hour_and_few_writes(clocked_daemon, watched_workspace):
    writes = []
    listen = ("before_cursor_execute", lambda *it: writes.append(it[2]))
    event.listen(clocked_daemon.daemon.db.writer, *listen)
    watched_workspace(3 * 60)
    event.remove(clocked_daemon.daemon.db.writer, *listen)
    changed = [
        write for write in writes if "measurements" in write and not write.startswith("DELETE")
    ]
    assert len([text for text in changed if text.startswith(("INSERT", "UPDATE"))]) <= 3 * 6 + 4
    measurements = rows(clocked_daemon)
    assert 3 <= len(measurements) <= 4
    assert max(measurement["seconds"] for measurement in measurements) == 3600
    assert {measurement["instance_type"] for measurement in measurements} == {"t3.xlarge"}


def test_time_without_observation_is_not_measured(clocked_daemon, watched_workspace):
    watched_workspace(20)
    clocked_daemon.clock.advance(hours=3)
    watched_workspace(40)
    assert sum(row["seconds"] for row in rows(clocked_daemon)) <= 60 * 60


def test_measurements_of_two_daemons_are_counted_once(
    make_daemon, clocked_daemon, watched_workspace, cloud
):
    other = make_daemon(local_prices="aws")
    id = clocked_daemon.workspace().machine_id
    for _ in range(120):
        clocked_daemon.clock.advance(minutes=1)
        now = clocked_daemon.clock.now()
        cloud.report_idleness(id, Idleness(state="active", since=now, until=now, figures=FIGURES))
        clocked_daemon.daemon.loop.mark_due()
        other.loop.mark_due()
    assert 3600 <= sum(row["seconds"] for row in rows(clocked_daemon)) <= 120 * 60


def test_measurements_are_written_later_after_a_failed_write(
    clocked_daemon, watched_workspace, monkeypatch
):
    recorder, db = clocked_daemon.daemon.measurements, clocked_daemon.daemon.db
    recorder.write()
    watched_workspace(5)
    with monkeypatch.context() as broken:
        broken.setattr(db, "write", lambda: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            recorder.write()
    watched_workspace(4)
    recorder.write()
    assert sum(row["seconds"] for row in rows(clocked_daemon)) == 8 * 60


def test_resize_starts_new_measurements(clocked_daemon, watched_workspace):
    watched_workspace(26 * 60, every=4, state="idle")
    assert analysis(clocked_daemon)["optimization_recommendations"]
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    answer = clocked_daemon.verb("mine", "resize", instance_type="t3.large")
    assert answer.status_code == 200, answer.text
    clocked_daemon.settle()
    assert analysis(clocked_daemon)["optimization_recommendations"] == []


def test_measurements_older_than_thirty_days_are_deleted(clocked_daemon, watched_workspace):
    watched_workspace(30)
    clocked_daemon.clock.advance(days=31)
    watched_workspace(30)
    with clocked_daemon.daemon.db.read() as sql:
        oldest = sql.execute(select(func.min(store.measurements.c.hour))).scalar()
    assert oldest * 3600 >= (clocked_daemon.clock.now() - timedelta(days=30)).timestamp() - 3600
