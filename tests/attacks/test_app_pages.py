"""The hostile page of an app on a shared daemon, in the real browser of who may enter more.

Bob's app attacks Ada, who operates the daemon and is logged in: the daemon, and the app of Carol.
"""

import itertools
import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from prism.kit.cookies import APP_COOKIE, SESSION_COOKIE
from tests.connections.apps import APPS, BOB, HOST, names_resolve, site
from tests.connections.test_browser import ATTEMPTS, BODY, CHROMIUM, FLAGS, FORM
from tests.needs import require
from tests.proofs import record

__all__ = ["names_resolve", "site"]  # fixtures
ADA = "ada@example.org"
MINE, OTHER = "mine--bob", "mine--carol"
LAB_FLAGS = ["--host-resolver-rules=MAP *.test 127.0.0.1", "--ignore-certificate-errors"]
THIEF = """
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', (event) => {
  if (event.request.url.includes('/.prism/'))
    event.respondWith(new Response('stolen: ' + event.request.url +
      JSON.stringify([...event.request.headers])));
});
"""
REGISTER = """async () => {
  const made = await navigator.serviceWorker.register('/page?type=text/javascript', {scope: '/'});
  await navigator.serviceWorker.ready;
  while (!navigator.serviceWorker.controller) await new Promise(done => setTimeout(done, 50));
}"""


@pytest.fixture(scope="module")
def chromium():
    require(CHROMIUM)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *LAB_FLAGS])
        yield browser
        browser.close()


def log_in(site, context, user):
    """Give a browser a session of that person."""
    tab = site.tab()
    tab.log_in(user)
    [session] = [c for c in tab.http.cookies.jar if c.name == SESSION_COOKIE]
    cookie = {"name": session.name, "value": session.value, "domain": HOST, "path": "/"}
    options = {"httpOnly": True, "secure": True, "sameSite": "Lax"}
    context.add_cookies([cookie | options])


@pytest.fixture
def victim(site, chromium):
    """The browser of Ada, who has opened both apps; at Bob's."""
    context = chromium.new_context()
    context.set_default_timeout(30_000)
    log_in(site, context, ADA)
    page = context.new_page()
    for label in (OTHER, MINE):
        assert page.goto(f"{site.app(label)}/page").status == 200
        assert urlsplit(page.url).path == "/page"
    yield page
    context.close()


@pytest.fixture
def unharmed(site, victim):
    """Checks that Carol's app got no request, and that the daemon did nothing."""
    carol = site.tab()
    carol.log_in("carol@example.org")
    carol.visit(f"{site.app(OTHER)}/page")
    before = len(carol.fetch(f"{site.app(OTHER)}/log").json())
    yield
    log = carol.fetch(f"{site.app(OTHER)}/log").json()[before:]
    assert [text for text in log if not text.startswith(("GET /log", "GET /favicon"))] == []
    assert sorted(site.home.states()) == ["running", "running"]


TARGETS = [
    ("daemon", "/api/v1/instances", "/api/v1/ws", "GET"),
    ("daemon", "/api/v1/me", "/ssh-proxy/mine--carol", "GET"),
    (
        "daemon",
        "/api/v1/instances/mine--carol/stop",
        "/api/v1/instances/mine--carol/stream",
        "POST",
    ),
    ("daemon", "/api/v1/logout", "/web-proxy/mine--carol/echo", "POST"),
    ("daemon", "/web-proxy/mine--carol/page", "/api/v1/ws", "GET"),
    ("daemon", f"/auth/app?app={OTHER}&browser={'0' * 64}", "/api/v1/ws", "GET"),
    ("app", "/page", "/echo", "GET"),
    ("app", "/upload", "/echo", "POST"),
    ("app", f"/.prism/enter?id=x&browser={'0' * 64}", "/echo", "GET"),
    ("entrance", "/?code=x.y", "/", "GET"),
]


WAYS_OF_A_PAGE, FORMS = 10, ("text/plain", "application/x-www-form-urlencoded")
PLACES = {
    "daemon": "a hostile page of an app, against the daemon",
    "app": "a hostile page of an app, against another app",
    "entrance": "a hostile page of an app, against the entrance of apps",
}


def refused_attempts(case, attempts):
    """Write down how many attempts there were, each of which was refused."""
    record(f"Attacks in browsers: {case}", f"{attempts} attempts, 0 accepted")


@pytest.mark.parametrize(("whose", "path", "socket", "method"), TARGETS)
def test_page_of_an_app_learns_and_changes_nothing_elsewhere(
    site, victim, unharmed, whose, path, socket, method
):
    places = {"daemon": site.base, "app": site.app(OTHER), "entrance": site.app("enter")}
    target, ws = places[whose] + path, places[whose].replace("https", "wss") + socket
    learned = victim.evaluate(ATTEMPTS, [target, ws, method, BODY[method]])
    # What a `no-cors` request or a frame gives a page is empty, whatever the answer was.
    assert {name: text for name, text in learned.items() if text} == {}
    assert len(learned) == WAYS_OF_A_PAGE
    if method == "POST":
        for enctype in FORMS:
            with victim.expect_navigation(wait_until="load"):
                victim.evaluate(FORM, [target, enctype])
            victim.goto(f"{site.app(MINE)}/page")
    cookies = {cookie["name"] for cookie in victim.context.cookies(site.base)}
    assert SESSION_COOKIE in cookies, "it did not log anybody out"
    forms = [len(FORMS) if how == "POST" else 0 for place, *_, how in TARGETS if place == whose]
    refused_attempts(PLACES[whose], WAYS_OF_A_PAGE * len(forms) + sum(forms))


def test_page_of_an_app_cannot_read_or_script_a_window_of_the_daemon_or_of_another_app(
    site, victim
):
    for url in (f"{site.base}/settings", f"{site.app(OTHER)}/page"):
        with victim.context.expect_page() as opened:
            victim.evaluate("url => { window.other = window.open(url); }", url)
        opened.value.wait_for_load_state()
        learned = victim.evaluate(
            """() => {
              try { return other.location.href; } catch {}
              try { return other.document.body.innerText; } catch {}
              return null;
            }"""
        )
        assert learned in {None, "about:blank"}
        opened.value.close()
    refused_attempts("windows of the daemon and of another app", 4)


def test_page_of_an_app_cannot_read_or_replace_our_cookies(site, victim):
    assert "prism" not in victim.evaluate("document.cookie")
    before = {c["name"]: c["value"] for c in victim.context.cookies([site.base, site.app(OTHER)])}
    names = (SESSION_COOKIE, APP_COOKIE, "__Host-prism-login", "__Secure-prism-enter-x")
    attributes = (
        "Path=/; Secure",
        "Path=/; Secure; Domain=lab.test",
        f"Path=/; Secure; Domain={APPS}",
        "Path=/.prism/enter; Secure; Domain=lab.test",
        "Path=/api; Secure; Domain=lab.test",
    )
    for name, rest in itertools.product(names, attributes):
        victim.evaluate("text => { document.cookie = text; }", f"{name}=tossed; {rest}")
    after = {c["name"]: c["value"] for c in victim.context.cookies([site.base, site.app(OTHER)])}
    assert {name: after[name] for name in before} == before
    page = victim.context.new_page()
    assert page.goto(f"{site.base}/api/v1/me").json()["user"] == ADA
    assert page.goto(f"{site.app(OTHER)}/page").status == 200
    [ours] = [c for c in victim.context.cookies(site.app(OTHER)) if c["name"] == APP_COOKIE]
    assert ours["domain"] == f"{OTHER}.{APPS}" and ours["httpOnly"]
    refused_attempts("cookie tossing", len(names) * len(attributes))


def test_worker_that_reads_the_way_to_its_app_gives_a_thief_nothing(site, victim):
    """A page begins the way with the secret of another computer; its worker reads each address."""
    bob, thief = site.tab(), site.tab()
    bob.log_in(BOB)
    bob.visit(f"{site.app(MINE)}/page")
    painted = bob.fetch(f"{site.app(MINE)}/page", "PUT", content=THIEF.encode())
    assert painted.status_code == 200
    thief.visit(f"{site.app(MINE)}/page", until="/auth/app")
    try:
        victim.evaluate(REGISTER)
        victim.goto(thief.way[-1])
        stolen = victim.inner_text("body")
        assert stolen.startswith("stolen: https://"), "the worker did see the address"
        assert "cookie" not in stolen.lower()
        url = stolen.removeprefix("stolen: ").partition("[")[0]
        for tab in (thief, bob):
            assert tab.visit(url).status_code == 401
        assert thief.fetch(f"{site.app(MINE)}/page").status_code == 401
        refused_attempts("what a service worker has read of the way to its app", 3)
    finally:
        bob.fetch(f"{site.app(MINE)}/page", "PUT", content=b"<h1>here</h1>")


def test_app_gets_neither_cookies_nor_codes_nor_addresses_of_the_way(site, victim):
    seen = victim.evaluate("async () => (await fetch('/log')).json()")
    assert any(text.startswith("GET /page") for text in seen)
    text = json.dumps(seen).lower()
    assert "prism" not in text and "code=" not in text and "browser=" not in text
    names = ["X-Forwarded-Host", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP"]
    headers = {name: f"host={HOST};for=127.0.0.1;proto=http" for name in names}
    spoofed = victim.evaluate("async (headers) => (await fetch('/x', {headers})).json()", headers)
    assert spoofed["target"] == "/x", "its own app answers"
    received = dict(spoofed["headers"])
    assert HOST not in json.dumps(received)
    assert "forwarded" not in received and "x-real-ip" not in received
    refused_attempts("`Forwarded` and its kin in requests of a page", len(names))


def test_frames_of_the_daemon_and_of_apps_stay_empty(site, victim):
    urls = (
        f"{site.base}/login",
        f"{site.app(OTHER)}/page",
        f"{site.base}/auth/app?app={OTHER}",
    )
    for url in urls:
        victim.evaluate(
            """url => new Promise(done => {
              const frame = Object.assign(document.createElement('iframe'), {src: url});
              frame.onload = done;
              document.body.append(frame);
            })""",
            url,
        )
        texts = [frame.content() for frame in victim.frames[1:]]
        assert not any("Carol" in text or "<h1>here" in text or "root" in text for text in texts)
    refused_attempts("framing", len(urls))


def test_open_page_of_an_app_ends_with_the_session(site, victim):
    victim.evaluate(
        """() => new Promise(done => {
          window.closed_at = null;
          const socket = new WebSocket(location.origin.replace('https', 'wss') + '/echo');
          socket.onopen = () => done();
          socket.onclose = () => { window.closed_at = Date.now(); };
        })"""
    )
    site.home.client.sessions.end_all(ADA)
    began = victim.evaluate("Date.now()")
    victim.wait_for_function("window.closed_at !== null")
    assert victim.evaluate("window.closed_at") - began < 10_000, "usually less than 2 s"
    assert victim.evaluate("async () => (await fetch('/x')).status") == 401
    victim.goto(f"{site.app(MINE)}/x")
    assert urlsplit(victim.url).path == "/login"
