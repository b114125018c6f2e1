"""Measurements are kept hour by hour, and advice about money rests on them."""

from datetime import timedelta

import pytest
from sqlalchemy import event, func, select

from prism.idle import store
from prism.workspaces.idleness import Idleness
from tests.money import ClockedDaemon

FIGURES = {"cpu": 12.0, "memory": 0.0, "resident": 25.0, "network": None, "gpu": 0.0}


@pytest.fixture
def lab(make_daemon, clock, cloud):
    cloud.busy = timedelta(0)
    return ClockedDaemon(make_daemon(local_prices="aws"), clock)


@pytest.fixture
def watched(lab, cloud):
    """A workspace of a project, and how to let its machine say something for minutes."""
    lab.project("lab")
    lab.running("mine", project="lab", size="L", idle_profile="standard")
    id = lab.workspace().machine_id

    def says(minutes, daemon=lab.daemon, **said):
        said = {"state": "active", "figures": FIGURES} | said
        for _ in range(minutes):
            lab.clock.advance(minutes=1)
            cloud.finds(id, Idleness(since=lab.clock.now(), until=lab.clock.now(), **said))
            daemon.loop.patrol()

    return says


def analysis(lab):
    return lab.get("projects/lab/cost-analysis")


def rows(lab):
    with lab.daemon.db.read() as sql:
        query = select(store.measurements).order_by(store.measurements.c.hour)
        return sql.execute(query).mappings().all()


def test_advice_needs_a_day_and_says_what_it_rests_on(lab, watched):
    watched(60 * 15, state="idle")
    watched(60 * 8, figures=FIGURES | {"cpu": 100.0})
    watched(50)
    lab.live(hours=10)  # on, and nobody measures: that is no measurement
    found = analysis(lab)
    assert found["optimization_recommendations"] == []
    assert found["hibernation_potential_savings"] is None
    watched(90)
    found = analysis(lab)
    assert found["hibernation_potential_savings"] == 2.49
    sleep, small = found["optimization_recommendations"]
    assert (sleep["type"], sleep["instance"]) == ("hibernation", "mine")
    assert sleep["potential_savings"] == 2.49 == int(100 * 14.98 * 0.1664) / 100
    measured = small["measured"]
    assert measured["hours"] == pytest.approx(25.2, abs=0.2)
    assert measured["idle_hours"] == pytest.approx(15, abs=0.1)
    assert measured["cpu"]["max"] == 100.0
    assert measured["cpu"]["mean"] == pytest.approx((17.2 * 12 + 8 * 100) / 25.2, abs=1)
    assert measured["memory"] == {"hours": measured["cpu"]["hours"], "mean": 25.0, "max": 25.0}
    assert measured["network"] is None
    assert "t3.xlarge to t3.large" in small["recommendation"]


def test_an_hour_is_one_row_and_many_looks_are_one_write(lab, watched):
    writes = []
    listen = ("before_cursor_execute", lambda *it: writes.append(it[2]))
    event.listen(lab.daemon.db.writer, *listen)
    watched(3 * 60)
    event.remove(lab.daemon.db.writer, *listen)
    changed = [it for it in writes if "measurements" in it and not it.startswith("DELETE")]
    assert len([it for it in changed if it.startswith(("INSERT", "UPDATE"))]) <= 3 * 6 + 4
    found = rows(lab)
    assert 3 <= len(found) <= 4
    assert max(it["seconds"] for it in found) == 3600
    assert {it["instance_type"] for it in found} == {"t3.xlarge"}


def test_what_nobody_looked_at_for_minutes_was_not_measured(lab, watched):
    watched(20)
    lab.clock.advance(hours=3)
    watched(40)
    assert sum(it["seconds"] for it in rows(lab)) <= 60 * 60


@pytest.mark.postgres
def test_two_daemons_that_see_the_same_count_it_once(make_daemon, lab, watched, cloud):
    other = make_daemon(local_prices="aws")
    id = lab.workspace().machine_id
    for _ in range(120):
        lab.clock.advance(minutes=1)
        now = lab.clock.now()
        cloud.finds(id, Idleness(state="active", since=now, until=now, figures=FIGURES))
        lab.daemon.loop.patrol()
        other.loop.patrol()
    assert 3600 <= sum(it["seconds"] for it in rows(lab)) <= 120 * 60


def test_another_type_is_measured_anew(lab, watched):
    watched(26 * 60, state="idle")
    assert analysis(lab)["optimization_recommendations"]
    lab.verb("mine", "stop")
    lab.settle()
    answer = lab.verb("mine", "resize", instance_type="t3.large")
    assert answer.status_code == 200, answer.text
    lab.settle()
    assert analysis(lab)["optimization_recommendations"] == []


def test_what_is_older_than_thirty_days_is_forgotten(lab, watched):
    watched(30)
    lab.clock.advance(days=31)
    watched(30)
    with lab.daemon.db.read() as sql:
        oldest = sql.execute(select(func.min(store.measurements.c.hour))).scalar()
    assert oldest * 3600 >= (lab.clock.now() - timedelta(days=30)).timestamp() - 3600
