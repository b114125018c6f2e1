"""The routes of workspaces: the shapes of the reference, and no success before the commit."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from prism.kit.clock import WallClock
from prism.workspaces.model import WorkspaceFailure, WorkspaceState
from prism.workspaces.view import hibernation
from tests.conftest import ML, Http
from tests.optional import not_none
from tests.rows import every_workspace
from tests.shapes import EXAMPLES, failed, shaped_like


def settle(daemon, clock, seconds=15):
    for _ in range(3):
        clock.advance(seconds=seconds / 3)
        daemon.settle()


def test_workspace_goes_through_its_verbs_in_the_shapes_of_the_reference(http, daemon, clock):
    order = {"name": "mine", "template": ML, "size": "XL", "storage": {"ebs_volume_size": 100}}
    answer = http("POST", "/api/v1/instances/launch", json=order)
    launched = shaped_like("POST instances/launch", answer, 201)
    assert (launched["state"], launched["hourly_rate"]) == ("launching", 0.0)
    for verb, new_state in {
        "stop": "stopping",
        "start": "starting",
        "hibernate": "hibernating",
        "resume": "resuming",
    }.items():
        settle(daemon, clock)
        changed = shaped_like(f"POST instances/{{name}}/{verb}", http.post("mine", verb))
        assert changed["new_state"] == new_state
        again = http.post("mine", verb).json()
        assert again["previous_state"] == again["new_state"] == new_state
    settle(daemon, clock)
    [listed] = shaped_like("GET instances", http("GET", "/api/v1/instances"))
    assert listed["launch_progress"] == 100
    assert listed == http("GET", f"/api/v1/instances/{listed['id']}").json(), (
        "the id and the name lead to the same answer"
    )
    shaped_like("GET instances/{name}/connect", http("GET", "/api/v1/instances/mine/connect"))
    route, sure = "POST instances/{name}/terminate", {"confirm": "DELETE", "backup_ebs": False}
    assert shaped_like(route, http.post("mine", "terminate", json=sure))["state"] == "terminating"
    failed(http.launch(), 409, "NAME_TAKEN")
    settle(daemon, clock)
    assert http.launch().status_code == 201, "the name of a terminated workspace can be used again"
    settle(daemon, clock)
    assert http.state() == "running", "the name refers to the living workspace"


def test_launch_request_of_the_reference_is_decoded(http):
    order = EXAMPLES["POST instances/launch"]["request"]
    fault = failed(http("POST", "/api/v1/instances/launch", json=order), 404, "PROJECT_NOT_FOUND")
    assert "cancer-research" in fault["message"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"project": "nope"}, "PROJECT_NOT_FOUND"),
        ({"budget": "nope"}, "BUDGET_NOT_FOUND"),
        ({"volumes": ["nope"]}, "VOLUME_NOT_FOUND"),
        ({"idle_profile": "nope"}, "IDLE_PROFILE_NOT_FOUND"),
        ({"template": "nope"}, "TEMPLATE_NOT_FOUND"),
    ],
)
def test_launch_with_a_missing_name_answers_404(http, more, code):
    failed(http.launch(**more), 404, code)
    assert http("GET", "/api/v1/instances").json() == []


def test_dry_run_of_a_launch_answers_the_plan_and_creates_nothing(http, make_daemon, clock):
    plan = http.launch(dry_run=True, size="S", storage={"ebs_volume_size": 50})
    assert plan.status_code == 200
    assert plan.json() == {
        "instance_type": "t3.medium",
        "machine": "this computer, at most 2 cores and 4 GiB of memory",
        "profile": "local",
        "region": "local",
        "vcpus": 2,
        "memory_gib": 4,
        "gpus": 0,
        "image": "this machine",
        "hourly": 0.0,
        "daily": 0.0,
        "monthly": 0.0,
        "budget": None,
        "price_source": "local",
        "disk_monthly": 0.0,
        "address_monthly": None,
        "reserves": None,
        "leaves": None,
        "caps": [],
        "lasts_until": None,
        "ready_seconds": 60,
        "ready_measured": False,
        "notes": plan.json()["notes"],
        "creates": ["workspace mine (this computer, at most 2 cores and 4 GiB of memory)"],
    }
    assert http("GET", "/api/v1/instances").json() == []
    assert http.launch().status_code == 201
    failed(http.launch(dry_run=True), 409, "NAME_TAKEN")


def test_launch_at_a_higher_price_than_allowed_is_refused(make_daemon, clock):
    ask = Http(make_daemon(local_prices="aws").app)
    refused = ask.launch(size="XL", max_hourly_rate=0.1664)
    failed(refused, 409, "PRICE_TOO_HIGH")
    error = refused.json()["error"]
    assert error["data"] == {"hourly_rate": 0.3328, "max_hourly_rate": 0.1664}
    assert "t3.2xlarge in local; nothing was launched" in error["details"]
    assert ask("GET", "/api/v1/instances").json() == []
    assert ask.launch(size="XL", max_hourly_rate=0.3328).status_code == 201


def test_simulated_prices_are_used_and_named_as_simulated(make_daemon, clock):
    daemon = make_daemon(local_prices="aws")
    ask = Http(daemon.app)
    assert ask.launch(size="XL").json()["hourly_rate"] == 0.3328
    [listed] = ask("GET", "/api/v1/instances").json()
    assert listed["price_source"].startswith("simulated")
    assert listed["current_spend"] == 0.0, "nothing has run yet"
    settle(daemon, clock)
    ask.post("mine", "hibernate")
    settle(daemon, clock)
    clock.advance(hours=4, minutes=30)
    status = shaped_like(
        "GET instances/{name}/hibernation-status",
        ask("GET", "/api/v1/instances/mine/hibernation-status"),
    )
    assert status["hibernation_duration"] == "4h 30m"
    assert status["estimated_savings"] == 1.5, "4.5 h at 0.3328"


def test_hibernation_status_of_a_running_workspace(http, daemon, clock):
    http.launch()
    settle(daemon, clock)
    answer = http("GET", "/api/v1/instances/mine/hibernation-status").json()
    assert answer == {
        "hibernation_supported": True,
        "current_state": "running",
        "hibernation_time": None,
        "estimated_savings": None,
        "hibernation_duration": None,
        "resume_by": None,
        "note": None,
    }


@pytest.mark.parametrize(
    ("location", "days", "resume_by", "note"),
    [
        ("aws:1:us-east-1", 3, "2026-03-02", "days: resume it by 2026-03-02, and stop it if"),
        ("aws:1:us-east-1", 60, "2026-03-02", "days, which ended on 2026-03-02: resume"),
        ("local:a:b", 3, None, None),
    ],
)
def test_hibernation_status_has_the_date_of_the_limit_of_the_provider(
    http, daemon, clock, location, days, resume_by, note
):
    """AWS has a limit; this computer has none."""
    http.launch()
    settle(daemon, clock)
    http.post("mine", "hibernate")
    settle(daemon, clock)
    since, mine = datetime(2026, 1, 1, tzinfo=UTC), daemon.workspaces.named("mine")
    slept = replace(mine, location=location, hibernated_at=since)
    shown_hibernation = hibernation(slept, since + timedelta(days=days))
    assert (shown_hibernation.resume_by and f"{shown_hibernation.resume_by:%Y-%m-%d}") == resume_by
    assert note in not_none(shown_hibernation.note) if note else shown_hibernation.note is None


def test_launch_is_accepted_while_the_provider_is_down(http, daemon, cloud):
    cloud.faults.down = True
    assert http.launch().status_code == 201
    daemon.settle()
    assert http.state() == "launching"


@pytest.mark.parametrize(
    ("body", "status", "code", "expected"),
    [
        (b"{", 400, "INVALID_JSON", "truncated"),
        (b'{"name": "\xff"}', 400, "INVALID_JSON", ""),
        (b"", 422, "VALIDATION_FAILED", "name"),
        (b"[]", 422, "VALIDATION_FAILED", "object"),
        (b'{"template": "t"}', 422, "VALIDATION_FAILED", "name"),
        (b'{"name": "a", "template": 5}', 422, "VALIDATION_FAILED", "template"),
        (b'{"name": "a", "template": "t", "spot": "true"}', 422, "VALIDATION_FAILED", "spot"),
        (b'{"name": "A_b", "template": "t"}', 422, "VALIDATION_FAILED", "name"),
        (b'{"name": "a--b", "template": "t"}', 422, "VALIDATION_FAILED", "name"),
        (b'{"name": "i-0123456789abcdef0", "template": "t"}', 422, "VALIDATION_FAILED", "name"),
        (b'{"name": "a", "template": "t", "x": 1}', 422, "VALIDATION_FAILED", "x"),
        (b'{"name": "a", "template": "t", "ttl_hours": 0}', 422, "VALIDATION_FAILED", "ttl"),
        (b'{"name": "a", "template": "t", "size": "XXL"}', 422, "VALIDATION_FAILED", "size"),
        (
            b'{"name": "a", "template": "Plain Shell", "instance_type": "z9.huge"}',
            422,
            "UNKNOWN_INSTANCE_TYPE",
            "t3.",
        ),
        (
            b'{"name": "a", "template": "Plain Shell", "instance_type": "g4dn.xlarge"}',
            422,
            "VALIDATION_FAILED",
            "GPU",
        ),
        (
            b'{"name": "a", "template": "Plain Shell", "parameters": {"x": 1}}',
            422,
            "VALIDATION_FAILED",
            "parameters.x",
        ),
        (b'{"name": "' + b"a" * 2**20 + b'"}', 413, "BODY_TOO_LARGE", ""),
    ],
)
def test_invalid_launch_is_refused_and_creates_nothing(http, body, status, code, expected):
    headers = {"content-type": "application/json"}
    answer = http("POST", "/api/v1/instances/launch", headers, content=body)
    assert expected in failed(answer, status, code)["details"]
    assert http("GET", "/api/v1/instances").json() == []


def test_refused_request_names_the_reason_and_the_command(http, daemon, clock):
    gone = failed(http.post("mine", "stop"), 404, "INSTANCE_NOT_FOUND")
    assert gone["remediation"] == "Use `prism workspace list` to see available workspaces"
    http.launch()
    failed(http.launch(), 409, "NAME_TAKEN")
    fault = failed(http.post("mine", "resume"), 409, "INVALID_STATE")
    assert "stop, terminate" in fault["details"]
    assert fault["data"] == {"state": "launching", "allowed": ["stop", "terminate"]}
    failed(http.post("mine", "terminate"), 422, "CONFIRMATION_REQUIRED")
    failed(http("GET", "/api/v1/instances/mine/connect"), 409, "INVALID_STATE")
    http.launch("awake", hibernation=False)
    never = failed(http.post("awake", "hibernate"), 409, "HIBERNATION_NOT_SUPPORTED")
    assert never["details"].startswith("it was launched without hibernation, as with `--no-hib")


def test_failed_launch_shows_its_failure_and_can_be_started_again(http, daemon, clock, cloud):
    cloud.faults.broken = WorkspaceFailure("PACKAGE_NOT_FOUND", "no package 'nopandas'")
    http.launch()
    settle(daemon, clock)
    workspace = http("GET", "/api/v1/instances/mine").json()
    assert workspace["state"] == "failed"
    assert workspace["failure"] == {
        "code": "PACKAGE_NOT_FOUND",
        "message": "no package 'nopandas'",
    }
    assert workspace["launch_progress"] < 100
    assert http.post("mine", "start").json()["new_state"] == "starting"


def test_extend_adds_hours_or_removes_the_expiry(http, daemon, clock):
    http.launch()
    path = "/api/v1/instances/mine"
    assert http("GET", path).json()["expires_at"] is None
    orders: list[tuple[dict[str, Any], int]] = [
        ({}, 4),
        ({"json": {}}, 8),
        ({"json": {"hours": -1}}, 12),
    ]
    for body, total in orders:
        answer = http.post("mine", "extend", **body)
        assert (answer.status_code, answer.content) == (204, b"")
        expires = datetime.fromisoformat(http("GET", path).json()["expires_at"])
        assert expires - clock.now() == timedelta(hours=total)
    assert http.post("mine", "extend", json={"hours": None}).status_code == 204
    assert http("GET", path).json()["expires_at"] is None
    http.post("mine", "extend", json={"hours": 1.5})
    expires = datetime.fromisoformat(http("GET", path).json()["expires_at"])
    assert expires - clock.now() == timedelta(minutes=90)
    http.post("mine", "extend", json={"hours": 8760})
    failed(http.post("mine", "extend", json={"hours": 8761}), 422, "VALIDATION_FAILED")
    failed(http.post("nope", "extend"), 404, "INSTANCE_NOT_FOUND")


def test_expiry_is_set_to_a_time_also_to_an_earlier_one(http, clock):
    http.launch()
    path, now = "/api/v1/instances/mine", clock.now()
    for hours in (48, 2):
        at = now + timedelta(hours=hours)
        body = {"expires_at": at.isoformat()}
        assert http.post("mine", "extend", json=body).status_code == 204
        assert datetime.fromisoformat(http("GET", path).json()["expires_at"]) == at
    before = http("GET", path).json()["expires_at"]
    refused = [
        {"expires_at": now.isoformat()},
        {"expires_at": "3000-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "2027-01-01T00:00:00"},
        {"expires_at": None},
        {"expires_at": at.isoformat(), "hours": 4},
    ]
    for body in refused:
        failed(http.post("mine", "extend", json=body), 422, "VALIDATION_FAILED")
    assert http("GET", path).json()["expires_at"] == before


def test_stopped_workspace_is_resized(http, daemon, cloud, clock):
    def settle():
        for _ in range(3):
            clock.advance(seconds=1)
            daemon.settle()

    http.launch()
    settle()
    path = "/api/v1/instances/mine"
    big = {"instance_type": "t3.xlarge"}
    fault = failed(http.post("mine", "resize", json=big), 409, "INVALID_STATE")
    assert fault["data"]["state"] == "running"
    assert set(fault["data"]["allowed"]) == {"stop", "hibernate", "terminate"}
    http.post("mine", "stop")
    settle()
    failed(http.post("mine", "resize", json={}), 422, "VALIDATION_FAILED")
    failed(http.post("mine", "resize", json={**big, "size": "L"}), 422, "VALIDATION_FAILED")
    failed(http.post("mine", "resize", json={"instance_type": "x"}), 422, "UNKNOWN_INSTANCE_TYPE")
    gpu = {"instance_type": "g4dn.xlarge"}
    failed(http.post("mine", "resize", json=gpu), 422, "VALIDATION_FAILED")
    failed(http.post("nope", "resize", json=big), 404, "INSTANCE_NOT_FOUND")
    answer = http.post("mine", "resize", json=big).json()
    assert (answer["previous_type"], answer["instance_type"]) == ("t3.large", "t3.xlarge")
    settle()
    body = http("GET", path).json()
    assert (body["state"], body["instance_type"]) == ("stopped", "t3.xlarge")
    assert cloud.ordered(body["id"]).instance_type == "t3.xlarge"
    http.post("mine", "start")
    settle()
    assert http("GET", path).json()["state"] == "running"
    assert [call for call in cloud.calls if call.startswith("resize")] == [
        f"resize {body['id']} t3.xlarge"
    ]


@pytest.mark.parametrize(("kind", "rate"), [("t3.xlarge", 0.1664), ("z9.huge", None)])
def test_machine_observed_with_another_type_has_its_price(make_daemon, cloud, clock, kind, rate):
    """It was changed with the provider's own tools while it was off."""
    daemon = make_daemon(local_prices="aws")
    http = Http(daemon.app)

    def settle():
        for _ in range(3):
            clock.advance(minutes=1)
            daemon.settle()

    def shown():
        workspace = http("GET", "/api/v1/instances/mine").json()
        return workspace["instance_type"], workspace["hourly_rate"]

    http.launch()
    settle()
    usual = shown()
    machine = http("GET", "/api/v1/instances/mine").json()["id"]
    http.post("mine", "stop")
    settle()
    cloud.change_type(machine, kind)
    settle()
    assert shown() == usual, "it may be an outdated list of EC2"
    http.post("mine", "start")
    settle()
    assert shown() == (kind, rate)
    resizes = [event for event in daemon.db.events_after(0) if event.event == "instance_resized"]
    assert [resize.data["instance_type"] for resize in resizes] == [kind]
    assert not [call for call in cloud.calls if call.startswith("resize")]
    http.post("mine", "stop")
    settle()
    assert http.post("mine", "resize", json={"instance_type": usual[0]}).status_code == 200
    settle()
    assert cloud.ordered(machine).instance_type == usual[0]
    http.post("mine", "start")
    settle()
    assert shown() == usual


def test_list_answers_304_until_a_workspace_changes(http, daemon):
    http.launch()
    first = http("GET", "/api/v1/instances")
    known = {"If-None-Match": first.headers["etag"]}
    assert http("GET", "/api/v1/instances", known).status_code == 304
    daemon.settle()
    second = http("GET", "/api/v1/instances", known)
    assert second.status_code == 200
    assert second.json()[0]["state"] == "running"


def test_list_is_filtered_and_paged(http, daemon, clock):
    for n in range(5):
        http.launch(f"w{n}")
        clock.advance(seconds=1)
    http.launch("shell", template="Plain Shell")
    http.post("w0", "stop")
    daemon.settle()

    def names(query):
        return [entry["name"] for entry in http("GET", f"/api/v1/instances{query}").json()]

    assert names("?state=stopped") == ["w0"]
    mine = http("GET", "/api/v1/instances/w0").json()["owner"]
    assert names(f"?state=stopped&owner={mine.upper()}") == ["w0"]
    assert names("?owner=me") == names("")
    assert names("?owner=nobody@x.org") == []
    assert names("?template=Plain%20Shell") == names("?template=plain-shell") == ["shell"]
    assert names("?project=none") == []
    seen, path = [], "/api/v1/instances?limit=4"
    while path:
        answer = http("GET", path)
        seen += [entry["name"] for entry in answer.json()]
        link = answer.headers.get("link", "")
        path = link.partition("<")[2].partition(">")[0]
        assert not path or parse_qs(urlsplit(path).query)["limit"] == ["4"]
    assert seen == ["w0", "w1", "w2", "w3", "w4", "shell"]
    for bad in ("state=asleep", "limit=0", "limit=1001", "limit=x", "cursor=garbage", "cursor="):
        fault = failed(http("GET", f"/api/v1/instances?{bad}"), 422, "VALIDATION_FAILED")
        [wrong] = fault["data"]["fields"]
        assert wrong["field"] == bad.partition("=")[0]
        if wrong["field"] == "state":
            assert wrong["why"] == f"must be one of {', '.join(WorkspaceState)}, not 'asleep'"


@pytest.mark.parametrize("request_", ["launch", "stop"])
def test_failed_commit_answers_500_and_records_no_event(http, daemon, request_):
    http.launch("old")
    events = []

    def refuse(_):
        raise OSError("disk full")

    newest = daemon.db.newest_event()
    event.listen(daemon.db.writer, "commit", refuse)
    with daemon.db.bus.listening(lambda: events.append(1)):
        answer = http.launch("new") if request_ == "launch" else http.post("old", "stop")
    event.remove(daemon.db.writer, "commit", refuse)
    fault = failed(answer, 500, "INTERNAL_ERROR")
    assert "disk full" not in answer.text, "the answer does not contain the error"
    assert "reference " in fault["details"]
    assert (events, daemon.db.newest_event()) == ([], newest)
    assert [w.name for w in every_workspace(daemon.db)] == ["old"]
    assert http.launch("next").status_code == 201, "the next write succeeds"


@pytest.mark.postgres
def test_concurrent_launches_of_one_name_create_one_workspace(http, daemon):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: http.launch("mine").status_code, range(16)))
    assert sorted(answers) == [201] + [409] * 15


def test_wait_answers_when_the_state_is_reached(make_daemon):
    daemon = make_daemon(time=WallClock())  # a row rests before it is reconciled again
    http = Http(daemon.app)
    loop = threading.Thread(target=daemon.loop.run, kwargs={"every": 0.05, "gather": 0})
    with daemon.db.bus.listening(daemon.loop.wake):
        loop.start()
        order = {"name": "mine", "template": ML}
        answer = http("POST", "/api/v1/instances/launch?wait=60", json=order)
        assert answer.status_code == 201
        assert (answer.json()["state"], answer.json()["launch_progress"]) == ("running", 100)
        assert http.post("mine", "stop?wait=60").json()["new_state"] == "stopped"
        assert http.post("mine", "start").json()["new_state"] == "starting"
        assert http("GET", "/api/v1/instances/mine?wait=60").json()["state"] == "running"
        sure = {"confirm": "DELETE"}
        gone = http.post("mine", "terminate?wait=60", json=sure).json()
        assert gone["state"] == "terminated"
    daemon.loop.stop()
    loop.join()


def test_wait_ends_after_its_time_or_when_the_daemon_stops(http, daemon):
    order = {"name": "mine", "template": ML}
    answer = http("POST", "/api/v1/instances/launch?wait=0", json=order)
    assert answer.json()["state"] == "launching"
    daemon.settle()
    threading.Timer(0.1, daemon.db.bus.close).start()
    assert http.post("mine", "stop?wait=300").json()["new_state"] == "stopping"
    assert http("GET", "/api/v1/instances/mine?wait=300").json()["state"] == "stopping"
    for bad in ("301", "-1", "x", "", "1&wait=2", "1e1"):
        failed(http.post("mine", f"stop?wait={bad}"), 422, "VALIDATION_FAILED")
        failed(http("GET", f"/api/v1/instances/mine?wait={bad}"), 422, "VALIDATION_FAILED")
    failed(http("GET", "/api/v1/instances/unknown?wait=300"), 404, "INSTANCE_NOT_FOUND")


def test_reads_call_neither_provider_nor_database(http, daemon, cloud, monkeypatch):
    http.launch()
    daemon.settle()
    http("GET", "/api/v1/instances")
    cloud.calls.clear()
    monkeypatch.setattr(daemon.db, "read", None)
    assert http("GET", "/api/v1/instances").json()[0]["state"] == "running"
    assert http("GET", "/api/v1/instances/mine").json()["name"] == "mine"
    assert cloud.calls == []


@pytest.mark.postgres
def test_list_shows_the_writes_of_another_daemon(make_daemon):
    first, two = make_daemon(), make_daemon()
    ask = Http(two.app)
    assert ask("GET", "/api/v1/instances").json() == []
    Http(first.app).launch()
    two.db.announce()
    assert [entry["name"] for entry in ask("GET", "/api/v1/instances").json()] == ["mine"]
    assert first.read_model.pages.body == two.read_model.pages.body
