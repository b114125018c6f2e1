"""The own addresses of workspaces that failed, are gone or never existed: pages with a way out."""

from itertools import product

import pytest
from playwright.sync_api import expect

from prism.client.waiting import WorkspaceFailed
from tests.project.home import Home
from tests.web.conftest import AXE, page_problems
from tests.web.test_details import BROKEN


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("addresses") / "home")
    file = home.folder / "templates" / "broken.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(BROKEN)
    try:
        with home.run_daemon():
            client = home.client.workspaces
            client.launch("Plain Shell", "gone", wait=120)
            client.terminate("gone", wait=300)
            client.launch("broken", "wreck")
            with pytest.raises(WorkspaceFailed):
                client.wait("wreck", "running", 120)
            yield home
    finally:
        home.clear()


def open_address(browser, name):
    """Goes to the address of a workspace, and checks the page with axe."""
    page = browser.page
    page.goto(f"http://{name}.localhost:{browser.port}/lab?x=1")
    page.evaluate(AXE.read_text())
    for theme, width in product(("light", "dark"), (360, 1280)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 800})
        assert page_problems(page, width) == [], (theme, width)
        browser.shot(f"address-{name}-{theme}-{width}")
    browser.requests.clear()  # those to the workspace's own address
    return page


def go_on(browser):
    browser.page.get_by_role("link", name="Go on in Prism").click()
    browser.page.wait_for_url(f"{browser.base}/**")
    browser.page.get_by_role("heading", level=1).first.wait_for()
    browser.requests.clear()


def test_failed_workspace_says_so_and_leads_to_the_button_that_tries_again(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = open_address(browser, "wreck")
    expect(page.get_by_role("heading", level=1)).to_contain_text("failed")
    go_on(browser)
    expect(page.get_by_role("button", name="Try again", exact=True).first).to_be_visible()
    browser.shot("address-wreck-gui")


def test_terminated_workspace_says_so_and_leads_to_a_new_one(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = open_address(browser, "gone")
    expect(page.get_by_role("heading", level=1)).to_contain_text("terminated")
    go_on(browser)
    expect(page.get_by_text("This workspace was terminated")).to_be_visible()
    page.evaluate(AXE.read_text())
    assert page_problems(page, 1280) == []
    browser.shot("address-gone-gui")
    page.get_by_role("link", name="Launch another Plain Shell").click()
    expect(page.get_by_role("button", name="Launch plain-shell")).to_be_visible()


def test_unknown_workspace_leads_to_those_that_exist(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = open_address(browser, "nobody")
    expect(page.get_by_role("heading", level=1)).to_contain_text("nobody")
    go_on(browser)
    browser.shot("address-nobody-gui")
    page.get_by_role("main").get_by_role("link", name="workspaces").click()
    expect(page.get_by_role("row").filter(has_text="wreck")).to_be_visible()
