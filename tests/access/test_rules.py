"""The access matrix, cell by cell, on every route of the application."""

import asyncio
import re

import pytest

from prism.access.middleware import STRANGER
from prism.access.model import AccessVerb, Caller, Role, RouteRule, Scope, Subject
from prism.access.plan import MATRIX, allows, may, may_give, scope_allows, sees
from prism.access.rules import ROUTES, SHARE_OF_GUEST, route_of, rule_of
from tests.access.people import ROLES
from tests.conftest import Http
from tests.project.tree import ROOT
from tests.shapes import failed

RIGHTS = ROOT / "tests" / "access" / "rights.txt"
PAGE = (ROOT / "docs" / "people.md").read_text()
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PROXIES = ("/web-proxy", "/dcv-proxy")  # elsewhere OPTIONS is the framework's own answer
LOGIN = {"/api/v1/login", "/api/v1/logout", "/api/v1/login/provider", "/auth/callback"}
LOGIN |= {"/auth/backchannel-logout", "/auth/app", "/api/v1/login/terminal/session"}
LOGIN |= {"/api/v1/login/mail"}
LOGIN |= {"/api/v1/login/account", "/api/v1/login/device", "/api/v1/login/device/session"}
LOGIN |= {"/auth/callback/x", "/auth/backchannel-logout/x"}
STREAMS = {"GET /api/v1/events"}
BODIES = {
    "POST /api/v1/instances/launch": {
        "name": "x",
        "template": "Plain Shell",
        "project": "Reef",
        "dry_run": True,
    },
    "PUT /api/v1/instances/{name}": {"restart": True},
    "POST /api/v1/daemon/servers/try": {"host": "server.invalid"},
    "POST /api/v1/instances/{name}/terminate": {"confirm": "DELETE"},
    "POST /api/v1/instances/{name}/move": {"project": "Reef"},
    "POST /api/v1/instances/{name}/rollback": {"snapshot": "s"},
    "POST /api/v1/snapshots/{name}/copy": {"destination": "/mnt/disk"},
    "POST /api/v1/remote-copies/fetch": {"destination": "/nonexistent", "copy": "x"},
    "POST /api/v1/copy-schedules": {
        "destination": "/mnt/disk",
        "every": "daily",
        "volume": "unknown",
    },
    "POST /api/v1/instances/{name}/files/folder": {"path": "x"},
    "POST /api/v1/instances/{name}/files/rename": {"path": "x", "to": "y"},
    "POST /api/v1/profiles": {"name": "other", "provider": "local"},
    "PUT /api/v1/profiles/{name}": {},
    "POST /api/v1/profiles/switch": {"profile_name": "local"},
    "POST /api/v1/projects": {"name": "mine"},
    "PUT /api/v1/projects/{project_id}": {"description": "x"},
    # Where everybody makes projects, an owner adds nobody else unasked.
    "POST /api/v1/projects/{project_id}/members": {"email": "owner@x.org"},
    "PUT /api/v1/projects/{project_id}/members/{email}": {"role": "member"},
    "POST /api/v1/invitations/send": {"project_id": "Reef", "email": "y@x.org", "role": "viewer"},
    "POST /api/v1/invitations/bulk": {"project_id": "Reef", "invitations": [{"email": "u@x.org"}]},
    "POST /api/v1/invitations/{invitation_id}/accept": {"token": "x"},
    "POST /api/v1/invitations/{invitation_id}/decline": {"token": "x"},
    "POST /api/v1/storage/volumes/create": {"type": "efs", "name": "v2", "project": "Reef"},
    "POST /api/v1/storage/volumes/{name}/attach": {"instance": "reef"},
    "POST /api/v1/snapshots": {"name": "s2", "volume": "data"},
    "POST /api/v1/snapshots/{name}/restore": {"name": "v3"},
    "POST /api/v1/snapshots/{name}/verify": {},
    "POST /api/v1/tokens": {"name": "t"},
    "POST /api/v1/login-links": {"user": "new@x.org"},
    "POST /api/v1/budgets": {
        "name": "b",
        "total_amount": 5.0,
        "period": "project",
        "created_by": "ada@x.org",
    },
    "PUT /api/v1/budgets/{budget_id}": {},
    "POST /api/v1/allocations": {
        "budget_id": "b",
        "project_id": "Reef",
        "allocated_amount": 1.0,
        "allocated_by": "ada@x.org",
    },
    "PUT /api/v1/allocations/{allocation_id}": {},
    "POST /api/v1/requests": {"kind": "time", "hours": 1, "workspace": "reef"},
    "POST /api/v1/webhooks": {"url": "https://example.org/hook"},
    "PUT /api/v1/limits": {"person": "z@x.org", "project": "Reef", "workspaces": 9},
    "POST /api/v1/reallocations": {
        "source_allocation_id": "a",
        "destination_allocation_id": "b",
        "amount": 1.0,
        "reason": "r",
    },
    "POST /api/v1/instances/{name}/shares": {
        "terminal": True,
        "guest": "everybody",
        "until": "2026-01-02T00:00:00Z",
    },
    "POST /api/v1/idle/profiles": {"name": "i", "idle_threshold_minutes": 5, "action": "stop"},
    "POST /api/v1/idle/instances/{name}/keep-awake": {"minutes": 5},
    "POST /api/v1/idle/instances/{name}/configure": {"profile": "batch"},
}


def routes(app):
    """Every route of an application: its method, and its path as the router names it."""
    for route in app.routes:
        handlers = getattr(route, "route_handlers", None) or [route.route_handler]
        for handler in handlers:
            methods = getattr(handler, "http_methods", {"WS"})
            for method in methods:
                if method != "OPTIONS" or route.path.startswith(PROXIES):
                    yield method, route.path


def application(daemon):
    return daemon.app._app._app.app


def test_access_rules_list_exactly_the_routes_of_the_application(daemon):
    built = {route_of(*route) for route in routes(application(daemon))}
    assert built - set(ROUTES) == set(), "access/rules.py lacks a rule for these routes"
    assert set(ROUTES) - built == set(), "access/rules.py names routes that do not exist"


def rule_text(rule):
    """What a route needs, in a line."""
    of = f"{rule.kind}={rule.where}" if rule.kind else ""
    own = f"own:{rule.own.name}" if rule.own else ""
    whose = f"whose:{rule.whose}" if rule.whose else ""
    whole = f"whole:{rule.whole.name}" if rule.whole else ""
    more = [word for word in ("optional", "narrow") if getattr(rule, word)]
    also = f"and {rule_text(rule.also)}" if rule.also else ""
    return " ".join(filter(None, [rule.verb.name, of, own, whose, whole, *more, also]))


def test_access_rules_equal_rights_txt():
    """The other tests here compare with the rules themselves, so a right is written twice."""
    table = "".join(f"{route}: {rule_text(rule)}\n" for route, rule in sorted(ROUTES.items()))
    assert table == RIGHTS.read_text()


# By the beginning of a path: the kind of object whose name is its first parameter.
NAMED_IN_PATH = {
    **dict.fromkeys(("/api/v1/instances", "/api/v1/idle/instances", "/api/v1/logs"), "workspace"),
    **dict.fromkeys(("/web-proxy", "/dcv-proxy", "/ssh-proxy"), "workspace"),
    "/api/v1/projects": "project",
    "/api/v1/invitations/project": "project",
    "/api/v1/invitations": "invitation",
    "/api/v1/storage/volumes": "volume",
    "/api/v1/snapshots": "snapshot",
}
READING = {
    *(AccessVerb.ANY, AccessVerb.LOOK, AccessVerb.READ, AccessVerb.USE),
    *(AccessVerb.FOUND, AccessVerb.LAUNCH),
}
"""Verbs that allow to change no object that exists."""
# An invited person answers, who has no role yet; the token in the mail is their right.
ANSWERED = {f"POST /api/v1/invitations/{{invitation_id}}/{word}" for word in ("accept", "decline")}
OF_OPERATOR = {
    "POST /api/v1/snapshots/{name}/copy"
}  # written with the rights of the daemon's user


def object_in_path(route):
    """The kind and the parameter of the object that a path names, if any."""
    path = route.partition(" ")[2]
    begin, _, rest = path.partition("/{")
    if not rest or begin not in NAMED_IN_PATH or route in OF_OPERATOR:
        return None
    return NAMED_IN_PATH[begin], rest.partition("}")[0]


@pytest.mark.parametrize("route", [route for route in ROUTES if object_in_path(route)])
def test_right_is_about_the_object_in_the_path(route):
    """Independent of both lists: a wrong right that was copied into the other fails here."""
    rule = ROUTES[route]
    assert (rule.kind, rule.where) == object_in_path(route)
    assert not (rule.optional or rule.narrow or rule.whole), "the object is always named"
    if not route.startswith(("GET ", "HEAD ", "OPTIONS ")):
        assert rule.verb not in READING, "it changes an object, so reading it is not enough"
        assert rule.own not in READING or rule.whose or route in ANSWERED


def test_routes_with_an_object_in_their_path_are_found():
    assert {
        kind for route in ROUTES if (named := object_in_path(route)) for kind in named[:1]
    } == {*NAMED_IN_PATH.values()}
    assert len([route for route in ROUTES if object_in_path(route)]) > 60


def test_caller_has_no_rights_by_default():
    caller = Caller(name="x")
    assert (caller.operator, dict(caller.roles), caller.token_project) == (False, {}, None)
    assert not STRANGER.operator
    assert not STRANGER.known


def test_route_without_a_rule_is_for_the_operator():
    assert rule_of("GET", "/api/v1/forgotten/{name:str}").verb is AccessVerb.SERVE


CELLS = [
    ("viewer", {AccessVerb.READ}),
    ("member", {AccessVerb.READ, AccessVerb.LAUNCH, AccessVerb.MANAGE_OWN}),
    (
        "admin",
        {
            AccessVerb.READ,
            AccessVerb.LAUNCH,
            AccessVerb.MANAGE_OWN,
            AccessVerb.MANAGE,
            AccessVerb.STORE,
            AccessVerb.INVITE,
        },
    ),
    ("owner", {*MATRIX}),
    (None, set()),
]


@pytest.mark.parametrize(("role", "verbs"), CELLS)
def test_role_allows_its_verbs(role, verbs):
    anybodys = {AccessVerb.ANY, AccessVerb.LOOK, AccessVerb.USE, AccessVerb.FOUND}
    have = {verb for verb in AccessVerb if allows(Role(role) if role else None, verb)}
    assert have == verbs | anybodys


def test_scope_allows_its_verbs():
    reads = {verb for verb in AccessVerb if scope_allows(Scope.READ, verb)}
    assert reads == {AccessVerb.ANY, AccessVerb.LOOK, AccessVerb.READ, AccessVerb.WATCH}
    metrics = {verb for verb in AccessVerb if scope_allows(Scope.METRICS, verb)}
    assert metrics == {AccessVerb.ANY, AccessVerb.WATCH}
    more = {verb for verb in AccessVerb if scope_allows(Scope.OPERATE, verb)} - reads
    assert more == {
        AccessVerb.USE,
        AccessVerb.LAUNCH,
        AccessVerb.MANAGE_OWN,
        AccessVerb.MANAGE,
        AccessVerb.STORE,
    }
    assert all(scope_allows(Scope.ADMIN, verb) for verb in AccessVerb)


def test_docs_contain_the_access_matrix():
    heads = ("", *Role, "operator")
    lines = [heads, tuple("---" for _ in heads)]
    for verb in AccessVerb:
        cells = ("✓" if allows(role, verb) else "" for role in Role)
        lines.append((f"{verb}", *cells, "✓"))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    assert table in PAGE, "the matrix in docs/people.md is out of date"


def test_own_workspace_requires_the_lesser_verb_and_a_role_in_its_project():
    rule = RouteRule(AccessVerb.MANAGE, own=AccessVerb.MANAGE_OWN)
    theirs = Subject("p", "Bob@x.org")
    for role, expected in (("viewer", False), ("member", True), ("admin", True)):
        bob = Caller(name="bob@x.org", roles={"p": Role(role)})
        assert may(bob, rule, theirs) is expected
        assert may(bob, rule, Subject("p", "eve@x.org")) is (role == "admin")
    former_member = Caller(name="bob@x.org")
    assert not may(former_member, rule, theirs) and not sees(former_member, theirs)
    assert may(former_member, rule, Subject(None, "bob@x.org"))


def test_caller_can_give_roles_up_to_their_own():
    for own in Role:
        caller = Caller(name="a", roles={"p": own})
        roles = {role for role in Role if may_give(caller, "p", role)}
        assert roles == {role for role in Role if role.rank <= own.rank}
        assert not may_give(caller, "q", Role.VIEWER)


@pytest.fixture
def url(tmp_path):
    """The tests over every route use SQLite only; they are about routes, not databases."""
    return f"sqlite:///{tmp_path / 'walk.db'}"


@pytest.fixture
def team_with_everything(team, clock):
    """An object of every kind, for the paths of routes to name."""
    assert team.launch("member", "reef").status_code == 201
    volume = {"type": "efs", "name": "data", "project": team.project}
    assert team("operator", "POST", "storage/volumes/create", json=volume).status_code == 201
    settle(team.daemon, clock)
    copied = team("operator", "POST", "snapshots", json={"name": "snap", "volume": "data"})
    assert copied.status_code == 201, copied.text
    settle(team.daemon, clock)
    team.invitation = team.invite().json()["id"]
    body = {"terminal": True, "guest": "everybody", "until": "2026-01-02T00:00:00Z"}
    shared = team("member", "POST", "instances/reef/shares", json=body)
    assert shared.status_code == 201, shared.text
    team.share = shared.json()["id"]
    longer = {"kind": "time", "hours": 1, "workspace": "reef"}
    team.request = team("operator", "POST", "requests", json=longer).json()["id"]
    return team


def settle(daemon, clock):
    for _ in range(4):
        clock.advance(seconds=3)
        daemon.settle()


def path_of(team, method, template):
    """A path of a route that names existing objects."""
    names = {
        "project_id": team.project,
        "invitation_id": team.invitation,
        "request_id": team.request,
        "instance": "reef",
        "email": "viewer@x.org",
        "service": "console",
        "budget_id": "none",
        "allocation_id": "none",
        "id": team.share if "/shares/" in template else "none",
        "rest": "x",
        "path": "x",
        "provider": "x",
    }
    rule = rule_of(method, template)
    kind = rule.kind
    names["name"] = {"workspace": "reef", "volume": "data", "snapshot": "snap"}.get(kind, "local")
    where, _, parameter = rule.where.partition("query.")
    query = "" if where else f"?{parameter}={team.project}"
    return re.sub(r"/?\{(\w+):(\w+)\}", lambda m: f"/{names[m[1]]}", template) + query


def test_every_route_and_method_requires_a_token(team_with_everything):
    """Public routes are the exception."""
    app = application(team_with_everything.daemon)
    for route in app.routes:
        if not hasattr(route, "route_handlers"):
            continue
        for method in METHODS:
            public = (
                ROUTES.get(route_of(method, route.path), RouteRule(AccessVerb.SERVE)).verb
                is AccessVerb.ANY
            )
            path = path_of(team_with_everything, method, route.path)
            answer = team_with_everything(
                None, method, path, json={} if method in {"POST", "PUT"} else None
            )
            expected = {200, 404} if public else {401, 405}
            if path in LOGIN and public:  # refused for another reason
                expected = {200, 401, 403, 405, 422}
            assert answer.status_code in expected, (method, path, answer.text)
            if answer.status_code == 401:
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert method == "HEAD" or public or code_of(answer) == "UNAUTHENTICATED"
    for word in ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer prism_tok_1.x", "bearer \x00"):
        answer = team_with_everything(None, "GET", "instances", headers={"Authorization": word})
        failed(answer, 401, "UNAUTHENTICATED")


def test_every_websocket_route_requires_a_token(team_with_everything):
    for route in application(team_with_everything.daemon).routes:
        if hasattr(route, "route_handler") and not hasattr(route, "route_handlers"):
            path = path_of(team_with_everything, "WS", route.path)
            assert (
                first_websocket_message(team_with_everything.daemon.app, path) == "websocket.close"
            ), path
            token = team_with_everything.tokens["outside"]
            if path != "/api/v1/ws":
                assert (
                    first_websocket_message(team_with_everything.daemon.app, path, token)
                    == "websocket.close"
                ), path
    assert (
        first_websocket_message(
            team_with_everything.daemon.app, "/api/v1/ws", team_with_everything.tokens["viewer"]
        )
        == "websocket.accept"
    )


def first_websocket_message(app, path, token=None):
    """The first answer to a handshake."""
    headers = [(b"host", b"localhost:8947")]
    headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "server": ("127.0.0.1", 8947),
        "client": ("127.0.0.1", 1),
        "scheme": "ws",
        "subprotocols": [],
        "extensions": {},
        "root_path": "",
    }
    messages = []

    async def ask():
        words = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

        async def receive():
            return words.pop(0)

        async def send(message):
            messages.append(message["type"])

        await app(scope, receive, send)

    asyncio.run(ask())
    return messages[0]


def test_every_route_allows_and_refuses_each_role_as_its_rule_demands(team_with_everything):
    """A refused request records no event."""
    everything = sorted(routes(application(team_with_everything.daemon)))
    last = {"DELETE /api/v1/projects/{project_id}", "POST /api/v1/daemon/shutdown"}
    everything.sort(key=lambda route: route_of(*route) in last)
    before = team_with_everything.daemon.db.newest_event()
    for denied in (True, False):
        for method, template in everything:
            name, rule = route_of(method, template), rule_of(method, template)
            if method == "WS" or name in STREAMS or rule.verb is AccessVerb.ANY:
                continue
            for caller in (*ROLES, "outside", "operator"):
                expected = expectation(rule, caller)
                if (expected is None) is denied:
                    continue
                body = BODIES.get(name, {} if method in {"POST", "PUT"} else None)
                body = body and with_caller_as_creator(body, caller)
                answer = team_with_everything(
                    caller, method, path_of(team_with_everything, method, template), json=body
                )
                code = code_of(answer)
                assert code != "INVALID_JSON" and (code != "VALIDATION_FAILED" or not denied), (
                    f"{name}: add a valid body to BODIES"
                )
                where = (name, caller, answer.status_code, code)
                if expected is None:
                    assert code not in {"PERMISSION_DENIED", "UNAUTHENTICATED"}, where
                else:
                    assert code in expected, where
        if denied:
            assert team_with_everything.daemon.db.newest_event() == before, (
                "a refused request recorded an event"
            )


def with_caller_as_creator(body, caller):
    user = "ada@x.org" if caller == "operator" else f"{caller}@x.org"
    return {k: user if k in {"created_by", "allocated_by"} else v for k, v in body.items()}


def expectation(rule, caller):
    """The codes of the expected refusal, or None if the request is allowed."""
    hidden = {
        "workspace": "INSTANCE_NOT_FOUND",
        "project": "PROJECT_NOT_FOUND",
        "invitation": "INVITATION_NOT_FOUND",
        "request": "REQUEST_NOT_FOUND",
        "volume": "VOLUME_NOT_FOUND",
        "snapshot": "SNAPSHOT_NOT_FOUND",
        "share": "SHARE_NOT_FOUND",
        SHARE_OF_GUEST: "SHARE_NOT_FOUND",
    }
    if caller == "operator" or (rule.kind == SHARE_OF_GUEST and caller != "outside"):
        return None  # the share is for everybody who belongs to a project
    if caller == "outside":
        if rule.kind:
            return {hidden[rule.kind]}
        return (
            None
            if rule.verb in {AccessVerb.LOOK, AccessVerb.USE, AccessVerb.FOUND}
            else {"PERMISSION_DENIED"}
        )
    if allows(Role(caller), rule.verb):
        return None
    if rule.own is AccessVerb.MANAGE_OWN and caller == "member":
        return None  # the workspace is the member's own
    if rule.whose and caller == "viewer":
        return None  # the path names the viewer
    return {"PERMISSION_DENIED"}


def code_of(answer):
    kind = answer.headers.get("content-type", "")
    if answer.status_code < 400 or not kind.startswith("application/json"):
        return None
    if not answer.content:  # to HEAD
        return {403: "PERMISSION_DENIED", 404: "INSTANCE_NOT_FOUND"}.get(answer.status_code)
    return answer.json()["error"]["code"]


def test_caller_is_the_operator_in_local_mode(daemon):
    http = Http(daemon.app)
    response = http(
        "POST",
        "/api/v1/projects",
        json={"name": "P", "members": [{"email": "o@x.org", "role": "owner"}]},
    )
    assert response.status_code == 201
    assert http("DELETE", f"/api/v1/projects/{response.json()['id']}").status_code == 200
