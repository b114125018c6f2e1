"""A share, attacked by its guest, by others, after its end, and from the page that it opens."""

import json
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from prism.client import Client
from prism.errors import Problem
from prism.kit.cookies import APP_COOKIE
from tests.connections.apps import BOB, CAROL, DAVE, names_resolve, site
from tests.proofs import record
from tests.waiting import eventually

__all__ = ["names_resolve", "site"]  # fixtures
MINE = "mine--bob"
SOON = 2.0  # seconds
SLACK = 10.0  # seconds, on a busy computer


def in_an_hour():
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def people(site):
    """Bob, who shares, and Dave, his guest, who is in another project."""
    operator = site.home.client
    with suppress(Problem):
        operator.projects.create("elsewhere")
    with suppress(Problem):
        operator.members.add("elsewhere", DAVE)
    bob, dave = site.person(BOB), site.person(DAVE)
    yield bob, dave
    for share in bob.shares.mine().given:
        bob.shares.end(share.id)


@pytest.fixture
def shared(people):
    """A share of one app of Bob's with Dave."""
    return people[0].shares.create("mine", app="page", guest=DAVE, until=in_an_hour())


@pytest.fixture
def watched(people):
    """A share of Bob's terminal with Dave."""
    return people[0].shares.create("mine", terminal=True, guest=DAVE, until=in_an_hour())


def guest_tab(site, user=DAVE):
    tab = site.tab()
    tab.log_in(user)
    return tab


def terminal(client: Client, path: str):
    """A WebSocket of the API, with a token."""
    address = client._wire.address
    url = str(address.url).replace("http://", "ws://") + path
    return connect(
        url, additional_headers={"Authorization": f"Bearer {address.token}"}, proxy=None
    )


def read_until(socket, text, seconds=60):
    """What a terminal shows, until it contains a text."""
    screen, ends = b"", time.monotonic() + seconds
    while text not in screen:
        message = socket.recv(timeout=max(0.1, ends - time.monotonic()))
        screen += message if isinstance(message, bytes) else b""
    return screen


def until_closed(socket):
    """How many seconds it takes until the other side ends the connection."""
    began = time.monotonic()
    with suppress(ConnectionClosed, OSError):
        while True:
            socket.recv(timeout=30)
    return time.monotonic() - began


def test_guest_opens_the_app_and_its_sockets_until_the_share_is_ended(site, people, shared):
    bob, dave = people
    opened = dave.shares.open(shared.id)
    assert opened.url.startswith(site.app(MINE))
    tab = guest_tab(site)
    assert tab.visit(f"{site.app(MINE)}/x").json()["target"] == "/x"
    with tab.socket(MINE) as echo:
        echo.send("hello")
        assert "hello" in str(echo.recv(timeout=30))
        bob.shares.end(shared.id)
        assert until_closed(echo) < SOON + SLACK
    assert tab.visit(f"{site.app(MINE)}/x").status_code == 404
    with pytest.raises(InvalidStatus):
        tab.socket(MINE)


def test_widened_share_lets_nobody_in(site, people, shared):
    """Other apps, another workspace, files, programs, verbs, another share."""
    _, dave = people
    tab = guest_tab(site)
    assert tab.visit(f"{site.app(MINE)}/x").status_code == 200
    [value] = [cookie.value for cookie in tab.http.cookies.jar if cookie.name == APP_COOKIE]
    id = shared.workspace
    accepted, tried = [], 0
    for label in (
        *("8501--mine--bob", "8443--mine--bob", "tls-8443--mine--bob", "22--mine--bob"),
        *("mine--carol", "8501--mine--carol", "nothing--bob", "mine"),
    ):
        stolen = {"Cookie": f"{APP_COOKIE}={value}"}
        for answer in (
            tab.visit(f"{site.app(label)}/x"),
            tab.fetch(f"{site.app(label)}/x", headers=stolen),
        ):
            tried += 1
            if answer.status_code < 400:
                accepted.append((label, answer.status_code))
    api = f"{site.base}/api/v1"
    body = {"terminal": True, "guest": "everybody", "until": in_an_hour()}
    for name in ("mine", MINE, id):
        for method, path, content in (
            ("GET", f"{api}/instances/{name}", None),
            ("GET", f"{api}/instances/{name}/connect", None),
            ("GET", f"{api}/instances/{name}/ports", None),
            ("GET", f"{api}/instances/{name}/files", None),
            ("GET", f"{api}/instances/{name}/files/content?path=.bashrc", None),
            ("DELETE", f"{api}/instances/{name}/files?path=x", None),
            ("GET", f"{api}/logs/{name}", None),
            ("GET", f"{api}/instances/{name}/events", None),
            ("POST", f"{api}/instances/{name}/stop", None),
            ("POST", f"{api}/instances/{name}/terminate", {"confirm": "DELETE"}),
            ("POST", f"{api}/instances/{name}/extend", {"hours": 5}),
            ("POST", f"{api}/instances/{name}/shares", body),  # shared again
            ("GET", f"{api}/instances/{name}/shares", None),
            ("GET", f"{site.base}/web-proxy/{name}/x?port=8501", None),
            ("DELETE", f"{api}/shares/{shared.id}", None),
        ):
            tried += 1
            answer = tab.fetch(path, method, json=content)
            if answer.status_code < 400:
                accepted.append((path, answer.status_code))
        for path in (f"/ssh-proxy/{name}", f"/api/v1/instances/{name}/stream"):
            tried += 1
            with suppress(InvalidStatus), terminal(dave, path):
                accepted.append((path, 101))
    tried += 1
    with suppress(InvalidStatus), terminal(dave, f"/api/v1/shares/{shared.id}/terminal"):
        accepted.append(("terminal of an app's share", 101))
    assert (accepted, tried) == ([], 68)
    record(
        "Shares: widened by its guest",
        f"A guest who widens a share of one app: {tried} requests for other apps, "
        "ports, workspaces, files, logs, verbs, shells and shares, 0 accepted.",
    )


def test_share_is_nothing_for_a_third_person(site, people, shared, watched):
    """Who is no guest gets nothing, also with the guest's cookie, and the operator as herself."""
    operator = site.home.client
    tab = guest_tab(site)
    assert tab.visit(f"{site.app(MINE)}/x").status_code == 200
    [value] = [cookie.value for cookie in tab.http.cookies.jar if cookie.name == APP_COOKIE]
    carol, accepted = site.person(CAROL), []
    thief = guest_tab(site, CAROL)
    for share in (shared, watched):
        for attempt in (carol.shares.open, carol.shares.wake, operator.shares.open):
            with suppress(Problem):
                attempt(share.id)
                accepted.append((attempt, share.id))
        with suppress(InvalidStatus), terminal(carol, f"/api/v1/shares/{share.id}/terminal"):
            accepted.append(("terminal", share.id))
    if thief.visit(f"{site.app(MINE)}/x").status_code < 400:
        accepted.append(("her own session", ""))
    stranger = site.tab()
    first, _, secret = value.partition(".")
    for wrong in (f"{first}.{'x' * len(secret)}", f"x{first}.{secret}", secret):
        answer = stranger.fetch(f"{site.app(MINE)}/x", headers={"Cookie": f"{APP_COOKIE}={wrong}"})
        if answer.status_code < 400:
            accepted.append((wrong, answer.status_code))
    assert accepted == []


@pytest.mark.parametrize("how", ["ended", "account", "session"])
def test_share_after_its_end_or_without_an_account(site, people, shared, watched, how):
    bob, dave = people
    operator, tab = site.home.client, guest_tab(site)
    assert tab.visit(f"{site.app(MINE)}/x").status_code == 200
    path = f"/api/v1/shares/{watched.id}/terminal"
    with tab.socket(MINE) as echo, terminal(dave, path) as screen:
        echo.send("hello")
        assert echo.recv(timeout=30) and screen.recv(timeout=30)
        if how == "ended":
            for share in (shared, watched):
                bob.shares.end(share.id)
        elif how == "account":
            operator.members.remove("elsewhere", DAVE)
        else:
            for token in operator.tokens.list():
                if token.user == DAVE:
                    operator.tokens.revoke(token.id)
            operator.sessions.end_all(DAVE)
        assert until_closed(echo) < SOON + SLACK
        assert until_closed(screen) < SOON + SLACK
    accepted = []
    for attempt in range(3):  # the same addresses and cookies again
        if tab.fetch(f"{site.app(MINE)}/{attempt}").status_code < 400:
            accepted.append("app")
        with suppress(InvalidStatus), terminal(dave, path):
            accepted.append("terminal")
        with suppress(Problem):
            dave.shares.open(shared.id)
            accepted.append("open")
    assert accepted == []


def test_page_of_a_shared_app_reaches_nothing_else(site, people, shared):
    """What the owner's page tries in the guest's browser, and what a guest's page tries."""
    tab = guest_tab(site)
    assert tab.visit(f"{site.app(MINE)}/x").status_code == 200
    accepted = []
    for path in ("me", "shares", f"shares/{shared.id}/open", "tokens", "sessions"):
        for origin in (site.app(MINE), "null", f"https://enter.{site.apps}"):
            headers = {"Origin": origin, "Sec-Fetch-Site": "same-site"}
            for method in ("GET", "POST", "DELETE"):
                answer = tab.http.request(
                    method, f"{site.base}/api/v1/{path}", headers=headers, json={}
                )
                if answer.status_code < 400:
                    accepted.append((path, origin, method))
    assert accepted == []


def test_guest_of_a_terminal_sees_everything_and_types_nothing(site, people, watched):
    """The daemon drops what the guest sends: keys, sizes, and texts that are no message."""
    bob, dave = people
    session, word = secrets.token_hex(12), secrets.token_hex(8)
    own_path = f"/ssh-proxy/mine?session={session}&cols=90&rows=20"
    with terminal(dave, f"/api/v1/shares/{watched.id}/terminal") as guest:
        assert json.loads(guest.recv(timeout=30)) == {"type": "waiting"}
        with terminal(bob, own_path) as owner:
            owner.send(f"echo f''irst-{word}\n".encode())
            read_until(owner, f"first-{word}".encode())
            screen = read_until(guest, f"first-{word}".encode())
            assert f"first-{word}".encode() in screen
            sent = 0
            for attack in (
                *(f"touch stolen-{word}\n".encode(), b"\x03", b"\x04", b"exit\n"),
                '{"type": "resize", "cols": 10, "rows": 5}',
                '{"type": "exit", "status": 0}',
                *("not json", b"", b"x" * 100_000, f"echo typed-{word}\n".encode()),
            ):
                guest.send(attack)
                sent += 1
            owner.send(f"stty size; ls; echo s''econd-{word}\n".encode())
            screen = read_until(owner, f"second-{word}".encode())
            seen = read_until(guest, f"second-{word}".encode())
            assert sent == 10
            for content in (screen, seen):
                assert b"20 90" in content
                assert f"stolen-{word}".encode() not in content
                assert f"typed-{word}".encode() not in content
            with terminal(dave, f"/api/v1/shares/{watched.id}/terminal") as later:
                assert f"first-{word}".encode() in read_until(later, f"second-{word}".encode()), (
                    "a guest who comes later gets the last output"
                )
            bob.shares.end(watched.id)
            assert until_closed(guest) < SOON + SLACK
            owner.send(f"echo t''hird-{word}\n".encode())
            read_until(owner, f"third-{word}".encode())
            owner.send(b"exit\n")


def test_owner_sees_the_operator_in_the_terminal_and_the_app(site, people):
    """Live while it lasts, by each way, and with its end."""
    bob, _ = people
    operator = site.person("ada@example.org")

    def now():
        visits = bob.workspaces.visits("mine").visits
        return {visit.way.value for visit in visits if visit.ended_at is None}

    with terminal(operator, f"/ssh-proxy/{MINE}") as shell:
        shell.recv(timeout=30)
        assert "terminal" in now()
    eventually(lambda: "terminal" not in now(), 30)
    with terminal(operator, f"/api/v1/instances/{MINE}/stream") as ssh:
        ssh.recv(timeout=30)
        assert "ssh" in now()
    eventually(lambda: "ssh" not in now(), 30)
    with terminal(operator, f"/api/v1/instances/{MINE}/stream?port=8888"):
        assert "port" in now()
    tab = guest_tab(site, "ada@example.org")
    assert tab.visit(f"{site.app(MINE)}/x").status_code == 200
    assert "app" in now()
    entered = [e.event for e in bob.workspaces.events("mine") if e.actor == "ada@example.org"]
    assert entered.count("instance_entered") >= 4 and "instance_left" in entered
