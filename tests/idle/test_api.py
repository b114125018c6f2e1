"""Idleness over HTTP: profiles, the rules sent to machines, actions and their reasons."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from prism.errors import Unavailable
from prism.idle import store
from prism.idle.reconciler import IdleReconciler
from prism.kit import journal
from prism.kit.reconcile import NEVER_DUE
from prism.workspaces.events import WorkspaceProgressed, about
from prism.workspaces.idleness import IdleAct, Idleness, IdleRule
from prism.workspaces.model import LaunchRequest, Observed, WorkspaceState
from tests.conftest import ML
from tests.rows import every_workspace
from tests.shapes import EXAMPLES, failed, shaped_like

OWN = EXAMPLES["POST idle/profiles"]["request"]
START = datetime(2026, 1, 1, tzinfo=UTC)


def profiles(http):
    return {entry["name"]: entry for entry in http("GET", "/api/v1/idle/profiles").json()}


def create(http, **fields):
    return http("POST", "/api/v1/idle/profiles", json={**OWN, **fields})


def configure(http, name="mine", **body):
    return http("POST", f"/api/v1/idle/instances/{name}/configure", json=body)


def keep_awake(http, minutes, name="mine"):
    return http("POST", f"/api/v1/idle/instances/{name}/keep-awake", json={"minutes": minutes})


def why(http, name="mine"):
    return http("GET", f"/api/v1/idle/instances/{name}").json()


def history(http, **query):
    response = http("GET", "/api/v1/idle/history", params=query)
    return shaped_like("GET idle/history", response)


def idle_of(http):
    return http("GET", "/api/v1/instances/mine").json()["idle"]


@pytest.fixture
def running_workspace(http, daemon, cloud):
    """A workspace that runs, and its machine's id."""

    def launched(**more):
        assert http.launch(**more).status_code == 201
        daemon.settle()
        [machine] = cloud.survey()
        assert machine.observed is Observed.ON
        return machine.id

    return launched


def test_built_in_idle_profiles_equal_the_examples_of_the_reference(http):
    listed = profiles(http)
    for example in EXAMPLES["GET idle/profiles"]["response"]:
        assert listed[example["name"]] == example
    assert {"batch", "gpu", "standard"} == set(listed)


def test_created_idle_profile_is_listed(http):
    response = create(http)
    assert (response.status_code, response.json()) == (201, OWN)
    assert profiles(http)[OWN["name"]] == OWN


def test_idle_profile_needs_no_threshold(http):
    little = {"name": "little", "idle_threshold_minutes": 1, "action": "stop"}
    response = http("POST", "/api/v1/idle/profiles", json=little)
    assert response.json() == {**little, "description": ""}


@pytest.mark.parametrize("name", ["batch", "standard", OWN["name"]])
def test_idle_profile_with_a_used_name_is_refused(http, name):
    create(http)
    failed(create(http, name=name), 409, "ALREADY_EXISTS")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a/b"},
        {"idle_threshold_minutes": 0},
        {"idle_threshold_minutes": 10081},
        {"idle_threshold_minutes": "10"},
        {"action": "terminate"},
        {"cpu_threshold": 101.0},
        {"cpu_threshold": -1.0},
        {"network_threshold": -1},
        {"surprise": 1},
    ],
    ids=str,
)
def test_invalid_idle_profile_is_refused(http, wrong):
    failed(create(http, **wrong), 422, "VALIDATION_FAILED")
    assert len(profiles(http)) == 3


def test_idle_profile_is_deleted_unless_it_is_in_use_or_built_in(http, running_workspace):
    create(http)
    running_workspace(idle_profile=OWN["name"])
    path = f"/api/v1/idle/profiles/{OWN['name']}"
    failed(http("DELETE", path), 409, "IN_USE")
    configure(http, profile="batch")
    assert http("DELETE", path).status_code == 200
    failed(http("DELETE", path), 404, "IDLE_PROFILE_NOT_FOUND")
    failed(http("DELETE", "/api/v1/idle/profiles/gpu"), 409, "IN_USE")


def test_launch_with_a_missing_idle_profile_is_refused(http):
    create(http)
    assert http.launch("a", idle_profile=OWN["name"]).status_code == 201
    fault = failed(http.launch("b", idle_profile="none"), 404, "IDLE_PROFILE_NOT_FOUND")
    assert OWN["name"] in fault["details"]


def test_idle_rule_is_sent_to_the_machine_once_after_the_launch(http, running_workspace, cloud):
    id = running_workspace(idle_profile="batch")
    limits = {"cpu": 5.0, "memory": 10.0, "network": 1024.0, "gpu": 5.0}
    rule = IdleRule(profile="batch", minutes=60, action="hibernate", limits=limits)
    assert cloud.rule(id) == rule
    assert cloud.calls.count(f"watch {id}") == 1, "sent once"


@pytest.mark.parametrize("profile", ["batch", None])
def test_idle_rule_in_the_machine_order_is_not_sent_again(
    http, daemon, running_workspace, cloud, monkeypatch, profile
):
    cloud.has_rule, claims = True, []
    tell = IdleReconciler.reconcile

    def recorded(self, claim, view):
        claims.append(claim)
        return tell(self, claim, view)

    monkeypatch.setattr(IdleReconciler, "reconcile", recorded)
    id = running_workspace(**({"idle_profile": profile} if profile else {}))
    assert cloud.rule(id).profile == (profile or "standard")
    http("POST", "/api/v1/instances/mine/stop")
    daemon.settle()
    http("POST", "/api/v1/instances/mine/start")
    daemon.settle()
    assert f"watch {id}" not in cloud.calls
    assert claims == []
    configure(http, profile="gpu")
    daemon.settle()
    assert cloud.rule(id).profile == "gpu"


def test_idle_rule_changed_during_the_launch_is_sent(http, daemon, cloud, monkeypatch):
    cloud.has_rule, launch = True, cloud.launch

    def configured_meanwhile(order):
        assert configure(http, profile="gpu").status_code == 200
        return launch(order)

    monkeypatch.setattr(cloud, "launch", configured_meanwhile)
    assert http.launch(idle_profile="batch").status_code == 201
    daemon.settle()
    [machine] = cloud.survey()
    assert cloud.rule(machine.id).profile == "gpu"


def test_idle_rule_is_sent_if_the_launch_was_not_answered(daemon, running_workspace, cloud, clock):
    cloud.has_rule, cloud.faults.lose_replies = True, 1
    id = running_workspace(idle_profile="batch")
    clock.advance(seconds=10)
    daemon.settle()
    assert f"watch {id}" in cloud.calls


def test_workspace_without_idle_profile_gets_no_rule_and_no_verdict(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace()
    with daemon.db.write() as tx:  # as if its template named no profile
        [workspace] = every_workspace(daemon.db)
        store.change_watch(tx, workspace.id, clock.now(), profile=None)
        tx.sql.exec_driver_sql("UPDATE workspaces SET idle_profile = NULL")
        tx.happened(
            WorkspaceProgressed(
                actor="t",
                **about(workspace),
                state=WorkspaceState.RUNNING,
                stage=None,
                progress=100,
            )
        )
    daemon.settle()
    assert cloud.rule(id) is None
    report_idleness(daemon, cloud, id)
    explanation = why(http)
    assert (explanation["profile"], explanation["verdict"], explanation["measured"]) == (
        None,
        None,
        [],
    )
    nothing = {"profile": None, "idle_minutes": None, "verdict": None}
    assert idle_of(http).items() >= nothing.items()


def test_configure_answers_the_new_idle_settings_and_updates_the_machine(
    http, daemon, running_workspace, cloud
):
    id = running_workspace(idle_profile="batch")
    answer = configure(http, profile="gpu", custom_threshold_minutes=20)
    holds = {"profile": "gpu", "enabled": True, "idle_threshold_minutes": 20, "action": "stop"}
    assert answer.status_code == 200
    assert answer.json() == {"instance_name": "mine", **holds, "notes": []}
    assert idle_of(http)["profile"] == "gpu"
    daemon.settle()
    limits = {"cpu": 10.0, "gpu": 10.0}
    assert cloud.rule(id) == IdleRule(profile="gpu", minutes=20, action="stop", limits=limits)


def test_configure_request_of_the_reference_is_accepted(http, running_workspace):
    running_workspace()
    body = EXAMPLES["POST idle/instances/{name}/configure"]["request"]
    assert configure(http, **body).json()["idle_threshold_minutes"] == 20


def test_idle_rule_is_sent_again_after_the_provider_was_unavailable(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace()
    cloud.faults.down = True
    assert configure(http, profile="gpu").status_code == 200
    daemon.settle()
    assert cloud.rule(id).profile == "standard"
    cloud.faults.down = False
    clock.advance(minutes=10)
    daemon.settle()
    assert cloud.rule(id).profile == "gpu"


def test_idle_rule_reverted_before_an_answer_is_sent_again(
    http, daemon, running_workspace, cloud, clock, monkeypatch
):
    id, tell = running_workspace(), cloud.watch

    def unanswered(id, rule):
        tell(id, rule)
        raise Unavailable("No answer")

    before = cloud.rule(id)
    with monkeypatch.context() as patched:
        patched.setattr(cloud, "watch", unanswered)
        keep_awake(http, 60)
        configure(http, profile="gpu")
        daemon.settle()
        assert cloud.rule(id).profile == "gpu"
    keep_awake(http, 0)
    configure(http, profile="standard")
    clock.advance(minutes=10)
    daemon.settle()
    assert cloud.rule(id) == before


def test_idle_rule_is_sent_as_soon_as_a_slow_machine_is_on(
    http, daemon, cloud, clock, monkeypatch
):
    tell, refused = cloud.watch, []

    def only_when_on(id, rule):
        if cloud.machine(id).observed is not Observed.ON:
            refused.append(id)
            raise Unavailable("Nobody comes in")
        tell(id, rule)

    monkeypatch.setattr(cloud, "watch", only_when_on)
    cloud.faults.slow = timedelta(minutes=6)
    assert http.launch().status_code == 201
    daemon.settle()
    for _ in range(23):  # the last pause is far longer than this
        clock.advance(seconds=15)
        daemon.settle()
    [machine] = cloud.survey()
    assert len(refused) > 3
    assert cloud.rule(machine.id) is None
    clock.advance(seconds=20)
    daemon.settle()
    assert http.state() == "running"
    assert cloud.rule(machine.id).profile == "standard"


def test_idle_action_is_stop_with_a_note_if_the_workspace_cannot_hibernate(
    http, daemon, running_workspace, cloud
):
    id = running_workspace(hibernation=False)
    answer = configure(http, profile="batch").json()
    assert (answer["action"], len(answer["notes"])) == ("stop", 1)
    daemon.settle()
    assert (cloud.rule(id).profile, cloud.rule(id).action) == ("batch", "stop")


def test_configure_is_refused_for_missing_names_bad_values_and_ended_workspaces(
    http, daemon, running_workspace, clock
):
    running_workspace()
    failed(configure(http, profile="none"), 404, "IDLE_PROFILE_NOT_FOUND")
    failed(configure(http, "other", profile="gpu"), 404, "INSTANCE_NOT_FOUND")
    failed(configure(http), 422, "VALIDATION_FAILED")
    failed(configure(http, profile="gpu", custom_threshold_minutes=0), 422, "VALIDATION_FAILED")
    http.post("mine", "terminate", json={"confirm": "DELETE"})
    failed(configure(http, profile="gpu"), 409, "INVALID_STATE")
    failed(keep_awake(http, 5), 409, "INVALID_STATE")
    settle_twice(daemon, clock)
    assert why(http)["state"] == "terminated"


def test_keep_awake_is_sent_to_the_machine_and_can_be_cancelled(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    until = "2026-01-01T03:00:00Z"
    answer = {"instance_name": "mine", "keep_awake_until": until, "notes": []}
    assert keep_awake(http, 180).json() == answer
    daemon.settle()
    assert cloud.rule(id).awake_until == START + timedelta(hours=3)
    assert why(http)["keep_awake_until"] == until
    assert keep_awake(http, 0).json()["keep_awake_until"] is None
    daemon.settle()
    assert cloud.rule(id).awake_until is None
    for wrong in (-1, 10081, "5", None):
        failed(keep_awake(http, wrong), 422, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    ("minutes", "hours"), [(0, None), (240, None), (241, 1), (300, 1), (301, 2), (1440, 20)]
)
def test_keep_awake_notes_an_earlier_expiry_and_the_extend_command(
    http, running_workspace, minutes, hours
):
    running_workspace(ttl_hours=4)
    more = f"it expires before that, at 2026-01-01 04:00 UTC: `prism extend mine {hours}`"
    assert keep_awake(http, minutes).json()["notes"] == ([more] if hours else [])


def test_keep_awake_ignores_an_expiry_in_the_past(http, daemon, running_workspace, clock):
    running_workspace(ttl_hours=1)
    clock.advance(seconds=3601)
    assert keep_awake(http, 180).json()["notes"] == []


def settle_twice(daemon, clock):
    """Reconciles, waits a second for the observation of changing machines, reconciles again."""
    daemon.settle()
    clock.advance(seconds=1)
    daemon.settle()


def report_idleness(daemon, cloud, id, **fields):
    known = Idleness(
        state="idle",
        since=START,
        until=START + timedelta(minutes=12),
        figures={"cpu": 0.4, "memory": 0.0, "network": None, "gpu": 0.0},
        because=("nothing is going on",),
    )
    cloud.report_idleness(id, replace(known, **fields))
    daemon.settle()


def test_workspace_shows_its_current_verdict_and_idle_minutes(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    clock.advance(minutes=12)
    report_idleness(daemon, cloud, id)
    idleness = idle_of(http)
    assert (idleness["verdict"], idleness["idle_minutes"]) == ("idle", 12)
    clock.advance(minutes=1)
    assert idle_of(http)["idle_minutes"] == 13, "without a new report of the machine"
    report_idleness(daemon, cloud, id, state="active", because=("the kernel of a is busy",))
    idleness = idle_of(http)
    assert (idleness["verdict"], idleness["idle_minutes"]) == ("active", 0)
    assert idleness["because"] == ["the kernel of a is busy"]
    report_idleness(daemon, cloud, id, state="unknown")
    assert (idle_of(http)["verdict"], idle_of(http)["idle_minutes"]) == ("unknown", None)


def test_list_shows_new_idle_minutes_after_each_settlement(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    clock.advance(minutes=12)
    report_idleness(daemon, cloud, id)
    daemon.read_model.settle(clock.now())
    first = http("GET", "/api/v1/instances")
    assert first.json()[0]["idle"]["idle_minutes"] == 12
    clock.advance(minutes=1)
    daemon.read_model.settle(clock.now())
    listed = http("GET", "/api/v1/instances", headers={"If-None-Match": first.headers["etag"]})
    assert listed.status_code == 200
    assert listed.json()[0]["idle"]["idle_minutes"] == 13


def test_idle_explanation_has_the_measurements_and_the_time_of_the_action(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    clock.advance(minutes=12)
    report_idleness(daemon, cloud, id)
    explanation = why(http)
    assert (explanation["verdict"], explanation["idle_minutes"], explanation["action"]) == (
        "idle",
        12,
        "hibernate",
    )
    assert (explanation["since"], explanation["acts_at"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00Z",
    )
    assert explanation["measured"][0] == {
        "what": "cpu",
        "value": 0.4,
        "limit": 5.0,
        "unit": "% of a core",
    }
    assert [measurement["value"] for measurement in explanation["measured"]] == [
        0.4,
        0.0,
        None,
        0.0,
    ]
    keep_awake(http, 180)
    assert why(http)["acts_at"] == "2026-01-01T03:12:00Z"
    configure(http, profile="batch", enabled=False)
    assert (why(http)["acts_at"], why(http)["enabled"]) == (None, False)


def sleep_warnings(daemon):
    with daemon.db.read() as sql:
        facts = journal.after(sql, 0)
    return [fact.data["acts_at"] for fact in facts if fact.event == "idle_sleeps_soon"]


def test_sleep_warning_is_recorded_once_per_idle_period(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    report_idleness(daemon, cloud, id)

    def observe(minutes, **fields):
        clock.advance(minutes=minutes)
        report_idleness(daemon, cloud, id, **fields)
        return sleep_warnings(daemon)

    assert observe(45) == []
    warnings = observe(6)
    assert warnings == ["2026-01-01T01:00:00Z"]
    assert observe(2) == warnings
    keep_awake(http, 60)
    assert observe(1, state="active", since=clock.now(), until=clock.now()) == warnings
    idle = {"state": "idle", "since": clock.now()}
    assert observe(30, **idle) == warnings
    assert observe(23, **idle) == [*warnings, "2026-01-01T01:54:00Z"]


def test_sleep_warning_is_recorded_again_after_the_clock_was_set_back(
    daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    for hours in (2, -1):
        clock.advance(hours=hours)
        report_idleness(
            daemon, cloud, id, since=clock.now() - timedelta(minutes=51), until=clock.now()
        )
    assert sleep_warnings(daemon) == ["2026-01-01T02:09:00Z", "2026-01-01T01:09:00Z"]


def test_idleness_of_a_location_is_kept_while_another_location_is_surveyed(
    daemon, running_workspace, cloud
):
    """Each AWS location has a loop of its own, beside that of this computer."""
    report_idleness(daemon, cloud, running_workspace(idle_profile="batch"))
    watcher = daemon.idle_observer
    [machine] = cloud.survey()
    assert watcher.of(machine.key).state == "idle"
    watcher.saw({"aws:123456789012:us-west-2": []})
    assert watcher.of(machine.key).state == "idle"
    [location] = daemon.local.locations
    watcher.saw({location: []})
    assert watcher.of(machine.key) is None


def unknown_warnings(daemon):
    with daemon.db.read() as sql:
        facts = journal.after(sql, 0)
    return [
        (fact.data["minutes"], *fact.data["because"])
        for fact in facts
        if fact.event == "idle_unknown"
    ]


def test_workspace_with_unknown_idleness_stays_awake_and_is_reported_once(
    http, daemon, running_workspace, cloud, clock
):
    """A GPU that cannot be measured would otherwise cost money unnoticed."""
    id, began = running_workspace(idle_profile="gpu"), clock.now()
    why_not = ("gpu cannot be measured here, so it stays awake",)

    def observe(minutes):
        clock.advance(minutes=minutes)
        known = {"state": "unknown", "since": began, "because": why_not}
        report_idleness(daemon, cloud, id, **known, until=clock.now())
        daemon.settle()

    observe(29)
    assert unknown_warnings(daemon) == []
    observe(1)
    observe(600)
    assert unknown_warnings(daemon) == [(30, *why_not)]
    assert http.state() == "running"
    assert idle_of(http)["verdict"] == "unknown"
    assert idle_of(http)["because"] == list(why_not)
    assert idle_of(http)["idle_minutes"] is None, "unknown time is not idle time"
    assert why(http)["since"] == "2026-01-01T00:00:00Z"


def test_unknown_idleness_is_reported_later_after_a_failed_write(
    daemon, running_workspace, cloud, clock, monkeypatch
):
    id, began = running_workspace(idle_profile="gpu"), clock.now()
    clock.advance(minutes=30)
    with monkeypatch.context() as broken:
        broken.setattr(daemon.db, "write", lambda: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            report_idleness(daemon, cloud, id, state="unknown", since=began, until=clock.now())
    daemon.settle()
    assert len(unknown_warnings(daemon)) == 1


def test_warnings_are_not_repeated_after_a_survey_without_an_answer(
    daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    [location] = daemon.local.locations
    for fields in ({"state": "unknown", "since": clock.now()}, {"since": clock.now()}):
        clock.advance(minutes=51)
        report_idleness(daemon, cloud, id, **fields, until=clock.now())
        daemon.idle_observer.saw({location: []})
        clock.advance(minutes=1)
        daemon.settle()
    assert (len(unknown_warnings(daemon)), len(sleep_warnings(daemon))) == (1, 1)


def act_on_idleness(daemon, cloud, id, at, action="hibernate", **act):
    """Lets the machine hibernate or stop by itself, without a daemon."""
    done = IdleAct(at=at, action=action, seconds=1500, profile="batch", **act)
    cloud.set_state(id, Observed.ASLEEP if action == "hibernate" else Observed.OFF)
    report_idleness(daemon, cloud, id, acted=done)


def triggered_events(daemon):
    with daemon.db.read() as sql:
        facts = journal.after(sql, 0)
    return [fact for fact in facts if fact.event == "hibernation_triggered"]


def test_idle_action_is_recorded_once_and_kept_in_the_history(
    http, make_daemon, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    clock.advance(minutes=30)
    act_on_idleness(daemon, cloud, id, clock.now())
    daemon.settle()
    [fact] = triggered_events(daemon)
    saved = None if fact.data["estimated_savings"] is None else 0.0
    expected = {"instance_name": "mine", "action": "hibernate", "idle_duration": "25 minutes"}
    assert fact.data.items() >= (expected | {"profile": "batch", "note": None}).items()
    [past] = history(http)
    moment = {"trigger_time": "2026-01-01T00:30:00Z", "estimated_savings": saved}
    permanent = daemon.workspaces.named("mine").id
    assert past == {**expected, "workspace": permanent, "profile": "batch", "note": None, **moment}
    assert http.state() == "hibernated"
    assert idle_of(http)["verdict"] is None
    another = make_daemon()
    another.settle()
    assert len(triggered_events(another)) == 1
    assert why(http)["last"]["action"] == "hibernate"


def test_idle_action_without_a_daemon_is_recorded_by_the_next_daemon(
    http, make_daemon, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    daemon.close()
    clock.advance(hours=2)
    cloud.set_state(id, Observed.OFF)
    done = IdleAct(
        at=START + timedelta(hours=1),
        action="stop",
        seconds=3600,
        profile="batch",
        note="it could not be put to sleep, so it was stopped",
    )
    cloud.report_idleness(id, Idleness(state="idle", since=START, until=START, acted=done))
    heir = make_daemon()
    heir.settle()
    [fact] = triggered_events(heir)
    assert (fact.data["action"], fact.data["note"]) == ("stop", done.note)


def test_savings_stop_when_a_hibernated_workspace_is_terminated(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    with daemon.db.write() as tx:
        tx.sql.exec_driver_sql("UPDATE workspaces SET hourly_rate = 1000000")
    clock.advance(minutes=30)
    act_on_idleness(daemon, cloud, id, clock.now())
    clock.advance(hours=2)
    http.post("mine", "terminate", json={"confirm": "DELETE"})
    settle_twice(daemon, clock)
    saved = history(http)[0]["estimated_savings"]
    clock.advance(hours=100)
    assert history(http)[0]["estimated_savings"] == saved == pytest.approx(2.0, abs=0.1)


def test_savings_grow_until_the_workspace_is_resumed(
    http, daemon, running_workspace, cloud, clock
):
    id = running_workspace(idle_profile="batch")
    with daemon.db.write() as tx:
        tx.sql.exec_driver_sql("UPDATE workspaces SET hourly_rate = 1000000")
    clock.advance(minutes=30)
    act_on_idleness(daemon, cloud, id, clock.now())
    assert triggered_events(daemon)[0].data["estimated_savings"] == 1.0, "in the first hour"
    clock.advance(hours=2)
    assert history(http)[0]["estimated_savings"] == 2.0
    http.post("mine", "resume")
    settle_twice(daemon, clock)
    clock.advance(hours=5)
    assert http.state() == "running"
    assert history(http)[0]["estimated_savings"] == 2.0


def test_idle_history_is_newest_first_and_limited(http, daemon, running_workspace, cloud, clock):
    id = running_workspace(idle_profile="batch")
    for hours in range(1, 4):
        clock.advance(hours=1)
        act_on_idleness(daemon, cloud, id, clock.now())
        assert len(triggered_events(daemon)) == hours
    assert [event["trigger_time"][11:13] for event in history(http)] == ["03", "02", "01"]
    assert [event["trigger_time"][11:13] for event in history(http, limit=1)] == ["03"]
    failed(http("GET", "/api/v1/idle/history", params={"limit": 0}), 422, "VALIDATION_FAILED")


def test_idle_changes_are_recorded_in_the_audit_log(http, daemon, running_workspace):
    running_workspace()
    create(http)
    configure(http, profile="gpu")
    keep_awake(http, 5)
    with daemon.db.read() as sql:
        actors = {event.event: (event.actor, event.subject) for event in journal.after(sql, 0)}
    assert actors["idle_profile_created"] == ("ada", OWN["name"])
    assert actors["idle_configured"] == actors["idle_kept_awake"] == ("ada", "mine")
    json.dumps(why(http))


def test_idle_rule_is_due_only_after_the_machine_exists(daemon):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    due = select(store.watches.c.due_at)
    with daemon.db.read() as sql:
        assert sql.execute(due).scalars().all() == [NEVER_DUE]
    daemon.settle()
    with daemon.db.read() as sql:
        assert sql.execute(select(store.watches.c.told)).scalar() is not None
