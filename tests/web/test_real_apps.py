"""JupyterLab, Streamlit and large files at origins of their own, in Chromium, as a lab has them.

The daemon speaks TLS itself, or Caddy or nginx do with the configuration of `prism team setup`.
"""

import contextlib
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.attacks.test_app_pages import LAB_FLAGS, log_in
from tests.connections.apps import BOB, TeamHome, names_resolve
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.connections.test_jupyter import TERMINAL
from tests.needs import find, require, skip_outside_ci
from tests.proofs import record
from tests.waiting import eventually

__all__ = ["names_resolve"]  # a fixture
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MIB = 1 << 20
FILE_BYTES = 500 * MIB
MOST_GROWTH = 64 * MIB  # of the daemon's memory while a large file goes through
LONGEST_START = 180_000  # milliseconds until JupyterLab is drawn, on a busy computer
TEMPLATES = {"lab": "JupyterLab", "app": "Streamlit App", "mine": "Served"}
TITLE = "Apps of a shared daemon in Chromium"
WORKER = """
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', (event) => {
  if (event.request.url.endsWith('/from-worker'))
    event.respondWith(new Response('the worker answers'));
  else
    event.respondWith(fetch(event.request));
});
"""
REGISTER = """async () => {
  await navigator.serviceWorker.register('/page?type=text/javascript', {scope: '/'});
  await navigator.serviceWorker.ready;
  while (!navigator.serviceWorker.controller) await new Promise(done => setTimeout(done, 50));
}"""
UPLOAD = """async () => {
  const body = document.querySelector('input').files[0];
  return await (await fetch('/upload', {method: 'POST', body})).json();
}"""
DOWNLOAD = """size => {
  const link = Object.assign(document.createElement('a'), {href: `/download?size=${size}`});
  link.download = 'large.bin';
  document.body.append(link);
  link.click();
}"""


@pytest.fixture(scope="module")
def chromium():
    require(CHROMIUM)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *LAB_FLAGS])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def team(tmp_path_factory, names_resolve):
    """The home of a lab whose member Bob has a workspace of each kind."""
    team = TeamHome(tmp_path_factory.mktemp("real"))
    try:
        with team.served() as site:
            site.home.client.projects.create("reef")
            site.home.client.members.add("reef", BOB)
            bob = site.person(BOB)
            for name, template in TEMPLATES.items():
                bob.workspaces.launch(template, name, project="reef")
            eventually(lambda: site.home.states() == ["running"] * len(TEMPLATES), 400)
            for name in TEMPLATES:
                site.home.client.idle.keep_awake(f"{name}--bob", 1440)
        yield team
    finally:
        team.home.clear()


@pytest.fixture(scope="module", params=["", "caddy", "nginx"], ids=["own TLS", "caddy", "nginx"])
def site(request, team):
    if request.param and not find(request.param):
        skip_outside_ci(request.param)
    with team.served(request.param) as site:
        site.front = request.param or "its own TLS"
        yield site


@pytest.fixture
def page(site, chromium):
    """A page of Bob's browser, which is logged in at the daemon."""
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    log_in(site, context, BOB)
    yield context.new_page()
    context.close()


@contextlib.contextmanager
def bounded_memory(site):
    """Checks the highest memory of the daemon in the block, as the kernel has it."""
    about = json.loads((site.home.folder / "daemon.lock").read_text())
    process = Path("/proc") / str(about["pid"])

    def memory(name):
        [kilobytes] = re.findall(rf"^{name}:\s+(\d+) kB", (process / "status").read_text(), re.M)
        return int(kilobytes) * 1024

    before = memory("VmRSS")
    (process / "clear_refs").write_text("5")  # the highest begins anew
    growth: list[int] = []
    yield growth
    growth.append(memory("VmHWM") - before)
    assert growth[0] < MOST_GROWTH, f"{growth[0] / MIB:.0f} MiB"


def opened(site, page, name):
    """Open the first service of a workspace by the link on its page in the GUI."""
    page.goto(f"{site.base}/workspaces/{name}--bob")
    link = page.locator(f"a[href^='{site.app(f'{name}--bob')}']").first
    link.wait_for()
    page.goto(link.get_attribute("href"))


def run_cell(page):
    """A new notebook of JupyterLab, and what its first cell prints."""
    page.locator(".jp-Launcher").wait_for(timeout=LONGEST_START)
    page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # until then cells are redrawn
    cell = page.locator(".jp-Notebook:visible .jp-Cell .cm-content").first
    cell.click()
    page.keyboard.type("print(6 * 7, 'from a cell')")
    expect(cell).to_contain_text("from a cell")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-Notebook:visible .jp-OutputArea-output").first
    expect(output).to_contain_text("42 from a cell", timeout=60_000)


def test_jupyterlab_runs_cells_and_terminals_and_gives_its_files(site, page):
    opened(site, page, "lab")
    page.goto(f"{site.app('lab--bob')}/lab?reset")  # what is open at an earlier visit's end stays
    refused = []
    page.on("response", lambda it: refused.append(it.url) if it.status in {403, 421} else None)
    run_cell(page)
    screen = page.evaluate(TERMINAL, "echo $((6 * 7)) from a terminal | tee made.txt\n")
    assert "42 from a terminal" in screen
    with page.expect_download() as downloaded:
        page.evaluate("() => { location.href = '/files/made.txt?download=1'; }")
    assert Path(downloaded.value.path()).read_text() == "42 from a terminal\n"
    assert refused == []
    record(
        f"{TITLE}: JupyterLab, {site.front}",
        "a cell is run by its kernel, a command typed into a terminal, and its file downloaded",
    )


def test_streamlit_app_reacts_to_input(site, page):
    opened(site, page, "app")
    expect(page.locator("h1")).to_contain_text("How long do I have", timeout=60_000)
    metric = page.locator('[data-testid="stMetricValue"]')
    before = metric.inner_text()
    page.get_by_label("Seed").fill("7" if "7" not in before else "8")
    page.keyboard.press("Enter")
    expect(metric).not_to_have_text(re.compile(f"^{re.escape(before)}$"), timeout=30_000)
    record(f"{TITLE}: Streamlit, {site.front}", "the app reacts to input over its WebSocket")


def test_file_of_500_mib_is_uploaded_and_downloaded_in_bounded_memory(site, page, tmp_path):
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(FILE_BYTES)
    page.goto(f"{site.app('mine--bob')}/page")
    page.set_content("<input type=file>")
    page.set_input_files("input", str(large))
    with bounded_memory(site) as up:
        assert page.evaluate(UPLOAD)["size"] == FILE_BYTES
    with bounded_memory(site) as down:
        with page.expect_download() as downloaded:
            page.evaluate(DOWNLOAD, FILE_BYTES)
        assert downloaded.value.path().stat().st_size == FILE_BYTES
    record(
        f"{TITLE}: 500 MiB each way, {site.front}",
        "a file is chosen and uploaded, and one downloaded to the disk, complete; meanwhile the "
        f"daemon's memory grows by less than {MOST_GROWTH // MIB} MiB (here {up[0] / MIB:.0f} and "
        f"{down[0] / MIB:.0f})",
    )


def test_worker_of_an_app_serves_its_origin_and_leads_back_to_the_login(site, page):
    """Pages that a worker asks for take the same way as those without one."""
    bob, address = site.tab(), f"{site.app('mine--bob')}/page"
    bob.log_in(BOB)
    bob.visit(address)
    assert bob.fetch(address, "PUT", content=WORKER.encode()).status_code == 200
    page.goto(address)
    try:
        page.evaluate(REGISTER)
        assert bob.fetch(address, "PUT", content=b"<h1>here</h1>").status_code == 200
        page.goto(address)
        expect(page.get_by_role("heading", name="here")).to_be_visible()
        page.goto(f"{site.app('mine--bob')}/from-worker")
        assert page.inner_text("body") == "the worker answers"
        page.context.clear_cookies()
        page.goto(f"{address}?a=b")
        assert page.url.startswith(f"{site.base}/login"), page.inner_text("body")
        log_in(site, page.context, BOB)
        page.goto(f"{address}?a=b")
        assert page.url == f"{address}?a=b"
        page.goto(f"{site.base}/settings")
        page.evaluate("address => { location.href = address; }", f"{address}?by=link")
        page.wait_for_url(f"{address}?by=link")
        expect(page.get_by_role("heading", name="here")).to_be_visible()
    finally:
        bob.fetch(address, "PUT", content=b"<h1>here</h1>")
