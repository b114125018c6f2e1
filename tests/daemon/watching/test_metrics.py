"""`/metrics`: that its numbers are true, its labels bounded, and who may read it."""

import re
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from prism.access.model import Caller, Role, RouteRule, Scope, Subject
from prism.access.plan import may
from prism.access.rules import ROUTES, route_of
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.request_counts import BOUNDS, RequestCounts
from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed


@pytest.fixture
def team(make_daemon):
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url="smtp://127.0.0.1:1",
        project_creation="everybody",
    )
    return Team(daemon, Http(daemon.app))


def read(text):
    """Every sample: by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(http):
    answer = http("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text)


def value(samples, name, **labels):
    return samples.get((f"prism_{name}", frozenset(labels.items())))


def of_name(samples, name):
    return {
        tuple(sorted(dict(labels).items())): number
        for (of, labels), number in samples.items()
        if of == f"prism_{name}"
    }


@pytest.mark.postgres
def test_workspaces_and_work_are_counted(daemon, http, clock):
    for name in ("one", "two", "three"):
        http.launch(name)
    daemon.settle()
    http.launch("four")
    clock.advance(seconds=90)
    samples = metrics(http)
    [provider] = {dict(key)["provider"] for key in of_name(samples, "workspaces")}
    assert value(samples, "workspaces", state="running", provider=provider) == 3
    assert value(samples, "workspaces", state="launching", provider=provider) == 1
    assert value(samples, "oldest_unfinished_request_seconds", provider=provider) == 90
    assert value(samples, "loop_overdue_seconds", loop="workspace", provider="local") == 90
    assert value(samples, "database_up") == 1
    assert value(samples, "database_size_bytes") > 10_000
    assert 0 < value(samples, "disk_free_bytes") < 1 << 60
    daemon.settle()
    assert of_name(metrics(http), "oldest_unfinished_request_seconds") == {}


def test_every_loop_is_there(daemon, http):
    samples = metrics(http)
    loops = {key[0][1] for key in of_name(samples, "loop_overdue_seconds")}
    assert loops == {loop.name for loop in daemon.loops}
    assert {"workspace", "mail", "budget", "idle", "volume", "snapshot"} <= loops
    assert of_name(samples, "loop_failing_rows").keys() == {
        key for key in of_name(samples, "loop_overdue_seconds")
    }


def test_rows_that_fail_are_counted(daemon, http, cloud):
    cloud.faults.down = True
    http.launch()
    daemon.loop.once()
    cloud.faults.down = False
    [(_, failing)] = [
        (key, number)
        for key, number in of_name(metrics(http), "loop_failing_rows").items()
        if dict(key)["loop"] == "workspace"
    ]
    assert failing == 1


def test_requests_are_counted_by_template_and_status(daemon, http):
    http.launch("mine")
    for _ in range(3):
        http("GET", "/api/v1/instances/mine")
    http("GET", "/api/v1/instances/unknown")
    http("GET", "/api/v1/nothing")
    http("BREW", "/api/v1/instances")
    http("GET", "/api/v1/instances", {"host": "evil.example"})
    samples = metrics(http)
    show = "/api/v1/instances/{name}"
    assert value(samples, "http_requests_total", route=show, method="GET", status="200") == 3
    assert value(samples, "http_requests_total", route=show, method="GET", status="404") == 1
    times = {"route": show, "method": "GET"}
    assert value(samples, "http_request_seconds_count", **times) == 4
    assert value(samples, "http_request_seconds_bucket", **times, le="+Inf") == 4
    assert 0 < value(samples, "http_request_seconds_sum", **times) < 60
    statuses = {
        dict(key)["status"]: number
        for key, number in of_name(samples, "http_requests_total").items()
        if dict(key)["route"] == "other"
    }
    assert statuses["404"] == 1
    assert statuses["421"] == 1


def test_a_histogram_has_each_answer_in_its_bucket(monkeypatch):
    counts, times = RequestCounts(), iter([0.0, 0.004, 0.0, 0.005, 0.0, 60.0])
    monkeypatch.setattr(
        "prism.kit.request_counts.time", SimpleNamespace(perf_counter=times.__next__)
    )

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    for _ in range(3):
        Http(counts.around(app))("GET", "/")
    [tally] = counts.tallies.values()
    at = dict(zip([*BOUNDS, "more"], tally.buckets, strict=True))
    assert {bound: count for bound, count in at.items() if count} == {0.005: 2, "more": 1}
    assert tally.seconds == pytest.approx(60.009)


def test_what_people_send_makes_no_new_series(daemon, http):
    for count in range(50):
        http("GET", f"/api/v1/instances/w{count}")
        http("GET", f"/nothing/{count}", {"host": "localhost:8947"})
        http(f"M{count}", f"/api/v1/instances/w{count}")
    metrics(http)  # the first reading is a request, too
    before = len(metrics(http))
    for count in range(50, 200):
        http("GET", f"/api/v1/instances/w{count}")
        http("GET", f"/nothing/{count}")
        http(f"M{count}", f"/api/v1/instances/w{count}")
    assert len(metrics(http)) == before


async def answering_anything(scope, receive, send):
    await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
    await send({"type": "http.response.body"})


def test_statuses_of_workspaces_have_few_values():
    counts = RequestCounts()
    http = Http(counts.around(answering_anything))
    for status in range(200, 1000):
        http("GET", f"/{status}")
    assert len(counts.tallies) < 70


def test_no_label_names_a_workspace_or_a_person(team):
    team.token("bob", user="bob@x.org", scope="admin")
    team.invite(email="carol@x.org")
    team.launch("operator", "hush")
    team.daemon.settle()
    team("bob", "GET", "instances/hush")
    team("operator", "GET", "projects/Reef/members/carol@x.org")
    text = ask(team, "operator").text
    assert "prism_workspaces{provider" in text
    for name in ("hush", "bob", "carol", "ada", "x.org"):
        assert not re.search(rf"\b{name}\b", text), name


def ask(team, caller, path="/metrics", method="GET"):
    secret = team.tokens.get(caller)
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    return team.http(method, path, headers)


def test_only_the_operator_and_tokens_for_it_read_the_metrics(team):
    failed(ask(team, "nobody"), 401, "UNAUTHENTICATED")
    for role in ("viewer", "member", "admin", "owner"):
        failed(ask(team, role), 403, "PERMISSION_DENIED")
    assert ask(team, "operator").status_code == 200
    watcher = team.token("watcher", user="prometheus@x.org", scope="metrics")
    assert ask(team, "watcher").status_code == 200
    team("operator", "DELETE", f"tokens/{watcher.id}")
    failed(ask(team, "watcher"), 401, "UNAUTHENTICATED")


def test_money_is_for_the_operator_only(team):
    team(
        "operator",
        "POST",
        "instances/launch",
        json={"name": "w", "template": "Plain Shell", "project": "Reef"},
    )
    team.token("watcher", user="prometheus@x.org", scope="metrics")
    team.token("own", user="ada@x.org", scope="metrics")
    for caller, has_money in (("operator", True), ("own", True), ("watcher", False)):
        text = ask(team, caller).text
        assert ("prism_project_spent_dollars{" in text) is has_money
        assert ("Reef" in text) is has_money
    [project] = team("operator", "GET", "projects").json()
    samples = read(ask(team, "operator").text)
    assert value(samples, "project_spent_dollars", project="Reef") == project["budget"]["spent"]
    assert value(samples, "project_left_dollars", project="Reef") == project["budget"]["left"]


def test_a_token_for_the_metrics_reaches_nothing_else(team):
    """Also as the operator's, for every route, with every project and object."""
    watcher = Caller(name="ada@x.org", operator=True, scope=Scope.METRICS, roles={"p": Role.OWNER})
    for route, of_route in ROUTES.items():
        rule: RouteRule | None = of_route
        while rule is not None:
            allowed = may(watcher, rule, Subject("p", "ada@x.org"))
            assert allowed is (rule.verb.name in {"ANY", "WATCH"}), route
            rule = rule.also
    team.token("own", user="ada@x.org", scope="metrics")
    for path in ("instances", "projects", "tokens", "me", "audit", "daemon/status", "events"):
        failed(team("own", "GET", path), 403, "PERMISSION_DENIED")
    failed(
        team("own", "POST", "tokens", json={"name": "x", "scope": "metrics"}),
        403,
        "PERMISSION_DENIED",
    )


def test_only_the_operator_makes_tokens_for_the_metrics(team):
    for caller in ("owner", "admin"):
        order = {"name": "x", "scope": "metrics"}
        failed(team(caller, "POST", "tokens", json=order), 403, "PERMISSION_DENIED")
    order = {"name": "x", "scope": "metrics", "project": "Reef"}
    failed(team("operator", "POST", "tokens", json=order), 403, "PERMISSION_DENIED")
    assert team("operator", "POST", "tokens", json=order | {"project": None}).status_code == 201


def test_without_a_database_the_rest_is_told(daemon, http, monkeypatch):
    def read_nothing():
        raise DatabaseUnavailable(details="ada:secret@10.0.0.9")

    monkeypatch.setattr(daemon.db, "read", read_nothing)
    text = http("GET", "/metrics").text
    samples = read(text)
    assert value(samples, "database_up") == 0
    assert "secret" not in text
    assert value(samples, "event_readers") == 0
    assert of_name(samples, "loop_overdue_seconds") == {}


def test_openmetrics_is_written_for_those_who_ask(http):
    answer = http("GET", "/metrics", {"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_route_templates_are_written_as_in_the_documentation(daemon, http):
    http("GET", "/api/v1/projects/x/members/y@x.org")
    routes = {dict(key)["route"] for key in of_name(metrics(http), "http_requests_total")}
    assert routes == {"/api/v1/projects/{project_id}/members/{email}"}
    assert route_of("GET", *routes) in ROUTES
