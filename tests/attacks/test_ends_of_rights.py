"""Every kind of open connection ends when the right to it ends, in every way it can end."""

import contextlib
import http.client
import json
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import connect
from websockets.typing import Origin

from prism.kit.cookies import LOGIN_COOKIE
from tests.connections.apps import BOB, TeamSite, names_resolve, shared_site
from tests.proofs import record
from tests.waiting import eventually

__all__ = ["names_resolve"]  # a fixture
pytestmark = [pytest.mark.timeout(150)]
MINE, LONGEST_END = "mine--bob", 60.0
TOKEN_LIFE = timedelta(seconds=20)  # enough to open all connections
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Provider(BaseHTTPRequestHandler):
    """An identity provider that logs everybody in as Bob."""

    key, nonce = RSAKey.generate_key(2048), ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, value: object) -> None:
        """Send an object."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    @property
    def issuer(self) -> str:
        """Its own address."""
        return f"http://localhost:{self.server.server_port}"  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        """Say what it is, and show its key."""
        if self.path == "/keys":
            return self.answer({"keys": [self.key.as_dict(private=False)]})
        names = ("authorization_endpoint", "token_endpoint")
        endpoints = {name: f"{self.issuer}/{name}" for name in names}
        self.answer({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **endpoints})

    def do_POST(self) -> None:
        """Take any code for a token."""
        self.rfile.read(int(self.headers["Content-Length"]))
        claims = {"email": BOB, "email_verified": True, "nonce": self.nonce}
        self.answer({"access_token": "a", "id_token": token_of(self.issuer, **claims)})


def token_of(issuer: str, **claims: object) -> str:
    """A token of the provider for the daemon."""
    now = int(time.time())
    common = {"iss": issuer, "sub": "7", "sid": "s", "aud": "prism", "iat": now, "exp": now + 300}
    return jwt.encode({"alg": "RS256"}, common | claims, Provider.key, algorithms=["RS256"])


class Lab(NamedTuple):
    """A shared daemon with a provider."""

    site: TeamSite
    issuer: str


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, names_resolve: None) -> Iterator[Lab]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        issuer = f"http://localhost:{server.server_port}"
        folder = tmp_path_factory.mktemp("ends")
        file = folder / "providers.toml"
        file.write_text(
            f'[[provider]]\nname = "own"\nissuer = "{issuer}"\nclient_id = "prism"\n'
            'client_secret = "secret"\ndomains = ["example.org"]\n'
        )
        file.chmod(0o600)
        with shared_site(folder / "team", PRISM_OIDC_FILE=str(file)) as site:
            yield Lab(site, issuer)
        server.shutdown()


class Bob:
    """Bob's browser; or a program with a token, and a browser with the session of that token."""

    def __init__(self, lab: Lab, *, by: str) -> None:
        self.lab, self.tab = lab, lab.site.tab()
        self.headers = {"Origin": lab.site.base, "Sec-Fetch-Site": "same-origin"}
        self.token = ""
        if by == "link":
            self.tab.log_in(BOB)
        elif by == "provider":
            self._log_in_at_provider()
        else:
            tokens = lab.site.home.client.tokens
            self.token = str(tokens.create("ends", user=BOB, scope="admin").token)
            self.post("login", {"token": self.token})

    def post(self, path: str, body: object) -> httpx.Response:
        """A request of a page of the GUI."""
        url = f"{self.lab.site.base}/api/v1/{path}"
        answer = self.tab.http.post(url, json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer

    def _log_in_at_provider(self) -> None:
        url = self.post("login/provider", {"to": "/", "provider": "own"}).json()["url"]
        query = parse_qs(urlsplit(url).query)
        Provider.nonce = query["nonce"][0]
        words = httpx.QueryParams({"code": "c", "state": query["state"][0]})
        navigation = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        site = self.lab.site.base
        answer = self.tab.http.get(f"{site}/auth/callback/own?{words}", headers=navigation)
        assert answer.status_code == 303, answer.text
        assert LOGIN_COOKIE not in self.tab.http.cookies

    def credentials(self, url: str) -> dict[str, str]:
        """What a request to this address brings: the token, or what a page of there sends."""
        if self.token and url.startswith(self.lab.site.base):
            return {"Authorization": f"Bearer {self.token}"}
        cookie = self.tab.http.build_request("GET", url).headers.get("cookie", "")
        origin = "/".join(url.split("/")[:3])
        return {"Origin": origin, "Cookie": cookie, "Sec-Fetch-Site": "same-origin"}


Ends = Callable[[], None]
Opened = contextlib.AbstractContextManager[Ends]


@contextlib.contextmanager
def web_socket(bob: Bob, url: str) -> Iterator[Ends]:
    """A WebSocket; it has ended when nothing can be read any more."""
    own = bob.credentials(url)
    origin = Origin(own.pop("Origin")) if "Origin" in own else None
    request = partial(
        connect,
        url.replace("https://", "wss://"),
        ssl=bob.tab.context,
        origin=origin,
        additional_headers=own,
        proxy=None,
        open_timeout=LONGEST_END,
    )
    # The daemon may still be ending what the test before has ended: Bob's connections.
    with eventually(request, LONGEST_END, passing=(InvalidMessage,)) as socket:

        def wait() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    socket.recv(timeout=LONGEST_END)

        yield wait


@contextlib.contextmanager
def stream(bob: Bob, url: str) -> Iterator[Ends]:
    """An answer without an end; at least its head has come."""
    own = bob.credentials(url)
    with (
        httpx.Client(verify=bob.tab.context, timeout=LONGEST_END) as client,
        client.stream("GET", url, headers=own) as answer,
    ):
        assert answer.status_code == 200, answer.read()

        def wait() -> None:
            with contextlib.suppress(httpx.HTTPError):
                for _ in answer.iter_raw():
                    pass

        yield wait


@contextlib.contextmanager
def upload(bob: Bob, url: str) -> Iterator[Ends]:
    """An upload whose body is not complete yet; a part of it is stored."""
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, context=bob.tab.context, timeout=LONGEST_END
    )
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    for name, value in {**bob.credentials(url), "Content-Length": "1000000"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"x" * 1000)
    eventually(lambda: [*bob.lab.site.home.folder.rglob(".prism-part-*")], LONGEST_END)

    def wait() -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while connection.sock.recv(1000):
                pass

    with contextlib.closing(connection):
        yield wait


def kinds(bob: Bob) -> dict[str, Opened]:
    """A connection of every kind."""
    api, app = f"{bob.lab.site.base}/api/v1", bob.lab.site.app(MINE)
    workspace = f"{api}/instances/{MINE}"
    return {
        "events in a WebSocket": web_socket(bob, f"{api}/ws"),
        "events by HTTP": stream(bob, f"{api}/events"),
        "terminal": web_socket(bob, f"{bob.lab.site.base}/ssh-proxy/{MINE}?cols=80&rows=24"),
        "bytes of SSH (ssh, exec, cp)": web_socket(bob, f"{workspace}/stream"),
        "bytes of a tunnel": web_socket(bob, f"{workspace}/stream?port=8501"),
        "followed log": stream(bob, f"{api}/logs/{MINE}?follow=true"),
        "upload of a file": upload(bob, f"{workspace}/files/content?path=way&replace=true"),
        "WebSocket of an app": web_socket(bob, f"{app}/echo"),
        "HTTP stream of an app": stream(bob, f"{app}/events"),
    }


def at_once(end: Callable[[], object]) -> float:
    """End the right; when it ended at the earliest."""
    began = time.time()
    end()
    return began


def told_by_provider(bob: Bob) -> None:
    """The provider says that Bob has logged out there."""
    token = token_of(bob.lab.issuer, jti="j", events={LOGOUT_EVENT: {}})
    url = f"{bob.lab.site.base}/auth/backchannel-logout/own"
    answer = httpx.post(url, data={"logout_token": token}, verify=bob.tab.context)
    assert answer.status_code == 200, answer.text


def expiring(bob: Bob) -> float:
    """Let the token end soon; the instant."""
    end = datetime.now(UTC) + TOKEN_LIFE
    id = next(each.id for each in operator(bob).tokens.list() if each.name == "ends")
    with sqlite3.connect(bob.lab.site.home.folder / "state.db", timeout=60) as db:
        [(stored,)] = db.execute("SELECT expires_at FROM tokens WHERE id = ?", [id])
        text = end.strftime("%Y-%m-%d %H:%M:%S.%f")[: len(stored)]
        db.execute("UPDATE tokens SET expires_at = ? WHERE id = ?", [text, id])
    db.close()
    return end.timestamp()


def operator(bob: Bob) -> Any:
    """A client of who operates the daemon."""
    return bob.lab.site.home.client


def revoked_token(bob: Bob) -> None:
    """Somebody revokes the token."""
    for token in operator(bob).tokens.list():
        if token.name == "ends":
            operator(bob).tokens.revoke(token.id)


WAYS: dict[str, tuple[str, Callable[[Bob], object]]] = {
    "logout": ("link", lambda bob: bob.tab.log_out()),
    "session revoked": ("link", lambda bob: operator(bob).sessions.end_all(BOB)),
    "role lowered": ("link", lambda bob: operator(bob).members.change("reef", BOB, role="viewer")),
    "member removed": ("link", lambda bob: operator(bob).members.remove("reef", BOB)),
    "token revoked": ("token", revoked_token),
    "token expired": ("token", lambda bob: None),
    "logout at the provider": ("provider", told_by_provider),
}


@pytest.fixture(autouse=True)
def member_again(lab: Lab) -> Iterator[None]:
    """Bob is a member at the end, with no session and no token."""
    yield
    home = lab.site.home.client
    home.sessions.end_all(BOB)
    for token in home.tokens.list():
        if token.name == "ends":
            home.tokens.revoke(token.id)
    if BOB in {member.email for member in home.members.list("reef")}:
        home.members.remove("reef", BOB)
    home.members.add("reef", BOB)


@pytest.mark.parametrize("way", WAYS)
def test_every_open_connection_ends_with_the_right(lab, way):
    by, end = WAYS[way]
    bob = Bob(lab, by=by)
    assert bob.tab.visit(f"{lab.site.app(MINE)}/page").status_code == 200
    at = expiring(bob) if way == "token expired" else 0.0
    lasted: dict[str, float] = {}
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(kinds(bob))) as pool:
        opened = {name: stack.enter_context(each) for name, each in kinds(bob).items()}

        def wait(name: str) -> None:
            opened[name]()
            lasted[name] = time.time()

        waiting = [pool.submit(wait, name) for name in opened]
        assert not lasted, "nothing ends before"
        at = at or at_once(lambda: end(bob))
        for each in waiting:
            each.result(LONGEST_END * 2)
    early = [name for name, when in lasted.items() if when < at]
    assert early == [], "it ended before the right did"
    slowest = max(lasted, key=lambda name: lasted[name])
    record(
        f"Open connections: {way}",
        f"{len(lasted)} kinds end; the last one, {slowest}, {lasted[slowest] - at:.2f} s after",
    )
