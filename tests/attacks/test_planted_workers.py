"""What another program gave a browser on the daemon's port is worth nothing to it afterwards."""

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from prism.kit.gui_origin import ORIGIN_PREFIX, new_gui_label
from tests.conftest import free_port
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.kit.test_gate import CROSS, HOST, LINK, OWN, SITE, answering, gate, send_request
from tests.needs import require
from tests.project.home import Home
from tests.waiting import eventually

SQUATTER = Path(__file__).with_name("squatter.py")
LABEL = new_gui_label()
GUI = f"{LABEL}.localhost:8947"
FORMER = f"{new_gui_label()}.localhost:8947"
KINDS = ["plain", "ip", "former", "gui"]
SOCKET = ("prism.sock", None)
PAGE = {"sec-fetch-site": "same-origin"}
VISIT = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
SCRIPT = {
    "service-worker": "script",
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "same-origin",
    "sec-fetch-dest": "serviceworker",
}
# What a planted page or worker tries; each returns what it learned, or null.
ATTEMPTS = """
async (base) => {
  const learned = {};
  const tried = async (name, attempt) => {
    try { learned[name] = await attempt() ?? null; } catch { learned[name] = null; }
  };
  const api = `${base}/api/v1/instances`;
  const text = async (target, init) => {
    const answer = await fetch(target, init);
    return answer.ok ? answer.text() : null;
  };
  const socket = (url) => new Promise((done) => {
    const it = new WebSocket(url);
    it.onopen = () => done('open');
    it.onerror = () => done(null);
  });
  await tried('fetch', () => text(api));
  await tried('post', () => text(`${base}/api/v1/daemon/shutdown`, {method: 'POST'}));
  await tried('no-cors', () => text(api, {mode: 'no-cors', referrerPolicy: 'no-referrer'}));
  await tried('socket', () => socket(`${base.replace('http', 'ws')}/api/v1/ws`));
  await tried('frame', async () => {
    const frame = document.createElement('iframe');
    frame.src = `${base}/api/v1/instances?let-through`;
    const loaded = new Promise((done) => frame.addEventListener('load', done, {once: true}));
    document.body.append(frame);
    await loaded;
    const seen = frame.contentDocument?.body.innerText ?? null;
    return seen?.includes('REJECTED') || seen === '' ? null : seen;
  });
  await tried('worker', () => new Promise((done) => {
    navigator.serviceWorker.onmessage = (event) => {
      done(event.data?.includes('REJECTED') ? null : event.data);
    };
    navigator.serviceWorker.controller.postMessage([api, {}]);
  }));
  return learned;
}
"""


def status(headers, path="/", method="GET", kind="http", **more):
    [start, *_] = send_request(headers, kind, method, path, **more)
    return start.get("status", start["type"])


def gated(**more):
    return gate(gui=LABEL, content=answering(name="content"), **more)


def test_browsers_use_the_api_from_the_guis_origin_only():
    at, own = gated(), {"origin": f"http://{GUI}"}
    for path in ("/", "/api/v1/instances"):
        for headers in ({}, PAGE, own, own | PAGE, VISIT):
            assert status({"host": GUI} | headers, path, at=at) == 200, (path, headers)
        for host in (HOST, "127.0.0.1:8947", "[::1]:8947"):
            assert status({"host": host}, path, at=at) == 200, "a program"
            mine = {"host": host, "origin": f"http://{host}"}
            for headers in (PAGE, {"origin": mine["origin"]}, PAGE | {"origin": mine["origin"]}):
                for method in ("GET", "POST"):
                    assert status({"host": host} | headers, path, method, at=at) == 403
            assert status({"host": host}, path, "POST", at=at) == 200
            assert status(mine, "/api/v1/ws", kind="websocket", at=at) == "websocket.close"
    for headers in (CROSS, {"origin": OWN}, {"origin": f"http://{FORMER}"}):
        assert status({"host": GUI} | headers, "/api/v1/instances", at=at) == 403


def test_program_with_a_fetch_mode_is_no_browser():
    """The `fetch` of Node.js sends this header, and no other of a browser."""
    assert status({"host": HOST, "sec-fetch-mode": "cors"}, "/api/v1/instances", at=gated()) == 200


@pytest.mark.parametrize("host", [HOST, "127.0.0.1:8947", FORMER], ids=["plain", "ip", "former"])
def test_address_bar_leads_to_the_guis_origin(host):
    [start, _] = send_request({"host": host} | VISIT, path="/workspaces/mine", at=gated())
    headers = dict(start["headers"])
    assert start["status"] == 302
    assert headers[b"location"] == f"http://{GUI}/workspaces/mine".encode()
    assert headers[b"clear-site-data"] == b'"storage"'
    assert status({"host": host} | LINK, "/api/v1/instances", at=gated()) == 403, "as before"
    assert status({"host": host} | VISIT | {"sec-fetch-dest": "iframe"}, at=gated()) in {403, 421}


@pytest.mark.parametrize("host", [HOST, "[::1]:8947", FORMER, GUI], ids=KINDS)
def test_every_script_of_a_service_worker_removes_the_worker(host):
    sent = send_request({"host": host} | SCRIPT, path="/any.js", at=gated())
    assert sent[0]["status"] == 200
    assert b"unregister()" in sent[1]["body"]
    assert dict(sent[0]["headers"])[b"service-worker-allowed"] == b"/"


def test_script_of_a_service_worker_removes_the_worker_in_team_mode():
    sent = send_request({"host": HOST} | SCRIPT, path="/any.js", at=gate(team=True))
    assert b"unregister()" in sent[1]["body"]


def test_former_origin_of_the_gui_answers_nothing_else():
    at = gated()
    for headers in ({}, PAGE, {"origin": f"http://{FORMER}"}):
        assert status({"host": FORMER} | headers, "/api/v1/instances", at=at) in {403, 421}


def test_label_of_the_gui_is_new_and_no_workspace_has_it():
    labels = {new_gui_label() for _ in range(100)}
    assert len(labels) == 100
    for label in labels:
        assert label.startswith(ORIGIN_PREFIX)
        assert "--" in label, "which names of workspaces do not contain"
        assert len(label) <= 63


def test_worker_of_a_workspace_is_removed_unless_the_workspace_serves_its_script():
    served = gate(gui=LABEL, content=answering((b"content-type", b"text/javascript")))
    assert send_request({"host": SITE} | SCRIPT, path="/sw.js", at=served)[1]["body"] == b"ours"

    async def missing(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"no such file"})

    planted = send_request({"host": SITE} | SCRIPT, path="/x.js", at=gate(content=missing))
    assert planted[0]["status"] == 200
    assert [b"unregister()" in message["body"] for message in planted[1:]] == [True]


def test_socket_that_a_browser_reaches_by_ssh_is_checked_like_the_port():
    at = gated()
    for headers in ({}, {"host": "localhost"}, {"host": "anything"}, {"host": "localhost:1234"}):
        assert status(headers, "/api/v1/instances", at=at, server=SOCKET) == 200, "a program"
    rebound = {"host": "evil.example:1234"}
    assert status(rebound, "/api/v1/instances", at=at, server=SOCKET) == 421
    for origin in ("http://evil.example", "null", "http://localhost:1234"):
        other = {"host": "localhost:1234", "origin": origin}
        assert status(other, "/api/v1/instances", "POST", at=at, server=SOCKET) == 403
    [start, *_] = send_request({"host": "localhost:1234"} | VISIT, at=at, server=SOCKET)
    assert dict(start["headers"])[b"location"] == f"http://{LABEL}.localhost:1234/".encode()
    gui = {"host": f"{LABEL}.localhost:1234", "origin": f"http://{LABEL}.localhost:1234"}
    assert status(gui, "/api/v1/instances", at=at, server=SOCKET) == 200
    content = send_request({"host": "mine.localhost:1234"}, at=at, server=SOCKET)
    assert content[1]["body"] == b"content"


@contextlib.contextmanager
def squatting(port):
    process = subprocess.Popen([sys.executable, str(SQUATTER), str(port)])
    try:
        eventually(lambda: is_open(port), 30)
        yield
    finally:
        process.kill()
        process.wait()


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def browsing(folder):
    """A browser that keeps what it stores."""
    require(CHROMIUM)
    with sync_playwright() as play:
        launch = play.chromium.launch_persistent_context
        context = launch(str(folder), executable_path=CHROMIUM, args=FLAGS)
        context.set_default_timeout(30_000)
        yield context
        context.close()


def gui_of(home):
    return json.loads((home.folder / "daemon.lock").read_text())["gui"]


def plant(page, address):
    page.goto(address)
    eventually(lambda: page.title() == "registered", 30)


def shows(page, address):
    """The title after a visit; empty while a worker navigates."""
    try:
        page.goto(address)
        return page.title()
    except Error:
        return ""


def test_worker_that_was_planted_while_the_daemon_was_down_has_nothing(tmp_path):
    home, port = Home(tmp_path / "home"), free_port()
    home.environ |= {"PRISM_PORT": str(port)}
    plain, folder = f"http://localhost:{port}", tmp_path / "browser"
    try:
        with browsing(folder) as context:
            page = context.new_page()
            with home.run_daemon():
                former = gui_of(home)
                page.goto(f"{plain}/")
                assert page.url.startswith(f"{former}/")
            with squatting(port):
                for origin in (plain, former):
                    plant(page, f"{origin}/")
            for origin in (plain, former):
                assert shows(page, f"{origin}/") == "planted", "it answers without its program"
        with home.run_daemon(), browsing(folder) as context:
            page = context.new_page()
            gui = gui_of(home)
            assert gui != former
            for origin in (plain, former):
                assert shows(page, f"{origin}/") == "planted", "a bookmark"
                learned = page.evaluate(ATTEMPTS, origin)
                assert set(learned.values()) == {None}, learned
                other = page.evaluate(ATTEMPTS, gui)
                assert set(other.values()) == {None}, other
                page.wait_for_url(f"{gui}/**")  # the browser has looked for a new worker
                page.goto(f"{origin}/")
                assert page.url.startswith(f"{gui}/"), "the worker is gone"
            page.goto(f"{gui}/")
            count = "async () => (await navigator.serviceWorker.getRegistrations()).length"
            assert page.evaluate(count) == 0
            mine = page.evaluate("async () => (await fetch('/api/v1/instances')).status")
            assert mine == 200
            assert home.answers(), "nobody has shut it down"
    finally:
        home.clear()


def test_open_page_follows_the_daemon_to_its_new_origin_with_its_settings(tmp_path):
    home, port = Home(tmp_path / "home"), free_port()
    home.environ |= {"PRISM_PORT": str(port)}
    try:
        with browsing(tmp_path / "browser") as context:
            page = context.new_page()
            with home.run_daemon():
                page.goto(f"http://localhost:{port}/settings")
                # A page that has loaded takes the focus, which closes a menu.
                page.get_by_role("heading", level=1).first.wait_for()
                page.get_by_role("button", name="Appearance").click()
                page.get_by_role("menuitemcheckbox", name="Dark").click()
                stored = home.client.daemon.gui_settings
                eventually(lambda: stored()["values"] == {"theme": "dark"}, 30)
            with home.run_daemon():
                page.wait_for_url(f"{gui_of(home)}/settings")
                scheme = "document.documentElement.style.colorScheme"
                eventually(lambda: page.evaluate(scheme) == "dark", 30)
    finally:
        home.clear()
