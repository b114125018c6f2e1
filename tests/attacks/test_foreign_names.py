"""Nobody learns from an answer that a name is used by people whom they do not see."""

import re

import pytest

from prism.access.rules import ROUTES, rule_of
from tests.access.test_rules import BODIES, STREAMS, application, first_websocket_message, routes
from tests.conftest import ML

HIDDEN, ABSENT = "hidden", "absent"
# What an answer says about its request or the moment, whoever sends it.
OF_THE_MOMENT = {"date", "x-request-id", "content-length", "link"}
NAMING = ("workspace", "volume", "snapshot")


@pytest.fixture
def lab(team, clock):
    """Others have one of each kind called `hidden`; who is outside has a project of their own."""
    own = team("outside", "POST", "projects", json={"name": "Own"}).json()["id"]
    assert team.launch("member", HIDDEN, template=ML).status_code == 201
    volume = {"type": "efs", "name": HIDDEN, "project": "Reef"}
    assert team("admin", "POST", "storage/volumes/create", json=volume).status_code == 201
    settle(team.daemon, clock)
    copied = team("admin", "POST", "snapshots", json={"name": HIDDEN, "volume": HIDDEN})
    assert copied.status_code == 201, copied.text
    assert team.launch("outside", "mine", template=ML, project=own).status_code == 201
    volume = {"type": "efs", "name": "mine", "project": own}
    assert team("outside", "POST", "storage/volumes/create", json=volume).status_code == 201
    settle(team.daemon, clock)
    copied = team("outside", "POST", "snapshots", json={"name": "mine", "volume": "mine"})
    assert copied.status_code == 201, copied.text
    settle(team.daemon, clock)
    return team


def settle(daemon, clock):
    for _ in range(4):
        clock.advance(seconds=3)
        daemon.settle()


def observed(answer, name):
    """Everything in an answer that a caller can compare, without the name of the request."""
    headers = {
        key: value for key, value in answer.headers.items() if key.lower() not in OF_THE_MOMENT
    }
    text = re.sub(r"(req|evt|ws|volume|snapshot)_[0-9a-z]+", r"\1_ID", answer.text)
    text = re.sub(r"local-[0-9a-f]{17}|(vol|fs|snap)-[0-9a-f]{17}", "ID", text)
    length = len(answer.content) - answer.text.count(name) * len(name)
    return answer.status_code, text.replace(name, "X"), headers, length


def differing(lab, method, path_of, body_of=lambda _: None):
    """Both answers if one can tell which name exists, else None."""
    answers = [
        observed(lab("outside", method, path_of(name), json=body_of(name)), name)
        for name in (HIDDEN, ABSENT)
    ]
    return None if answers[0] == answers[1] else (method, path_of("X"), *answers)


def named_routes(lab):
    """Every route with the name of a workspace, a volume or a snapshot in its path."""
    for method, template in sorted(routes(application(lab.daemon))):
        rule = rule_of(method, template)
        parameter = rule.where if rule.kind in NAMING else ""
        if f"{{{parameter}:" in template and f"{method} {template}" not in STREAMS:
            yield method, template, parameter


@pytest.mark.parametrize("suffix", ["", "--member", "--admin", "--nobody", "--outside"])
def test_outsider_cannot_tell_a_foreign_name_from_a_missing_one(lab, suffix):
    count, tells = 0, list[tuple[object, ...]]()
    for method, template, parameter in named_routes(lab):
        plain = re.sub(r"\{(\w+):\w+\}", r"{\1}", template)

        def path_of(name, template=template, parameter=parameter):
            path = template.replace(f"{{{parameter}:str}}", f"{name}{suffix}")
            return re.sub(r"/?\{\w+:\w+\}", "/x", path)

        if method == "WS":
            token = lab.tokens["outside"]
            kinds = {
                first_websocket_message(lab.daemon.app, path_of(name), token)
                for name in (HIDDEN, ABSENT)
            }
            assert kinds == {"websocket.close"}, plain
        else:
            body = BODIES.get(f"{method} {plain}", {} if method in {"POST", "PUT"} else None)
            tells += filter(None, [differing(lab, method, path_of, lambda _, body=body: body)])
        count += 1
    assert not tells
    assert count > 60


BODIES_WITH_NAMES = {
    "POST instances/launch": {
        "launch": lambda name: {"name": name, "template": "Plain Shell", "project": "Own"},
        "trial": lambda name: {
            "name": name,
            "template": "Plain Shell",
            "project": "Own",
            "dry_run": True,
        },
        "volumes": lambda name: {
            "name": "other",
            "template": "Plain Shell",
            "project": "Own",
            "volumes": [name],
        },
        "snapshot": lambda name: {
            "name": "other",
            "template": "Plain Shell",
            "project": "Own",
            "from_snapshot": name,
        },
    },
    "POST storage/volumes/create": {
        "new": lambda name: {"type": "efs", "name": name, "project": "Own"}
    },
    "POST storage/volumes/mine/attach": {"to": lambda name: {"instance": name}},
    "POST storage/volumes/mine/detach": {"from": lambda name: {"instance": name}},
    "POST snapshots": {
        "new": lambda name: {"name": name, "volume": "mine"},
        "volume": lambda name: {"name": "other", "volume": name},
        "workspace": lambda name: {"name": "other", "instance": name},
    },
    "POST snapshots/mine/restore": {"new": lambda name: {"name": name}},
    "POST instances/mine/rollback": {"to": lambda name: {"snapshot": name}},
}


@pytest.mark.parametrize(
    ("route", "use"), [(route, use) for route, uses in BODIES_WITH_NAMES.items() for use in uses]
)
def test_outsider_learns_nothing_from_names_in_bodies(lab, route, use):
    method, path = route.split()
    body_of = BODIES_WITH_NAMES[route][use]
    for suffix in ("", "--member", "--admin") if use not in {"launch", "new", "trial"} else ("",):
        named = lambda name, suffix=suffix: body_of(name + suffix)  # noqa: E731  one of several
        assert differing(lab, method, lambda _: path, named) is None


def test_each_route_with_a_name_in_its_body_is_attacked():
    """A new route with such a body needs an attack above."""
    known = {"body.project", "body.project_id"}
    rules = {
        (route, part.where)
        for route, rule in ROUTES.items()
        for part in (rule, rule.also, rule.also and rule.also.also)
        if part and part.where.startswith("body.") and part.where not in known
    }
    attacked = {path.replace("mine", "{name}") for path in BODIES_WITH_NAMES}
    assert {route.replace("/api/v1/", "") for route, _ in rules} <= attacked


def test_lists_and_events_do_not_show_foreign_names(lab):
    for path in (
        "instances",
        "storage/volumes",
        "snapshots",
        "audit",
        "audit?subject=hidden",
        "projects",
        "costs/history?project=Own",
        "daemon/status",
        "instances?owner=member@x.org",
    ):
        answer = lab("outside", "GET", path)
        assert HIDDEN not in answer.text, path


def test_etag_does_not_change_when_another_person_takes_the_same_name(lab):
    before = lab("outside", "GET", "instances").headers["etag"]
    assert lab.launch("admin", "mine", template=ML).status_code == 201
    assert lab("outside", "GET", "instances").headers["etag"] == before
