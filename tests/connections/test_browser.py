"""A hostile page that a workspace serves, in a real browser."""

import contextlib
import json
import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.needs import require

# The headless shell behaves the same and needs little more than half of the processor time.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or "chromium"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# The attempts of a hostile page; each returns what it learned, or `null`.
BODY = {"GET": None, "POST": "{}"}
ATTEMPTS = """
async ([target, ws, method, body]) => {
  const learned = {};
  const tried = async (name, attempt) => {
    try { learned[name] = await attempt() ?? null; } catch { learned[name] = null; }
  };
  const ask = init => async () => (await fetch(target, init)).text();
  await tried("fetch", ask({method}));
  await tried("with credentials", ask({method, credentials: "include"}));
  await tried("simple", ask({method, mode: "no-cors", body: body ?? undefined}));
  await tried("with a header", ask({method, headers: {"X-Forwarded-Host": "localhost"}}));
  await tried("beacon", async () => { navigator.sendBeacon(target, "{}"); });
  const met = (element, events) => new Promise(done => {
    for (const event of events) element.addEventListener(event, () => done(event), {once: true});
  });
  await tried("socket", async () => {
    const socket = new WebSocket(ws);
    const how = await met(socket, ["open", "error"]);
    return how === "open" ? how : null;
  });
  await tried("events", async () => {
    const source = new EventSource(target);
    const how = await met(source, ["open", "error"]);
    source.close();
    return how === "open" ? how : null;
  });
  for (const kind of ["img", "script"]) await tried(kind, async () => {
    const element = Object.assign(document.createElement(kind), {src: target});
    document.body.append(element);
    const how = await met(element, ["load", "error"]);
    return how === "load" ? how : null;
  });
  await tried("frame", async () => {
    const frame = Object.assign(document.createElement("iframe"), {src: target});
    const loaded = met(frame, ["load"]);
    document.body.append(frame);
    await loaded;
    return frame.contentWindow.document.body.innerText;
  });
  return learned;
}
"""
FORM = """
async ([target, enctype]) => {
  const form = Object.assign(document.createElement("form"), {action: target, method: "POST"});
  form.enctype = enctype;
  const field = Object.assign(document.createElement("input"), {name: '{"a":"', value: '"}'});
  form.append(field);
  document.body.append(form);
  form.submit();
}
"""


@pytest.fixture(scope="module")
def chromium():
    require(CHROMIUM)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium):
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(served_daemon, context):
    """The hostile page, served by the workspace `mine`."""
    page = context.new_page()
    assert page.goto(f"http://{served_daemon.host('mine')}/page").status == 200
    return page


@pytest.fixture
def other_workspace_unharmed(served_daemon):
    """Checks that the other workspace still runs and received no request."""
    before = served_daemon.ask("GET", "/log", "other").json()
    yield
    assert served_daemon.home.client.workspaces.get("other").state == "running"
    after = served_daemon.ask("GET", "/log", "other").json()
    ours = ("GET /log", "GET /favicon.ico")
    assert [text for text in after[len(before) :] if not text.startswith(ours)] == []


TARGETS = [
    ("/api/v1/instances", "/api/v1/ws", "GET"),
    ("/api/v1/instances/other/stop", "/ssh-proxy/other", "POST"),
    ("/api/v1/events", "/web-proxy/other/echo", "GET"),
    ("/web-proxy/other/page", "/web-proxy/mine/echo", "GET"),
    ("/docs", "/dcv-proxy/other/", "GET"),
]
FEW = {("localhost", 1), ("localhost", 3)}
# `make test` tries each kind of target by one name of the daemon, and one target by the others.
DAEMONS = [
    pytest.param(
        host,
        *target,
        marks=[] if not number or (host, number) in FEW else pytest.mark.slow,
    )
    for host in ("localhost", "127.0.0.1", "[::1]")
    for number, target in enumerate(TARGETS)
]


def assert_unreachable(page, at, path, socket, method):
    """Let a page of a workspace try every way to reach an address, and check that all fail."""
    learned = page.evaluate(
        ATTEMPTS, [f"http://{at}{path}", f"ws://{at}{socket}", method, BODY[method]]
    )
    assert learned.pop("simple") in {None, ""}, "an opaque answer"
    assert {name: text for name, text in learned.items() if text is not None} == {}


@pytest.mark.parametrize(("host", "path", "socket", "method"), DAEMONS)
def test_workspace_page_cannot_reach_the_daemon(
    served_daemon, page, other_workspace_unharmed, host, path, socket, method
):
    assert_unreachable(page, f"{host}:{served_daemon.port}", path, socket, method)


@pytest.mark.parametrize(
    ("label", "method"),
    [
        ("other", "POST"),
        ("8501--other", "GET"),
        pytest.param("other", "GET", marks=pytest.mark.slow),
        pytest.param("8501--other", "POST", marks=pytest.mark.slow),
    ],
)
def test_workspace_page_cannot_reach_another_workspace(
    served_daemon, page, other_workspace_unharmed, label, method
):
    assert_unreachable(page, served_daemon.host(label), "/page", "/echo", method)


@pytest.mark.needs("bwrap", "pasta")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_workspace_page_cannot_reach_a_published_port_of_another_workspace(
    served_daemon, page, other_workspace_unharmed, host, method
):
    [id] = [
        workspace.id
        for workspace in served_daemon.home.client.workspaces.list()
        if workspace.name == "other"
    ]
    report = served_daemon.home.folder / "workspaces" / id / "seen.json"
    if json.loads(report.read_bytes())["network"] != "own":
        pytest.skip("workspaces have no network of their own here")
    [port] = served_daemon.http.get("/api/v1/instances/other/ports?port=8888").json()
    assert_unreachable(page, f"{host}:{port['target']}", "/page", "/echo", method)


@pytest.mark.parametrize(
    ("where", "enctype"),
    [
        ("localhost", "text/plain"),
        ("other.localhost", "application/x-www-form-urlencoded"),
        pytest.param("localhost", "application/x-www-form-urlencoded", marks=pytest.mark.slow),
        pytest.param("other.localhost", "text/plain", marks=pytest.mark.slow),
    ],
)
def test_form_of_a_workspace_page_is_refused(
    served_daemon, page, other_workspace_unharmed, enctype, where
):
    target = f"http://{where}:{served_daemon.port}/api/v1/instances/other/stop"
    with page.expect_navigation() as moved:
        page.evaluate(FORM, [target, enctype])
    assert moved.value.status == 403


def test_workspace_page_cannot_read_a_window_of_another_origin(served_daemon, page):
    for where in ("localhost", "other.localhost"):
        with page.expect_popup() as opened:
            page.evaluate(
                "at => { window.found = window.open(at) }",
                f"http://{where}:{served_daemon.port}/page",
            )
        opened.value.wait_for_load_state()
        with pytest.raises(Exception, match=r"cross-origin|Blocked a frame"):
            page.evaluate("window.found.document.body.innerText")
        opened.value.close()


@pytest.mark.parametrize("path", ["/api/v1/instances", "/aws-proxy/console"])
def test_navigation_from_a_workspace_page_to_the_api_is_refused(served_daemon, page, path):
    target = f"http://localhost:{served_daemon.port}{path}"
    head = json.dumps([["Location", target]])
    redirect = f"http://{served_daemon.host('mine')}/answered?status=307&head={head}"
    for address in (target, redirect):
        page.goto(f"http://{served_daemon.host('mine')}/page")
        with page.expect_navigation() as moved:
            page.evaluate("at => { location = at }", address)
        assert moved.value.status == 403


def test_workspace_page_cannot_read_or_set_cookies_of_the_daemon(served_daemon, context, page):
    ours = {
        "name": "prism_session",
        "value": "ours",
        "url": f"http://localhost:{served_daemon.port}/",
    }
    context.add_cookies([ours])
    forged = json.dumps(
        [
            ["Set-Cookie", "prism_session=forged; Domain=localhost; Path=/"],
            ["Set-Cookie", "wide=1; Domain=localhost; Path=/"],
            ["Set-Cookie", "own=1; Path=/"],
        ]
    )
    page.goto(f"http://{served_daemon.host('mine')}/answered?head={forged}")
    page.goto(f"http://{served_daemon.host('mine')}/page")
    for cookie in ("prism_session=forged; domain=localhost", "script=1; domain=localhost"):
        page.evaluate("it => { document.cookie = it }", cookie)
    page.evaluate("document.cookie = 'prism_session=forged'")
    seen = page.evaluate("document.cookie")
    assert "ours" not in seen
    assert "own=1" in seen
    [line] = [entry for entry in fetched(page, "/log") if "/page" in entry][-1:]
    assert "prism" not in line, "the service receives no cookie of that name"
    values = {(cooky["domain"], cooky["name"]): cooky["value"] for cooky in context.cookies()}
    assert values.pop(("localhost", "prism_session")) == "ours"
    assert {domain for domain, _ in values} == {"mine.localhost"}
    other = context.new_page()
    other.goto(f"http://{served_daemon.host('other')}/page")
    assert other.evaluate("document.cookie") == ""


def test_cors_headers_of_a_service_are_removed(served_daemon, context, page):
    """Otherwise a page of another workspace could use this origin."""
    head = json.dumps(
        [
            ["Access-Control-Allow-Origin", f"http://{served_daemon.host('other')}"],
            ["Access-Control-Allow-Credentials", "true"],
        ]
    )
    neighbour = context.new_page()
    neighbour.goto(f"http://{served_daemon.host('other')}/page")
    with contextlib.suppress(Exception):
        text = fetched(neighbour, f"http://{served_daemon.host('mine')}/answered?head={head}")
        raise AssertionError(text)


def test_workspace_page_uses_fetch_websockets_and_events_on_its_origin(served_daemon, page):
    assert fetched(page, "/log")
    echoed = page.evaluate(
        """() => new Promise((done, no) => {
            const socket = new WebSocket(location.origin.replace("http", "ws") + "/echo");
            socket.onopen = () => socket.send("hello");
            socket.onmessage = message => done(message.data);
            socket.onerror = no;
        })"""
    )
    assert echoed == "hello"
    first = page.evaluate(
        """() => new Promise((done, no) => {
            const source = new EventSource("/events?count=2");
            source.onmessage = message => { source.close(); done(message.data); };
        })"""
    )
    assert first == "tick"


def test_proxy_path_redirects_to_the_origin_of_the_workspace(served_daemon, context):
    page = context.new_page()
    page.goto(f"http://localhost:{served_daemon.port}/web-proxy/mine/page?port=8501")
    assert page.url == f"http://{served_daemon.host('8501--mine')}/page"
    answer = page.goto(f"http://localhost:{served_daemon.port}/web-proxy/nobody/")
    assert answer.status == 404


def fetched(page, path):
    return page.evaluate("async at => (await fetch(at, {credentials: 'include'})).json()", path)
