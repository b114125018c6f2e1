"""Workspaces and storage that no daemon serves, in the browser."""

import pytest
from playwright.sync_api import expect

from tests.project.home import Home


@pytest.fixture(scope="module")
def abandoned_home(tmp_path_factory):
    """A daemon with the database of another home, whose daemon does not run."""
    place = tmp_path_factory.mktemp("web")
    home = Home(place / "home")
    with home.run_daemon():
        home.client.workspaces.launch("Plain Shell", "mine", wait=300)
        home.cli_json("volume", "create", "data", "--size", "1")
        home.cli_json("snapshot", "create", "monday", "--volume", "data")
        home.cli_json("backup", str(place / "backup"))
    (place / "new").mkdir()
    new = home.at(place / "new")
    new.cli_json("restore", str(place / "backup"), "--yes")
    try:
        with new.run_daemon():
            yield new
    finally:
        for each in (home, new):
            each.clear()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_no_daemon_serves_is_marked_with_the_reason(abandoned_home, browsing, theme):
    browser = browsing(abandoned_home, color_scheme=theme)
    page = browser.open("/workspaces")
    row = page.get_by_role("row").filter(has_text="mine")
    expect(row).to_contain_text("Unreachable")
    expect(row).not_to_contain_text("Running")
    badge = row.get_by_text("Unreachable", exact=True)
    assert badge.evaluate("it => it.scrollWidth <= it.clientWidth"), "all of it can be read"
    browser.shot(f"unreachable-workspaces-{theme}")

    page = browser.open("/workspaces/mine")
    expect(page.get_by_text("No daemon serves it: what you see is the last known")).to_be_visible()
    expect(page.get_by_text("prism recover --adopt-home").first).to_be_visible()
    browser.shot(f"unreachable-workspace-{theme}")

    page = browser.open("/storage")
    for table, name in (("Volumes", "data"), ("Snapshots", "monday")):
        row = page.get_by_role("table", name=table).get_by_role("row").filter(has_text=name)
        row.get_by_role("button", name="Unreachable").click()
        expect(page.get_by_text("it is in another home")).to_be_visible()
        browser.shot(f"unreachable-{table}-{theme}")
        page.get_by_role("button", name="Close", exact=True).click()
