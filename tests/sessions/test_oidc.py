"""Logins by an identity provider that somebody attacks, or that is an attacker."""

import asyncio
import base64
import hashlib
import hmac  # joserfc refuses to sign so
import json
import os
import queue
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from prism.kit.cookies import HINT_COOKIE, LOGIN_COOKIE, SESSION_COOKIE
from prism.sessions import oidc
from tests.access.people import Team
from tests.conftest import Http, run
from tests.sessions.conftest import HOST, TabOfBrowser
from tests.sessions.test_terminal_login import ask, logged_in
from tests.shapes import failed

ISSUER = "https://id.example.org"
KEY, OTHER_KEY = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
NEW_YEAR = 1767225600


class HostileProvider:
    """An identity provider whose every answer a test can change."""

    def __init__(self):
        self.claims, self.header, self.key = {}, {"alg": "RS256"}, KEY
        self.without, self.raw, self.nonce, self.discovered = [], None, "", {}
        self.codes = []

    def __call__(self, request):
        path = request.url.path
        if path.endswith("openid-configuration"):
            endpoints = {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
                "authorization_response_iss_parameter_supported": True,
            }
            return httpx.Response(200, json=endpoints | self.discovered)
        if path == "/keys":
            secret = OctKey.import_key("k" * 32).as_dict(private=True)
            return httpx.Response(200, json={"keys": [KEY.as_dict(private=False), secret]})
        form = parse_qs(request.content.decode())
        [code] = form["code"]
        if code in self.codes or len(form["code_verifier"][0]) < 43:
            return httpx.Response(400, json={"error": "invalid_grant"})
        self.codes.append(code)
        return httpx.Response(200, json={"access_token": "access", "id_token": self.token()})

    def token(self, **more):
        if self.raw is not None:
            return self.raw
        claims = {
            "iss": ISSUER,
            "sub": "1",
            "aud": "prism",
            "iat": NEW_YEAR,
            "exp": NEW_YEAR + 300,
            "nonce": self.nonce,
            "sid": "s1",
            "email": "eve@lab.org",
            "email_verified": True,
        }
        claims = {k: v for k, v in (claims | self.claims | more).items() if k not in self.without}
        return jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])


@pytest.fixture
def provider(monkeypatch):
    provider = HostileProvider()

    def client():
        return httpx.Client(transport=httpx.MockTransport(provider))

    monkeypatch.setattr("prism.daemon.wiring.logins.http_client", client)
    return provider


@pytest.fixture
def team(make_daemon, provider):
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url="smtp://127.0.0.1:1",
        public_url=f"https://{HOST}",
        oidc_issuer=ISSUER,
        oidc_client_id="prism",
        oidc_client_secret="secret",
        oidc_domains="lab.org, other.org",
    )
    return Team(daemon, Http(daemon.app))


class ProviderTab(TabOfBrowser):
    """A browser that logs in at the provider."""

    login = ""

    def begin(self, provider, to="/"):
        answer = self("POST", "login/provider", json={"to": to})
        assert answer.status_code == 200, answer.text
        self.login = answer.headers["set-cookie"].partition(";")[0]
        query = parse_qs(urlsplit(answer.json()["url"]).query)
        provider.nonce, self.state = query["nonce"][0], query["state"][0]
        return query

    def come_back(self, **changes):
        answer = {"code": "c1", "state": self.state, "iss": ISSUER} | changes
        query = {name: value for name, value in answer.items() if value is not None}
        headers = {"Cookie": self.login, "Sec-Fetch-Site": "cross-site"}
        headers |= {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        if self.cookie:
            headers["Cookie"] += f"; __Host-prism={self.cookie}"
        return self("GET", f"/auth/callback?{httpx.QueryParams(query)}", headers)

    def sign_on(self, provider, **changes):
        self.begin(provider)
        return self.come_back(**changes)


@pytest.fixture
def tab(team):
    return ProviderTab(team)


def refused(tab, answer, words=""):
    """The login was refused, and the browser got no session."""
    assert answer.status_code == 401, answer.text
    assert words in answer.text
    assert tab.cookie is None
    assert "__Host-prism=" not in answer.headers.get("set-cookie", "")


def test_person_of_a_domain_comes_in_and_is_known_afterwards(team, tab, provider):
    query = tab.begin(provider, "/workspaces?state=running")
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"https://{HOST}/auth/callback"]
    answer = tab.come_back()
    assert (answer.status_code, answer.headers["location"]) == (303, "/workspaces?state=running")
    assert f"{LOGIN_COOKIE}=; Max-Age=0" in str(answer.headers.get_list("set-cookie"))
    assert tab("GET", "me").json()["user"] == "eve@lab.org"
    [session] = tab("GET", "sessions").json()
    assert session["method"] == "provider"
    assert tab("GET", "login").json()["provider"] == "id.example.org"


WRONG_CLAIMS = {
    "another issuer": {"iss": "https://evil.example"},
    "issuer with a slash": {"iss": f"{ISSUER}/"},
    "another audience": {"aud": "other"},
    "two audiences without a party": {"aud": ["prism", "other"]},
    "another party": {"aud": ["prism", "other"], "azp": "other"},
    "no audience": {"aud": []},
    "another nonce": {"nonce": "x"},
    "empty nonce": {"nonce": ""},
    "nonce that is true": {"nonce": True},
    "expired": {"exp": NEW_YEAR - 61},
    "of the future": {"iat": NEW_YEAR + 3600},
    "nobody": {"sub": ""},
    "subject that is a number": {"sub": 1},
    "access token of another answer": {"at_hash": "x"},
    "at_hash that is null": {"at_hash": None},
    "address not verified": {"email_verified": False},
    "verified in words": {"email_verified": "true"},
    "no address": {"email": ""},
    "two addresses": {"email": "eve@lab.org@evil.example"},
    "another domain": {"email": "eve@lab.org.evil.example"},
    "domain within": {"email": "eve@sub.lab.org"},
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
def test_token_with_a_wrong_claim_is_refused(tab, provider, wrong):
    provider.claims = WRONG_CLAIMS[wrong]
    refused(tab, tab.sign_on(provider))


@pytest.mark.parametrize(
    "claim", ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "email_verified"]
)
def test_token_without_a_claim_is_refused(tab, provider, claim):
    """A token does not switch a check off."""
    provider.without = [claim]
    refused(tab, tab.sign_on(provider))


def unsigned(provider, alg):
    parts = provider.token().split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": alg}).encode()).rstrip(b"=").decode()
    return f"{header}.{parts[1]}."


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS256"])
def test_token_without_a_signature_is_refused(tab, provider, alg):
    tab.begin(provider)
    provider.raw = unsigned(provider, alg)
    refused(tab, tab.come_back())


@pytest.mark.parametrize("secret", ["public", "empty", "published", "ours"])
def test_token_signed_with_a_secret_that_others_know_is_refused(tab, provider, secret):
    """HS256 with the provider's public key, an empty key, a key of its list, or our secret."""
    words = {
        "public": KEY.as_pem(private=False),
        "empty": b"\0",
        "published": b"k" * 32,
        "ours": b"secret",
    }[secret]
    tab.begin(provider)
    head, body, _ = provider.token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=").decode()

    mac = hmac.new(words, f"{head}.{body}".encode(), hashlib.sha256).digest()
    provider.raw = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    refused(tab, tab.come_back())


def test_token_signed_with_another_key_is_refused(tab, provider):
    provider.key = OTHER_KEY
    refused(tab, tab.sign_on(provider))


@pytest.mark.parametrize("raw", ["", "x", "a.b.c", "e30.e30.", 7])
def test_answer_without_a_token_is_refused(tab, provider, raw):
    tab.begin(provider)
    provider.raw = raw
    refused(tab, tab.come_back())


def test_right_at_hash_is_accepted(tab, provider):
    digest = hashlib.sha256(b"access").digest()[:16]
    provider.claims = {"at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
    assert tab.sign_on(provider).status_code == 303


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "x"},
        {"state": ""},
        {"state": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"code": None},
        {"error": "access_denied", "code": None},
    ],
)
def test_answer_of_another_login_or_provider_is_refused(tab, provider, changes):
    """Also if the issuer is missing from a provider that always sends it (mix-up)."""
    refused(tab, tab.sign_on(provider, **changes))


def test_answer_is_of_no_use_in_another_browser(team, tab, provider):
    """Login CSRF: the attacker's answer in the browser of a victim."""
    tab.begin(provider)
    victim = ProviderTab(team)
    victim.state = tab.state
    refused(victim, victim.come_back(), "is browser has begun no login")
    victim.begin(provider)
    victim.state = tab.state
    refused(victim, victim.come_back(), "belongs to another login")


def test_answer_is_of_no_use_twice(tab, provider):
    assert tab.sign_on(provider).status_code == 303
    tab.cookie = None
    refused(tab, tab.come_back(), "does not accept the code")
    refused(tab, tab.come_back(code="c2"), "was used already")


def test_answer_is_of_no_use_after_ten_minutes(tab, provider, clock):
    tab.begin(provider)
    clock.advance(seconds=oidc.LOGIN_SECONDS)
    refused(tab, tab.come_back(), "is browser has begun no login")


def test_repeated_parameter_is_refused(tab, provider):
    tab.begin(provider)
    path = f"/auth/callback?code=c1&state={tab.state}&iss={ISSUER}&state=x"
    refused(tab, tab("GET", path, {"Cookie": tab.login}), "twice")


TARGETS = ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example"]
TARGETS += ["javascript:alert(1)", "evil.example", "/\t/evil.example", "", "///evil.example"]


@pytest.mark.parametrize("to", TARGETS)
def test_login_leads_to_no_other_host(tab, provider, to):
    tab.begin(provider, to)
    assert tab.come_back().headers["location"] == "/"


def test_login_makes_a_new_session_and_ends_the_earlier_one(team, tab, provider):
    tab.cookie = "ses_1.fixed"
    assert tab.sign_on(provider).status_code == 303
    assert tab.cookie != "ses_1.fixed"


def test_discovery_that_is_malformed_is_refused(tab, provider):
    provider.discovered = {"token_endpoint": 7}
    answer = tab("POST", "login/provider", json={})
    failed(answer, 503, "IDENTITY_PROVIDER_UNAVAILABLE")


def test_discovery_of_another_issuer_or_without_tls_is_refused(tab, provider):
    for wrong in ({"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example"}):
        provider.discovered = wrong
        answer = tab("POST", "login/provider", json={})
        failed(answer, 503, "IDENTITY_PROVIDER_UNAVAILABLE")


def test_member_and_invited_person_of_another_domain_come_in(team, tab, provider):
    provider.claims = {"email": "member@x.org", "sub": "2"}
    assert tab.sign_on(provider).status_code == 303
    invited = ProviderTab(team)
    provider.claims = {"email": "guest@far.org", "sub": "3"}
    refused(invited, invited.sign_on(provider, code="c2"), "may not use this daemon")
    assert team.invite("admin", "guest@far.org").status_code == 201
    assert invited.sign_on(provider, code="c3").status_code == 303


def test_person_keeps_the_account_and_an_address_that_was_given_on_does_not(team, tab, provider):
    assert tab.sign_on(provider).status_code == 303
    provider.claims = {"email": "eve.new@lab.org"}
    assert tab.sign_on(provider, code="c2").status_code == 303
    assert tab("GET", "me").json()["user"] == "eve@lab.org", "the account counts"
    successor = ProviderTab(team)
    provider.claims = {"sub": "2"}
    refused(successor, successor.sign_on(provider, code="c3"), "belongs to another account")


def logout_token(provider, **changes):
    claims = {"events": {oidc.LOGOUT_EVENT: {}}, "jti": "j", "nonce": "x"} | changes
    before, provider.without = provider.without, [*provider.without, "exp"]
    if "nonce" not in changes:
        provider.without.append("nonce")
    token = provider.token(**claims)
    provider.without = before
    return token


def hint_of(answer):
    """The cookie for a logout at the provider that an answer sets, and its attributes."""
    lines = answer.headers.get_list("set-cookie")
    [cookie, path] = next(
        (pair, line) for line in lines if (pair := line.partition(";")[0]).startswith(HINT_COOKIE)
    )
    return cookie, path


def log_out_with(tab, cookie):
    """Where the person logs out at the provider."""
    sent = f"{SESSION_COOKIE}={tab.cookie}; {cookie}"
    answer = tab("POST", "logout", {"Cookie": sent})
    return parse_qs(urlsplit(answer.json()["provider_url"]).query), answer


@pytest.fixture
def with_logout(provider):
    provider.discovered = {"end_session_endpoint": f"{ISSUER}/end"}


def test_logout_at_the_provider_names_the_login(tab, provider, with_logout):
    cookie, attributes = hint_of(tab.sign_on(provider))
    assert "Path=/api/v1/logout; Secure; HttpOnly" in attributes, "no other request has it"
    query, answer = log_out_with(tab, cookie)
    assert query["id_token_hint"] == [cookie.partition("=")[2]]
    removed, attributes = hint_of(answer)
    assert removed in {f"{HINT_COOKIE}=", f'{HINT_COOKIE}=""'} and "Max-Age=0" in attributes


def test_logout_does_not_name_somebody_elses_login(tab, provider, with_logout):
    """A page of another host has set the cookie."""
    cookie, _ = hint_of(tab.sign_on(provider))
    for planted in (provider.token(sub="2"), "x", "a.b.c", "a.W10.c", ""):
        tab.sign_on(provider)
        provider.codes.clear()
        assert "id_token_hint" not in log_out_with(tab, f"{HINT_COOKIE}={planted}")[0]
    tab.sign_on(provider)
    assert "id_token_hint" not in log_out_with(tab, f"{cookie}; {cookie}")[0]


def test_long_token_is_not_put_into_a_cookie(tab, provider, with_logout):
    provider.claims = {"groups": ["g" * 100] * 40}
    cookie, attributes = hint_of(tab.sign_on(provider))
    assert cookie == f"{HINT_COOKIE}=" and "Max-Age=0" in attributes


def told(team, token):
    headers = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    body = str(httpx.QueryParams({"logout_token": token}))
    return team(None, "POST", "/auth/backchannel-logout", headers, content=body.encode())


def test_provider_logs_out_and_later_sessions_stay(team, tab, provider, clock):
    assert tab.sign_on(provider).status_code == 303
    token = logout_token(provider)
    assert told(team, token).status_code == 200
    failed(tab("GET", "me"), 401, "UNAUTHENTICATED")
    clock.advance(seconds=5)
    assert tab.sign_on(provider, code="c2").status_code == 303
    assert told(team, token).status_code == 200, "a replay"
    assert tab("GET", "me").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"events": {}},
        {"nonce": "x"},
        {"aud": "other"},
        {"iss": "https://evil.example"},
        {"jti": None},
        {"sub": None, "sid": None},
        {"iat": NEW_YEAR + 3600},
    ],
)
def test_wrong_logout_token_ends_nothing(team, tab, provider, changes):
    assert tab.sign_on(provider).status_code == 303
    failed(told(team, logout_token(provider, **changes)), 401, "LOGIN_REFUSED")
    assert tab("GET", "me").status_code == 200


def test_logout_token_for_another_session_ends_nothing(team, tab, provider):
    assert tab.sign_on(provider).status_code == 303
    assert told(team, logout_token(provider, sid="s2")).status_code == 200
    assert tab("GET", "me").status_code == 200
    assert told(team, "x").status_code == 401


@pytest.mark.parametrize("logs_out_here", [False, True])
@pytest.mark.parametrize("names", ["sid", "sub"])
def test_provider_logs_out_command_lines_too(team, tab, provider, clock, names, logs_out_here):
    """Tokens that the person made by hand stay."""
    assert tab.sign_on(provider).status_code == 303
    session = logged_in(team, tab)
    team.tokens["by hand"] = tab("POST", "tokens", json={"name": "by hand"}).json()["token"]
    token = logout_token(provider, **({"sid": None} if names == "sub" else {}))
    clock.advance(seconds=5)
    tab.cookie = None if logs_out_here else tab.cookie
    assert tab.sign_on(provider, code="c2").status_code == 303
    later = logged_in(team, tab)
    assert told(team, token).status_code == 200
    failed(ask(team, session), 401, "UNAUTHENTICATED")
    assert ask(team, later).status_code == 200, "which began after the logout"
    assert team("by hand", "GET", "me").status_code == 200
    answer = ask(team, later, "POST", "logout").json()
    assert answer["provider_url"] is None, "a command line opens no page"


def test_provider_that_does_not_answer_blocks_nobody_else(team, provider, monkeypatch):
    """Anybody can cause requests to it, also with a token that nobody has signed."""
    answering, answer = threading.Event(), provider.__call__
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def hang(_, request):
        loop, event = waiting.get()
        waiting.put((loop, event))
        loop.call_soon_threadsafe(event.set)
        answering.wait(60)
        return answer(request)

    monkeypatch.setattr(HostileProvider, "__call__", hang)
    most = min(32, (os.cpu_count() or 1) + 4)  # threads that a loop has for handlers
    app, path = httpx.ASGITransport(team.http.app), "/auth/backchannel-logout"
    headers = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    own = {"Authorization": f"Bearer {team.tokens['member']}"}

    async def attack():
        hanging = asyncio.Event()
        waiting.put((asyncio.get_running_loop(), hanging))
        async with httpx.AsyncClient(transport=app, base_url="http://localhost:8947") as to:
            posts = [
                asyncio.create_task(to.post(path, headers=headers, content="logout_token=x"))
                for _ in range(most + 2)
            ]
            await hanging.wait()
            try:
                async with asyncio.timeout(10):
                    return await to.get("/api/v1/projects", headers=own)
            finally:
                answering.set()
                await asyncio.gather(*posts)

    assert run(attack()).status_code == 200
