"""Attacks on people who are logged in with a browser."""

import json
import socket
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from prism.kit.cookies import LOGIN_COOKIE, SESSION_COOKIE
from tests.project.home import Home
from tests.sessions.conftest import HOST, TabOfBrowser, tab, team
from tests.shapes import failed

__all__ = ["tab", "team"]  # fixtures
FOREIGN = {
    "another site": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "another subdomain": {"Origin": "https://evil.example.org", "Sec-Fetch-Site": "same-site"},
    "no origin": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "an old browser": {"Origin": "https://evil.example"},
    "this host without TLS": {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "cross-site"},
    "this host on another port": {"Origin": f"https://{HOST}:8443", "Sec-Fetch-Site": "same-site"},
}
CHANGES = [
    ("POST", "tokens", {"name": "t", "scope": "admin"}),
    ("DELETE", "sessions", None),
    ("POST", "logout", None),
    ("POST", "login", {"link": "x"}),
    ("POST", "profiles/switch", {"profile_name": "local"}),
]


@pytest.mark.parametrize("page", FOREIGN)
def test_page_of_another_site_cannot_use_the_session(team, tab, page):
    tab.log_in("owner@x.org")
    before = team.daemon.db.newest_event()
    for method, path, body in CHANGES:
        answer = tab(method, path, FOREIGN[page], json=body)
        failed(answer, 403, "ORIGIN_REJECTED")
    failed(tab("GET", "me", FOREIGN[page]), 403, "ORIGIN_REJECTED")
    assert team.daemon.db.newest_event() == before
    assert tab("GET", "me").status_code == 200


def test_login_of_another_page_cannot_put_somebody_elses_session_into_the_browser(tab):
    """Login CSRF: the victim would work, and write secrets, in the account of the attacker."""
    link = tab.link("viewer@x.org")
    for page in FOREIGN.values():
        answer = tab("POST", "login", page, json={"link": link})
        failed(answer, 403, "ORIGIN_REJECTED")
        assert "set-cookie" not in answer.headers
    form = {"Content-Type": "text/plain"}
    answer = tab("POST", "login", form, content=json.dumps({"link": link}))
    failed(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert tab.cookie is None


def test_program_without_an_origin_cannot_change_anything_with_a_cookie(team, tab):
    """A browser that tells nothing about the page may be made to send it by any page."""
    tab.log_in("owner@x.org")
    silent = {"Host": HOST, "Cookie": f"{SESSION_COOKIE}={tab.cookie}"}
    assert team(None, "GET", "me", silent).status_code == 200
    for method, path, body in CHANGES[:2]:
        failed(team(None, method, path, silent, json=body), 401, "UNAUTHENTICATED")
    assert tab("GET", "me").status_code == 200


def test_two_cookies_of_that_name_are_no_session(tab):
    """One of them was tossed by another host of the domain, and nobody knows which."""
    tab.log_in("owner@x.org")
    mine = f"{SESSION_COOKIE}={tab.cookie}"
    for both in (f"{mine}; {SESSION_COOKIE}=ses_1.x", f"{SESSION_COOKIE}=ses_1.x; {mine}"):
        failed(tab("GET", "me", {"Cookie": both}), 401, "UNAUTHENTICATED")
    noise = f"prism=x; __Secure-prism=x; {mine}; {LOGIN_COOKIE}=x; x{SESSION_COOKIE}=y"
    assert tab("GET", "me", {"Cookie": noise}).status_code == 200


@pytest.mark.parametrize(
    "cookie", ["", ".", "x", "ses_1", "ses_1.", "é", "%00", "a" * 4000, '"', "ses_1.x.y"]
)
def test_forged_cookie_is_no_session(tab, cookie):
    answer = tab("GET", "me", {"Cookie": f"{SESSION_COOKIE}={cookie}".encode()})
    failed(answer, 401, "UNAUTHENTICATED")


def test_session_is_no_token_and_a_token_is_no_session(team, tab):
    tab.log_in("owner@x.org")
    bearer = {"Authorization": f"Bearer {tab.cookie}"}
    failed(team(None, "GET", "me", bearer), 401, "UNAUTHENTICATED")
    wrong = TabOfBrowser(team)
    wrong.cookie = team.tokens["owner"].removeprefix("prism_")
    failed(wrong("GET", "me"), 401, "UNAUTHENTICATED")
    wrong.cookie = team.tokens["owner"]
    failed(wrong("GET", "me"), 401, "UNAUTHENTICATED")


def test_session_of_a_narrow_token_cannot_make_a_wider_one(team, tab):
    team.token("narrow", user="ada@x.org", scope="read")
    assert tab("POST", "login", json={"token": team.tokens["narrow"]}).status_code == 200
    for path, body in (
        ("tokens", {"name": "t", "scope": "read"}),
        ("login-links", {"user": "a@x.org"}),
    ):
        failed(tab("POST", path, json=body), 403, "PERMISSION_DENIED")


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def address_of(home):
    """The address of the GUI."""
    return json.loads((home.folder / "daemon.lock").read_text())["gui"]


def cookie_of(home, user):
    """The cookie of a new session."""
    gui = address_of(home)
    secret = home.client.sessions.create_link(user).url.partition("#")[2]
    port = int(gui.rpartition(":")[2])
    host = gui.removeprefix("http://")
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/login",
        json={"link": secret},
        headers={"Host": host, "Origin": gui},
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


def listening(home, cookie, origin=None):
    """An event stream of a browser."""
    gui = address_of(home)
    host, _, port = gui.removeprefix("http://").rpartition(":")
    connection = socket.create_connection(("127.0.0.1", int(port)))
    return connect(
        f"ws://{host}:{port}/api/v1/ws",
        sock=connection,
        origin=origin or gui,
        additional_headers={"Cookie": cookie},
    )


@pytest.mark.parametrize("person", ["bob@example.org", "ada@example.org"])
def test_revoked_session_ends_open_websockets_and_streams(home, person):
    """Also those of the operator, Ada."""
    with home.run_daemon(PRISM_AUTH="tokens"):
        cookie = cookie_of(home, person)
        with listening(home, cookie) as stream:
            began = time.monotonic()
            home.client.sessions.end_all(person)
            with pytest.raises(ConnectionClosed):
                while True:
                    stream.recv(timeout=60)
            assert time.monotonic() - began < 20, "a busy computer"
        with pytest.raises(InvalidStatus, match="401"), listening(home, cookie):
            pass


def test_page_of_another_site_gets_no_event_stream(home):
    with home.run_daemon(PRISM_AUTH="tokens"):
        cookie = cookie_of(home, "bob@example.org")
        for origin in ("http://evil.localhost", "https://evil.example", "null"):
            with pytest.raises(InvalidStatus, match="403"), listening(home, cookie, origin):
                pass
        with listening(home, cookie) as stream:
            stream.ping()
