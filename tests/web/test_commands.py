"""Commands of the command line, done in the GUI: checks, advice, switches, profiles and limits."""

from itertools import product

import pytest
from playwright.sync_api import expect

from tests.project.home import Home
from tests.web.conftest import AXE, page_problems, seed_costs

ADA = "ada@example.org"
# Tables learn in the next frame that they scroll.
LAID_OUT = """
() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(
  () => requestAnimationFrame(done))))
"""
BROKEN = "name: Broken\ndescription: It names a parent that does not exist\ninherits: [Nowhere]\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("web-commands") / "home")
    try:
        with home.run_daemon():
            home.client.workspaces.launch("Plain Shell", "mine", wait=300)
            reef = home.client.projects.create("Reef", members={ADA: "owner"})
        seed_costs(home, reef.id, (4, 6, 5))
        with home.run_daemon():
            yield home
    finally:
        home.clear()


def check_with_axe(browser, name):
    """Axe reports nothing on the page as it is, in both themes and three widths."""
    page = browser.page
    page.evaluate(AXE.read_text())
    for theme, width in product(("light", "dark"), (360, 768, 1280)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(LAID_OUT)
        assert page_problems(page, width) == [], (theme, width)
        browser.shot(f"command-{name}-{theme}-{width}")


def test_every_template_is_checked_and_mistakes_are_shown(home, browsing):
    browser = browsing(home, bypass_csp=True)
    folder = home.folder / "templates"
    folder.mkdir(exist_ok=True)
    (folder / "broken.yml").write_text(BROKEN)
    page = browser.open("/templates")
    page.get_by_role("button", name="Check all").click()
    dialog = page.get_by_role("dialog", name="Check every template")
    expect(dialog).to_contain_text("1 with mistakes")
    row = dialog.get_by_role("row").filter(has_text="Nowhere").first
    expect(row).to_contain_text("Mistake")
    checks = [url for url in browser.requests if "templates/validate" in url]
    assert len(checks) == 1  # the event of a check does not begin another one
    check_with_axe(browser, "checks")
    (folder / "broken.yml").unlink()


def test_workspace_is_set_to_start_again_after_a_reboot(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = browser.open("/workspaces/mine?tab=settings")
    page.get_by_role("button", name="Start again No").click()
    page.get_by_role("option", name="Yes").click()
    page.get_by_role("button", name="Save Start again").click()
    expect(page.get_by_text("Start again is now Yes")).to_be_visible()
    assert home.client.workspaces.get("mine").restart
    check_with_axe(browser, "restart")


def test_page_of_a_project_says_how_to_spend_less(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = browser.open("/projects/Reef")
    heading = page.get_by_role("heading", name="How to spend less")
    expect(heading).to_be_visible()
    analysis = home.client.projects.analysis("Reef")
    burn = f"${analysis.current_monthly_burn:,.2f}"
    assert burn != "$0.00"
    expect(page.get_by_text(burn, exact=True).first).to_be_visible()
    check_with_axe(browser, "analysis")
