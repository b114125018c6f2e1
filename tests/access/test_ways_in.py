"""Every route, for every role, by every way into the daemon: what the table says, and no more.

The expected answer is computed here from the tables of rights (`MATRIX`, `SCOPES`) and the rule of
the route, without the code that decides. Refusals are tried first, and change nothing.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from prism.access.model import AccessVerb, Role, RouteRule, Scope
from prism.access.plan import MATRIX, SCOPES
from prism.access.rules import route_of, rule_of
from prism.kit.cookies import APP_COOKIE
from prism.sessions.app_sessions import AppSessions
from tests.access.people import ROLES, Team
from tests.access.test_rules import (
    BODIES,
    STREAMS,
    application,
    code_of,
    path_of,
    routes,
    team_with_everything,
    url,
    with_caller_as_creator,
)
from tests.conftest import Http
from tests.proofs import record
from tests.sessions.conftest import HOST, TabOfBrowser, team
from tests.sessions.test_terminal_login import NO_CODE, approval, logged_in

__all__ = ["team", "team_with_everything", "url"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PEOPLE = (*ROLES, "outside", "operator")
HIDDEN = {
    "workspace": "INSTANCE_NOT_FOUND",
    "project": "PROJECT_NOT_FOUND",
    "invitation": "INVITATION_NOT_FOUND",
    "volume": "VOLUME_NOT_FOUND",
    "snapshot": "SNAPSHOT_NOT_FOUND",
}
REFUSED = {"PERMISSION_DENIED", "UNAUTHENTICATED"}
# These take away what later requests name, or the right to them: the others come first.
LAST = (
    "POST /api/v1/instances/{name}/terminate",
    "PUT /api/v1/projects/{project_id}/members/{email}",
    "DELETE",
    "DELETE /api/v1/projects/{project_id}/members/{email}",
    "DELETE /api/v1/projects/{project_id}",
    "POST /api/v1/daemon/shutdown",
)
# Only a browser's session lets in a command line, whatever the table allows.
FOR_BROWSERS = {f"POST /api/v1/login/{rest}" for rest in ("terminal", "device/find")}
FOR_BROWSERS |= {"POST /api/v1/login/device/answer"}
ENDS_SESSIONS = "DELETE /api/v1/sessions"
NAMED: dict[str, Any] = {
    "POST /api/v1/instances/{name}/rollback": {"snapshot": "snap"},
    "PUT /api/v1/projects/{project_id}/members/{email}": {"role": "viewer"},
    "POST /api/v1/login/terminal": approval(),
    "POST /api/v1/login/device/find": {"user_code": NO_CODE},
    "POST /api/v1/login/device/answer": {"user_code": NO_CODE, "allow": False},
}


class Way(NamedTuple):
    """How a person comes in, and what of their rights the way lets through."""

    name: str
    scope: Scope = Scope.ADMIN
    project: str = ""
    """The only project that the way is for: `reef`, in which everything is, or `other`."""
    is_known: bool = True


class Sender(NamedTuple):
    """Sends requests of one person by one way."""

    person: str
    way: Way
    send: Any

    def __call__(self, method: str, path: str, body: object) -> httpx.Response:
        answer: httpx.Response = self.send(method, path, json=body)
        return answer


TOKENS = (
    Way("token"),
    Way("token to operate", Scope.OPERATE),
    Way("token to read", Scope.READ),
    Way("token for the project", project="reef"),
    Way("token for another project", project="other"),
)


def address(person: str) -> str:
    return "ada@x.org" if person == "operator" else f"{person}@x.org"


def by_token(team: Team, token: str) -> Any:
    """A program that shows a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return lambda method, path, **body: team.http(method, path, headers=headers, **body)


def senders_of(team: Team, person: str) -> Iterator[Sender]:
    """Every way of one person."""
    for way in TOKENS:
        name = f"{person}, {way.name}"
        more = {"project": {"reef": "Reef", "other": "Other"}[way.project]} if way.project else {}
        team.token(name, user=address(person), scope=way.scope, **more)
        yield Sender(person, way, by_token(team, team.tokens[name]))
    tab = TabOfBrowser(team)
    tab.log_in(address(person))
    yield Sender(person, Way("browser"), tab)
    narrow = TabOfBrowser(team)
    token = team.tokens[f"{person}, token to read"]
    assert narrow("POST", "login", json={"token": token}).status_code == 200
    yield Sender(person, Way("browser, by a token to read", Scope.READ), narrow)
    terminal = by_token(team, logged_in(team, tab)["token"])
    yield Sender(person, Way("command line"), terminal)


def senders(team: Team, clock: Any) -> list[Sender]:
    """Every person by every way, the socket of the operator, and who has no right to be there."""
    everybody = [sender for person in PEOPLE for sender in senders_of(team, person)]
    everybody += [Sender("operator", Way("Unix socket"), Http(over_socket(team.daemon.app)))]
    nobody = Way("nothing", is_known=False)
    everybody += [Sender("operator", nobody, team.http)]
    app_way = Way("cookie of an app", is_known=False)
    headers = {"Cookie": f"{APP_COOKIE}={app_cookie(team, clock)}", "Host": HOST}

    def at_api(method: str, path: str, **body: Any) -> httpx.Response:
        return team.http(method, path, headers=headers, **body)

    return [*everybody, Sender("member", app_way, at_api)]


def over_socket(app: Any) -> Any:
    """The application as it is called over the Unix socket."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "server": ("/run/prism.sock", None), "client": None}, receive, send)

    return call


def app_cookie(team: Team, clock: Any) -> str:
    """A cookie with which the member's browser has entered the app of their workspace."""
    tab = TabOfBrowser(team)
    tab.log_in("member@x.org")
    session = (tab.cookie or "").partition(".")[0]
    apps = AppSessions(team.daemon.db, clock, team.daemon.sessions)
    host, state = "reef--member.apps.example.org", "0" * 64
    guided = apps.guide(apps.ask(session, "local-1", host, state).words)
    assert guided is not None
    entered = apps.enter(f"{guided.app.id}.{guided.secret}", host, state)
    assert entered is not None
    return entered.words


def rank(role: str | None) -> int:
    return -1 if role is None else list(Role).index(Role(role))


def expected(rule: RouteRule, person: str, way: Way) -> str | None:
    """The code of the refusal, or None if the table allows it."""
    if not way.is_known:
        return "UNAUTHENTICATED"
    is_operator = person == "operator" and not way.project
    role = person if person in ROLES else None
    if person == "operator" and way.project:
        role = "owner"
    if way.project == "other":
        role = None
    is_whole = rule.whole and is_operator and reaches(way, rule.whole)
    if rule.kind and not is_whole and not names_nothing(rule):
        if role is None and not is_operator:
            return HIDDEN[rule.kind]
        if not allowed(rule, person, way, role, is_operator=is_operator):
            return "PERMISSION_DENIED"
    elif not rule.kind and not allowed(rule, person, way, role, is_operator=is_operator):
        return "PERMISSION_DENIED"
    return expected(rule.also, person, way) if rule.also else None


def names_nothing(rule: RouteRule) -> bool:
    """Whether the bodies of this test leave the object out."""
    return rule.where in {"body.volumes", "body.from_snapshot"} or (
        rule.where == "body.instance" and rule.optional
    )


def reaches(way: Way, verb: AccessVerb) -> bool:
    """Whether the scope of the way is wide enough."""
    scopes = list(Scope)
    return scopes.index(way.scope) >= scopes.index(SCOPES.get(verb, Scope.ADMIN))


def allowed(
    rule: RouteRule, person: str, way: Way, role: str | None, *, is_operator: bool
) -> bool:
    """Whether the cell of the table, by this way, has the right."""
    owner = {"workspace": "member"}.get(rule.kind) if not rule.whose else "viewer"
    if rule.own is not None and owner == person and way.project != "other":
        lowest = MATRIX[rule.own]
        if reaches(way, rule.own) and (lowest is None or rank(role) >= rank(lowest)):
            return True
    if not reaches(way, rule.verb):
        return False
    if way.project and rule.verb in {AccessVerb.USE, AccessVerb.FOUND} and not rule.narrow:
        return False
    if is_operator:
        return True
    if rule.verb not in MATRIX:
        return False
    lowest = MATRIX[rule.verb]
    return lowest is None or rank(role) >= rank(lowest)


def is_let_in(name: str, way: Way, got: str | None) -> bool:
    """Whether an answer is that of somebody who may; what they ask for may be impossible."""
    if name in FOR_BROWSERS and not way.name.startswith("browser"):
        return got == "PERMISSION_DENIED"
    if name == "POST /api/v1/tokens" and way.project:
        return got == "PERMISSION_DENIED"  # such a token makes only tokens for its project
    if name.startswith("DELETE /api/v1/projects/{project_id}"):
        return got != "PERMISSION_DENIED"  # the first such request ends what the others show
    return got not in REFUSED


def order(route: tuple[str, str]) -> tuple[int, str]:
    """The place of a route: what takes something away comes last."""
    name = route_of(*route)
    late = [place for place, begin in enumerate(LAST) if name.startswith(begin)]
    return max(late, default=-1), name


def body_for(name: str, method: str, person: str) -> Any:
    body = NAMED.get(name) or BODIES.get(name, {} if method in {"POST", "PUT"} else None)
    return body and with_caller_as_creator(body, person)


def test_every_route_gives_each_role_by_each_way_what_the_table_says(team_with_everything, clock):
    team = team_with_everything
    assert team("operator", "POST", "projects", json={"name": "Other"}).status_code == 201
    everybody = senders(team, clock)
    tried = [
        (method, template, route_of(method, template), rule_of(method, template))
        for method, template in sorted(routes(application(team.daemon)), key=order)
    ]
    tried = [
        route
        for route in tried
        if route[0] != "WS" and route[2] not in STREAMS and route[3].verb is not AccessVerb.ANY
    ]
    before, count, different = team.daemon.db.newest_event(), Counter[str](), []
    for is_refused in (True, False):
        for method, template, name, rule in tried:
            for sender in everybody:
                code = expected(rule, sender.person, sender.way)
                if (code is not None) is not is_refused:
                    continue
                if name.startswith(ENDS_SESSIONS) and not is_refused:
                    continue  # below: it ends the ways themselves
                body = body_for(name, method, sender.person)
                answer = sender(method, path_of(team, method, template), body)
                got, where = code_of(answer), (name, sender.person, sender.way.name)
                count[sender.way.name] += 1
                is_right = got == code if is_refused else is_let_in(name, sender.way, got)
                if method == "HEAD":  # its answers have no code, and browsers are led elsewhere
                    is_right = not is_refused or answer.status_code in {401, 403, 404}
                if not is_right:
                    different.append((*where, answer.status_code, got, code))
        if is_refused:
            assert different[:9] == []
            assert team.daemon.db.newest_event() == before, "a refused request recorded an event"
    assert different == []
    ways = ", ".join(f"{way} {number:,}" for way, number in count.items())
    record(
        "Every route by every way in",
        f"{len(tried)} routes, {len(PEOPLE)} kinds of people, {len(count)} ways: "
        f"{count.total():,} requests, and no answer differs from the table of rights. The answers "
        f"by way: {ways}. Refused requests recorded no event.",
    )
