"""The built GUI in a real browser, with a real daemon."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from prism.daemon.gui_settings import FILE
from prism.daemon.website import BUILT, read_site
from prism.idle.model import STEP_SECONDS, ActivityStep, FigureSum
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.needs import require, skip_outside_ci
from tests.project.home import Home

expect.set_options(timeout=60_000)
HOUR, DAY, MICROS = 3600, 86400, 1_000_000
SHOTS = os.environ.get("SCREENSHOTS", "")
FORGET = "() => { localStorage.clear(); sessionStorage.clear(); }"


def seed_activity(home: Home, name: str) -> None:
    """Gives a workspace some hours of activity; the daemon writes such rows every ten minutes."""
    now = int(time.time()) // STEP_SECONDS
    parts = [(12, "idle", "nothing is going on"), (30, "active", "a kernel is busy: train.ipynb")]
    parts += [(6, "unknown", "Jupyter does not answer")]
    steps, number = [], now - 100
    for length, verdict, why in parts:
        for _ in range(length):
            number += 1
            cpu = FigureSum(
                STEP_SECONDS, STEP_SECONDS * (80.0 if verdict == "active" else 1.0), 90.0
            )
            step = ActivityStep(
                number=number,
                began=number * STEP_SECONDS,
                until=(number + 1) * STEP_SECONDS,
                seconds={verdict: STEP_SECONDS},
                reasons={verdict: (why,)},
                figures={"cpu": cpu, "memory": FigureSum(STEP_SECONDS, STEP_SECONDS * 40.0, 41.0)},
            )
            steps.append((number, msgspec.json.encode(step).decode()))
    with closing(sqlite3.connect(home.folder / "state.db")) as db, db:
        living = "SELECT id FROM workspaces WHERE name = ? AND ended_at IS NULL"
        [(id,)] = db.execute(living, (name,))
        insert = "INSERT INTO activity_steps VALUES (?, ?, ?)"
        db.executemany(insert, [(id, *step) for step in steps])


def seed_costs(home: Home, project: str, dollars: Sequence[int]) -> None:
    """Gives a project, while no daemon runs, costs in each of the last days."""
    today = int(time.time()) // DAY
    dates = range(today - len(dollars), today)
    rows = [
        (project, amount * MICROS, day * DAY + HOUR, day * DAY + 2 * HOUR)
        for day, amount in zip(dates, dollars, strict=True)
    ]
    total = sum(dollars) * MICROS
    with closing(sqlite3.connect(home.folder / "state.db")) as db, db:
        db.executemany(
            "INSERT INTO segments (no, resource, name, owner, profile, project, kind, detail, "
            "amount, hours, source, began, ended, reconstructed) VALUES "
            "(900, 'past', 'past', 'ada@example.org', 'local', ?, 'compute', '', ?, 1, 'test', "
            "?, ?, 0)",
            rows,
        )
        account = ("past", project, 900, "past", total, False, dates[0] * DAY)
        db.execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?)", account)
        db.execute("INSERT INTO totals VALUES (?, 'compute', ?)", (project, total))
        db.execute("DELETE FROM days")  # they are computed again


def seed_idle_history(home: Home, name: str, workspace: str = "past") -> None:
    """Records that a workspace, by name and id, was hibernated half an hour ago."""
    at = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(time.time() - HOUR / 2))
    row = (workspace, name, "hibernate", at, 75 * 60, "gpu", None, "the GPU did nothing")
    with closing(sqlite3.connect(home.folder / "state.db")) as db, db:
        db.execute(
            "INSERT INTO idle_history (workspace, instance_name, action, trigger_time, seconds, "
            "profile, rate, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )


AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """
async () => {
  const rules = {region: {enabled: true}};
  const found = await axe.run(document, {resultTypes: ["violations"], rules});
  return found.violations.map(it => [it.id, it.nodes.map(node => node.html.slice(0, 200))]);
}
"""
CUT_OFF_CELLS = """
() => [...document.querySelectorAll("tbody td, tbody td *, tbody th, tbody th *")]
  .filter(it => getComputedStyle(it).textOverflow === "ellipsis"
    && it.scrollWidth > it.clientWidth + 1)
  .map(it => it.innerText)
"""


def page_problems(page: Page, width: int) -> list[Any]:
    """What axe, whose script was run, reports on a page, and what does not fit the window."""
    problems: list[Any] = page.evaluate(RUN_AXE)
    if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
        problems.append(f"scrolls sideways: {wide} px")
    if cut := page.evaluate(CUT_OFF_CELLS):
        problems.append(f"cut off: {cut}")
    return problems


USUAL: dict[str, Any] = {
    "viewport": {"width": 1280, "height": 900},
    "reduced_motion": "reduce",
}


def save_shot(page: Page, name: str) -> None:
    """Saves a screenshot, if a folder for them is set."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


class Browser:
    """A context of the browser with a tab, its requests and its errors."""

    def __init__(self, chromium: PlaywrightBrowser, **options: Any) -> None:
        self.context = chromium.new_context(**USUAL | options)
        self.context.set_default_timeout(60_000)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.sockets: list[str] = []
        self.page = self.new_page()

    def use(self, home: Home) -> None:
        """Directs the browser to the daemon of this home."""
        self.home = home
        self.port = json.loads((home.folder / "daemon.lock").read_text())["port"]
        about = json.loads((home.folder / "daemon.lock").read_text())
        self.base = about.get("gui") or about["url"]
        for recorded in (self.requests, self.errors, self.sockets):
            recorded.clear()

    def new_page(self) -> Page:
        page = self.context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.sockets.append(socket.url))
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        refused = "Failed to load resource" in message.text  # an answer that the page shows
        if message.type == "error" and not refused:
            self.errors.append(message.text)

    def leave(self) -> None:
        """Closes every tab but the first, and clears what the first has stored."""
        # `about:blank` would have another process, which compiles all scripts again.
        aside = f"{self.base}/icon.svg"
        if self.page.url == aside:
            return
        for page in self.context.pages:
            if page is not self.page:
                page.close()
        if self.page.url.startswith(self.base):
            self.page.evaluate(FORGET)
        (self.home.folder / FILE).unlink(missing_ok=True)
        self.page.unroute_all()
        self.page.goto(aside)

    def fetch(self, path: str) -> tuple[int, str, str]:
        """The status, the type and the body of an answer to the page."""
        get = """async (path) => {
          const answer = await fetch(path);
          return [answer.status, answer.headers.get('content-type'), await answer.text()];
        }"""
        status, kind, body = self.page.evaluate(get, path)
        return status, kind, body

    def open(self, path: str = "/") -> Page:
        """Goes to a page of the GUI and waits until it has its heading."""
        self.page.goto(f"{self.base}{path}")
        self.page.get_by_role("heading", level=1).first.wait_for()
        return self.page

    def shot(self, name: str) -> None:
        """Saves a screenshot, if a folder for them is set."""
        save_shot(self.page, name)

    def foreign(self) -> list[str]:
        """The requests to other hosts than the daemon."""
        ours = (self.base, "data:", "blob:", "about:")
        return [url for url in self.requests if not url.startswith(ours)]


# Not for the session: while Playwright runs, its event loop occupies the thread, and other
# tests of the same worker could not run a loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[PlaywrightBrowser]:
    if read_site(BUILT) is None:
        skip_outside_ci("the web GUI: run `make gui`")
    require(CHROMIUM)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A daemon without workspaces."""
    home = Home(tmp_path_factory.mktemp("web") / "home")
    try:
        with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
            yield home
    finally:
        home.clear()


@pytest.fixture(scope="module")
def home_with_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A daemon with the workspace `mine`, for the tests of one file."""
    home = Home(tmp_path_factory.mktemp("web") / "home")
    try:
        with home.run_daemon():
            home.client.workspaces.launch("Plain Shell", "mine", wait=300)
            yield home
    finally:
        home.clear()


@pytest.fixture(scope="module")
def shared_browser(chromium: PlaywrightBrowser) -> Iterator[Browser]:
    """For most tests of a file, because a new context compiles every script again."""
    browser = Browser(chromium)
    yield browser
    browser.context.close()


@pytest.fixture
def browsing(
    chromium: PlaywrightBrowser, shared_browser: Browser
) -> Iterator[Callable[..., Browser]]:
    """Gives a test a browser: the shared one, or with `own` or options a new one.

    Each test ends without requests to other hosts and without errors in the console.
    """
    used: list[Browser] = []

    def browse(home: Home, own: bool = False, **options: Any) -> Browser:
        is_new = own or options or shared_browser in used
        browser = Browser(chromium, **options) if is_new else shared_browser
        browser.use(home)
        used.append(browser)
        return browser

    yield browse
    for browser in used:
        if browser is shared_browser:
            browser.leave()
        else:
            browser.context.close()
    for browser in used:
        assert browser.foreign() == []
        assert browser.errors == []
