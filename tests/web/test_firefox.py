"""The main tasks in Firefox: launch, work in the terminal, sleep and wake."""

import json
import shutil
from functools import partial

import pytest

from prism.daemon.website import BUILT, read_site
from tests.needs import require, skip_outside_ci
from tests.project.home import Home
from tests.waiting import eventually
from tests.web.firefox import run_firefox

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox") or "firefox-esr"
HEADINGS = {
    "/workspaces": "Workspaces",
    "/templates": "Templates",
    "/projects": "Projects and money",
    "/costs": "Costs",
    "/storage": "Storage",
    "/idle": "Idle",
    "/events": "Events",
    "/notices": "Notices",
    "/settings": "Settings",
}
HEADING = "document.querySelector('h1')?.innerText ?? ''"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon():
            yield home
    finally:
        home.clear()


@pytest.fixture
def firefox(tmp_path):
    if read_site(BUILT) is None:
        skip_outside_ci("the web GUI: run `make gui`")
    require("firefox-esr")
    with run_firefox(FIREFOX, tmp_path / "profile") as firefox:
        yield firefox
        assert firefox.errors == []


def starts(firefox, heading):
    return firefox.evaluate(HEADING).startswith(heading)


@pytest.mark.slow  # another browser, with a machine
def test_workspace_is_launched_used_put_to_sleep_and_woken(home, firefox):
    base = json.loads((home.folder / "daemon.lock").read_text())["gui"]
    for path, heading in HEADINGS.items():
        firefox.open(base + path)
        eventually(partial(starts, firefox, heading), 60)
    firefox.open(f"{base}/launch?template=plain-shell")
    firefox.click("button", "Launch plain-shell")
    client = home.client.workspaces
    eventually(lambda: bool(client.list()), 60)
    [workspace] = client.list()
    client.wait(workspace.name, "running", 300)

    firefox.open(f"{base}/workspaces/{workspace.name}?tab=terminal")
    eventually(lambda: firefox.evaluate("document.activeElement.tagName") == "TEXTAREA", 60)
    firefox.type("echo $((6 * 7))-in-firefox\n")
    firefox.sees("42-in-firefox")
    firefox.reload()
    firefox.sees("42-in-firefox")  # the same shell, with what it said

    name = workspace.name
    firefox.open(f"{base}/workspaces/{name}")
    firefox.click("button", "Hibernate")
    eventually(lambda: home.states() == ["hibernated"], 120)
    firefox.sees("Asleep since")
    firefox.click("button", "Undo")
    eventually(lambda: home.states() == ["running"], 120)
