"""Commands of the command line, done in the GUI: checks, advice, switches, profiles and limits."""

import re
from itertools import product

import pytest
from playwright.sync_api import expect

from prism.idle.plan import BUILT_IN
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


def test_profile_is_changed_and_an_emptied_field_has_no_value(home, browsing):
    home.client.profiles.create("cloud", provider="aws", region="eu-west-1", aws_profile="lab")
    browser = browsing(home, bypass_csp=True)
    page = browser.open("/settings?tab=profiles")
    page.get_by_role("button", name="Change the profile cloud").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Region").fill("us-east-2")
    dialog.get_by_label("AWS profile").fill("")
    check_with_axe(browser, "profile")
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("table", name="Profiles").get_by_role("row").filter(has_text="cloud")
    expect(row).to_contain_text("us-east-2")
    [cloud] = [row for row in home.client.profiles.list() if row.name == "cloud"]
    assert (cloud.region, cloud.aws_profile, cloud.provider) == ("us-east-2", None, "aws")


def test_disk_space_is_shown_and_freed(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = browser.open("/settings")
    page.get_by_role("button", name="Free disk space").click()
    dialog = page.get_by_role("dialog", name="Free disk space")
    expect(dialog).to_contain_text("are free now")
    check_with_axe(browser, "clean")
    before = home.client.daemon.clean(dry_run=True).freed_bytes
    assert before > 0
    dialog.get_by_role("button", name="Remove").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("were removed")).to_be_visible()
    assert home.client.daemon.clean(dry_run=True).freed_bytes < before


@pytest.fixture
def robbed_home(tmp_path):
    """A home with a workspace that its new, empty database does not know."""
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon():
            home.client.workspaces.launch("Plain Shell", "lost", wait=300)
        for file in home.folder.glob("state.db*"):
            file.unlink()
        with home.run_daemon():
            yield home
    finally:
        home.clear()


def test_workspace_that_the_database_lost_is_taken_back(robbed_home, browsing):
    browser = browsing(robbed_home, bypass_csp=True)
    page = browser.open("/settings")
    page.get_by_role("button", name="Find lost workspaces").click()
    dialog = page.get_by_role("dialog", name="Find lost workspaces")
    expect(dialog.get_by_role("listitem").filter(has_text="lost of ")).to_be_visible()
    assert robbed_home.client.workspaces.list() == []  # it was only looked at
    check_with_axe(browser, "recover")
    dialog.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("Taken back: lost")).to_be_visible()
    [workspace] = robbed_home.client.workspaces.list()
    assert workspace.name == "lost"
    page.get_by_role("button", name="Find lost workspaces").click()
    expect(dialog).to_contain_text("No machine without a workspace was found")
    expect(dialog.get_by_role("button", name="Take back")).to_be_disabled()


def choose(dialog, field, option):
    dialog.get_by_role("button", name=re.compile(f"^{field}")).click()
    dialog.get_by_role("option", name=option).click()


def set_limit(page, scope, field, option, project=None):
    page.get_by_role("button", name="Set a limit").click()
    dialog = page.get_by_role("dialog")
    choose(dialog, "Whom it limits", scope)
    expect(dialog.get_by_role("textbox", name="Person")).to_have_count(0)
    choose(dialog, field, option)
    if project:
        choose(dialog, "Project", project)
    dialog.get_by_label("GPUs at once").fill("1")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


def test_role_and_token_that_a_limit_is_for_are_choices(home, browsing):
    """Nobody has to know how they are written; a token's limit counts in every project."""
    token = home.client.tokens.create("laptop")
    page = browsing(home).open("/settings?tab=access")
    set_limit(page, "A token", "Token", "laptop")
    set_limit(page, "A role", "Role", "Viewer", "Reef")
    limits = {
        limit.scope: (limit.subject, limit.project_name) for limit in home.client.limits.list()
    }
    assert limits["token"] == (token.id, None)
    assert limits["role"] == ("viewer", "Reef")
    rows = page.get_by_role("table", name="Limits of people").get_by_role("row")
    expect(rows.filter(has_text=f"token {token.id}")).to_be_visible()
    page.goto(f"{page.url.partition('/settings')[0]}/projects/Reef?tab=settings")
    page.get_by_role("button", name="Set a limit").click()
    page.get_by_role("dialog").get_by_role("button", name="Whom it limits").click()
    expect(page.get_by_role("option")).to_have_count(2)  # a person or a role
    page.keyboard.press("Escape")
    for limit in home.client.limits.list():
        home.client.limits.remove(limit.id, project=limit.project)


def test_person_is_limited_in_a_project_and_everywhere(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = browser.open("/projects/Reef?tab=settings")
    page.get_by_role("button", name="Set a limit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Person").fill("bo@example.org")
    dialog.get_by_label("USD a month").fill("25")
    dialog.get_by_label("Workspaces at once").fill("0")
    check_with_axe(browser, "limit")
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("table", name="Limits of people").get_by_role("row")
    expect(row.filter(has_text="bo@example.org")).to_contain_text("$25.00")
    [limit] = home.client.limits.list("Reef")
    assert (limit.subject, limit.monthly, limit.workspaces, limit.gpus) == (
        "bo@example.org",
        25,
        0,
        None,
    )
    home.client.limits.set(person=ADA, workspaces=9)
    page = browser.open("/settings?tab=access")
    own = page.get_by_role("table", name="Your limits")
    expect(own).to_contain_text("1 of 9")
    check_with_axe(browser, "limits-of-people")
    page.goto(f"{browser.base}/projects/Reef?tab=settings")
    page.get_by_role("button", name="Delete bo@example.org").click()
    check_with_axe(browser, "limit-delete")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("To confirm, type: bo@example.org").fill("bo@example.org")
    dialog.get_by_role("button", name="Delete").click()
    expect(row.filter(has_text="bo@example.org")).to_have_count(0)
    assert home.client.limits.list("Reef") == []


def test_idle_profile_is_added_and_deleted(home, browsing):
    browser = browsing(home, bypass_csp=True)
    page = browser.open("/idle")
    table = page.get_by_role("table", name="Idle profiles")
    expect(table.get_by_text("built in")).to_have_count(len(BUILT_IN))
    expect(table.get_by_role("button")).to_have_count(0)
    for profile in BUILT_IN:
        row = table.get_by_role("row").filter(has_text=profile.description)
        expect(row).to_contain_text("built in")
    page.get_by_role("button", name="New idle profile").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("night")
    dialog.get_by_label("How many minutes").fill("9")
    choose(dialog, "What happens then", "Stop")
    dialog.get_by_label("CPU").fill("7.5")
    check_with_axe(browser, "idle-profile")
    dialog.get_by_role("button", name="Create").click()
    row = table.get_by_role("row").filter(has_text="night")
    expect(row).to_contain_text("Stop after 9 idle minutes")
    expect(row).to_contain_text("CPU 7.5%")
    [night] = [profile for profile in home.client.idle.profiles() if profile.name == "night"]
    assert (night.action, night.cpu_threshold, night.gpu_threshold) == ("stop", 7.5, None)
    check_with_axe(browser, "idle-profiles")
    home.client.idle.configure("mine", "night")
    row.get_by_role("button", name="Delete the idle profile night").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("is in use")  # with the command that gives them another
    check_with_axe(browser, "idle-profile-in-use")
    home.client.idle.configure("mine", "standard")
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert {*home.client.idle.profiles()} == {*BUILT_IN}
