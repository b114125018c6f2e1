"""The built GUI in a real browser, at a real daemon."""

import json
import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from prism.daemon.website import BUILT, read_site
from tests.connections.test_browser import FLAGS
from tests.house.living import Home

expect.set_options(timeout=30_000)
SHOTS = os.environ.get("SCREENSHOTS", "")


class Browser:
    """One tab, and everything that it asked for or complained of."""

    def __init__(self, context, home):
        self.context, self.home = context, home
        self.port = json.loads((home.folder / "daemon.lock").read_text())["port"]
        self.base = f"http://localhost:{self.port}"
        self.requests, self.complaints, self.sockets = [], [], []
        self.page = self.new_page()

    def new_page(self):
        page = self.context.new_page()
        page.on("request", lambda it: self.requests.append(it.url))
        page.on("websocket", lambda it: self.sockets.append(it.url))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _said(self, message):
        refused = "Failed to load resource" in message.text  # an answer that the page shows
        if message.type == "error" and not refused:
            self.complaints.append(message.text)

    def open(self, path="/"):
        """Go to a page of the GUI and wait until it has its heading."""
        self.page.goto(f"{self.base}{path}")
        self.page.get_by_role("heading", level=1).first.wait_for()
        return self.page

    def shot(self, name):
        """Keep a picture, where somebody wants to look at it."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)

    def foreign(self):
        """What was asked of anybody but the daemon."""
        return [it for it in self.requests if not it.startswith((self.base, "data:", "blob:"))]


# Not for the session: while Playwright runs, its event loop is the thread's own, and other
# tests of the same worker could run none.
@pytest.fixture(scope="module")
def chromium():
    if read_site(BUILT) is None:
        pytest.fail("the GUI is not built: run `make gui`")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory):
    """A daemon in whose home nothing was launched yet."""
    home = Home(tmp_path_factory.mktemp("web") / "home")
    try:
        with home.living(PRISM_LOCAL_PRICES="aws"):
            yield home
    finally:
        home.clear()


@pytest.fixture
def browsing(chromium):
    """Makes browsers; each test ends with nothing foreign asked for and nothing complained of."""
    made = []

    def browse(home, **options):
        given = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | options
        context = chromium.new_context(**given)
        context.set_default_timeout(30_000)
        made.append(Browser(context, home))
        return made[-1]

    yield browse
    for browser in made:
        browser.context.close()
    for browser in made:
        assert browser.foreign() == []
        assert browser.complaints == []
