"""The list of workspaces on two pages: focus, selection and dialogs during changes."""

import json
import re
import sys

import pytest
from playwright.sync_api import expect

from tests.project.home import Home
from tests.project.tree import ROOT
from tests.waiting import eventually
from tests.web.conftest import AXE, page_problems

IN_MEMORY = (sys.executable, str(ROOT / "bench/daemon.py"))
NAMES = [f"w{number}" for number in range(51)]  # a page has 50
RUNNING = "/workspaces?f=state%3Drunning"
FIRST_KEY = 50  # milliseconds from a key to its letter on the screen
BUSY = 4  # times as slow, while other tests run
MEASURE_KEYS = """
() => {
  window.keyTimes = [];
  addEventListener("keydown", event => {
    if (event.key !== "7") return;
    const began = event.timeStamp;
    requestAnimationFrame(() => setTimeout(() => {
      window.keyTimes.push(performance.now() - began);
    }, 0));
  }, true);
}
"""
GO = """
path => {
  history.pushState({idx: 0}, "", path);
  dispatchEvent(new PopStateEvent("popstate", {state: history.state}));
}
"""
FOCUSED = "document.activeElement.closest('tr')?.querySelector('th')?.textContent ?? null"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("table") / "home")
    with home.run_daemon(IN_MEMORY):
        for name in NAMES:
            home.client.workspaces.launch("Plain Shell", name)
        eventually(lambda: set(home.states()) == {"running"}, 240)
        yield home


@pytest.fixture(autouse=True)
def all_running(home):
    """Makes all workspaces run before each test."""
    eventually(lambda: set(home.states()) <= {"running", "stopped", "terminated"}, 240)
    living = [
        workspace for workspace in home.client.workspaces.list() if workspace.state != "terminated"
    ]
    for workspace in living:
        if workspace.state != "running":
            home.client.workspaces.start(workspace.name, wait=240)
    for name in set(NAMES) - {workspace.name for workspace in living}:
        home.client.workspaces.launch("Plain Shell", name)
    eventually(lambda: running_names(home) == set(NAMES), 240)


def running_names(home):
    return {
        workspace.name
        for workspace in home.client.workspaces.list()
        if workspace.state == "running"
    }


def box(page, name):
    return page.get_by_role("checkbox", name=f"Select {name}", exact=True)


def test_focus_does_not_move_to_another_workspace_when_its_page_vanishes(home, browsing):
    page = browsing(home).open(f"{RUNNING}&page=2")
    box(page, "w50").focus()
    home.client.workspaces.stop("w7")
    expect(page.get_by_role("rowheader")).to_have_count(50)
    assert page.evaluate(FOCUSED) in {"w50", None}
    page.keyboard.press("Space")
    assert "selected=w0" not in page.url


@pytest.mark.slow
def test_focus_does_not_move_to_another_workspace_when_going_back(home, browsing):
    page = browsing(home).open("/workspaces?page=2")
    expect(page.get_by_role("rowheader").first).to_have_text("w50")
    page.evaluate("history.pushState(history.state, '', '/workspaces')")
    page.goto(page.url)
    expect(page.get_by_role("rowheader").first).to_have_text("w0")
    box(page, "w4").focus()
    page.go_back()
    expect(page.get_by_role("rowheader").first).to_have_text("w50")
    assert page.evaluate(FOCUSED) in {"w4", None}


def test_paging_keeps_the_selection(home, browsing):
    page = browsing(home).open("/workspaces?selected=w3")
    rows = page.get_by_role("rowheader")
    page.get_by_role("button", name="Next page").click()
    expect(rows).to_have_text(["w50"])
    expect(box(page, "w50")).not_to_be_checked()
    box(page, "w50").check(force=True)
    page.get_by_role("button", name="Previous page").click()
    expect(rows).to_have_text(sorted(NAMES[:50], key=lambda name: int(name[1:])))
    checked = [row.get_attribute("aria-label") for row in page.locator("input:checked").all()]
    assert [label for label in checked if label] in ([], ["Select w3"])
    expect(box(page, "w3")).to_be_checked()
    expect(box(page, "w0")).not_to_be_checked()
    assert page.url.endswith("selected=w3%2Cw50&page=1")


@pytest.mark.slow
def test_invalid_page_number_shows_the_first_page(home, browsing):
    browser = browsing(home)
    for number in ("1.5", "0", "-3", "abc"):
        page = browser.open(f"/workspaces?page={number}")
        expect(page.get_by_role("rowheader")).to_have_count(50)
        expect(page.get_by_role("rowheader").first).to_have_text("w0")


def test_terminate_dialog_keeps_its_workspaces_while_the_list_changes(home, browsing):
    page = browsing(home).open(f"{RUNNING}&selected=w9%2Cw10")
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Terminate (2)").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("listitem")).to_have_text(["w9", "w10"])
    home.client.workspaces.stop("w9")
    expect(page.get_by_role("heading", name="Workspaces")).to_contain_text("(1/50/51)")
    expect(dialog.get_by_role("listitem")).to_have_text(["w9", "w10"])


def test_bulk_terminate_continues_after_leaving_the_page_and_does_not_navigate(home, browsing):
    page = browsing(home).open("/workspaces?f=name%3Aw2&selected=w20%2Cw21")
    held = []
    id = home.client.workspaces.get("w20").workspace
    page.route(f"**/instances/{id}/terminate*", lambda route: held.append(route))
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Terminate (2)").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("terminate 2")
    dialog.get_by_role("button", name="Terminate").click()
    eventually(lambda: page.wait_for_timeout(20) or held)
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="Storage").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Storage")
    held[0].continue_()
    expect(page.get_by_text(re.compile("w20, w21|w20 and w21")).first).to_be_visible()
    assert page.url.endswith("/storage")


def test_terminated_workspace_is_removed_from_the_selection(home, browsing):
    page = browsing(home).open("/workspaces?f=name%3Aw3&selected=w30%2Cw31")
    heading = page.get_by_role("heading", name="Workspaces")
    expect(heading).to_contain_text("(2/")
    home.client.workspaces.terminate("w30", wait=240)
    expect(heading).to_contain_text("(1/")
    eventually(lambda: page.wait_for_timeout(20) or page.url.endswith("selected=w31"))
    home.client.workspaces.launch("Plain Shell", "w30")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="w30", exact=True))
    expect(row).to_contain_text("Running")
    expect(box(page, "w30")).not_to_be_checked()


@pytest.mark.slow
def test_theme_is_the_same_in_the_bar_and_on_the_settings_page(home, browsing):
    page = browsing(home).open("/settings?tab=appearance")
    page.get_by_role("button", name="Dark", exact=True).click()
    page.get_by_role("button", name="Appearance").click()
    expect(page.get_by_role("menuitemcheckbox", name="Dark")).to_be_checked()
    page.get_by_role("menuitemcheckbox", name="Light").click()
    light = page.get_by_role("button", name="Light", exact=True)
    expect(light).to_have_attribute("aria-pressed", "true")


def test_all_that_match_can_be_selected_over_pages(home, browsing):
    browser = browsing(home)
    page = browser.open("/workspaces?f=state%3Drunning")
    page.get_by_role("checkbox", name="Select all on this page").click(force=True)
    page.get_by_role("button", name="Select all 51 that match, on every page").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("(51/51)")
    assert "selected=*" in page.url.replace("%2A", "*")
    box(page, "w3").click(force=True)
    expect(page.get_by_role("heading", level=1)).to_contain_text("(50/51)")
    page.get_by_role("button", name="Actions").first.click()
    page.get_by_role("menuitem", name="Stop (50)").click()
    eventually(lambda: running_names(home) == {"w3"}, 120)
    expect(page.get_by_role("rowheader")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_contain_text("(1/51)")


def test_rows_filter_while_typing(home, browsing):
    page = browsing(home).open("/workspaces")
    field = page.get_by_role("combobox", name="Filter by name")
    field.press_sequentially("w4")
    expect(page.get_by_role("rowheader")).to_have_count(11)  # w4, w40 to w49
    expect(page.get_by_role("option", name="w4", exact=True)).to_have_count(0)
    field.press("Backspace")
    field.press("Backspace")
    expect(page.get_by_role("rowheader")).to_have_count(50)


def test_columns_can_be_chosen_and_stay_after_a_reload(home, browsing):
    browser = browsing(home)
    page = browser.open("/workspaces")
    header = page.get_by_role("columnheader", name="Owner")
    expect(page.get_by_role("columnheader", name="State")).to_be_visible()
    expect(header).to_have_count(0)  # all have one owner
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("dialog").get_by_role("checkbox", name="Owner").click(force=True)
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    expect(header).to_be_visible()
    page.reload()
    expect(header).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_thousand_workspaces_of_several_owners_filter_at_each_key(home, browsing, scheme):
    """The answer of the daemon, with a thousand workspaces made of its first."""
    [first, *_] = [row for row in home.cli_json("list") if row["state"] == "running"]
    owners = ["ada@example.org", "bob@example.org"]
    rows = [
        first | {"name": f"n{number}", "workspace": f"ws_{number}", "owner": owners[number % 2]}
        for number in range(1000)
    ]
    size = {"width": 1280 if scheme == "light" else 360, "height": 800}
    browser = browsing(home, viewport=size, color_scheme=scheme)
    browser.page.route("**/api/v1/instances", lambda route: route.fulfill(json=rows))
    page = browser.open("/workspaces")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("(1000)")
    if scheme == "light":
        page.get_by_role("button", name="Mine").click()
    else:  # on a telephone the choice is a menu
        page.get_by_role("button", name="Whose workspaces").click()
        page.get_by_role("option", name="Mine").click()
    expect(heading).to_contain_text("(500/1000)")
    assert "who=mine" in page.url
    page.evaluate(AXE.read_text())
    assert page_problems(page, size["width"]) == []
    browser.shot(f"owners-{scheme}")
    page.evaluate(GO, "/workspaces")
    page.get_by_role("combobox", name="Filter by name").focus()
    page.evaluate(MEASURE_KEYS)
    for _ in range(5):
        page.keyboard.type("7")
        expect(heading).to_contain_text("(271/1000)")
        page.keyboard.press("Backspace")
        expect(heading).to_contain_text("(1000)")
    times = page.evaluate("window.keyTimes")
    assert len(times) == 5
    assert min(times) <= FIRST_KEY * BUSY


def test_back_leads_to_the_page_of_the_list_before(home, browsing):
    page = browsing(home).open("/workspaces?sort=name")
    page.get_by_role("button", name="Next page").click()
    page.wait_for_url("**page=2")
    expect(page.get_by_role("row")).to_have_count(len(NAMES) - 50 + 1)
    page.go_back()
    page.wait_for_url("**/workspaces?sort=name")
    expect(page.get_by_role("row")).to_have_count(50 + 1)


def test_older_events_are_shown_page_by_page(home, browsing):
    for number in range(150):
        home.client.projects.create(f"Project {number}")
    browser = browsing(home)
    page = browser.open("/events?subject=w1")
    events = json.loads(browser.fetch("/api/v1/audit?limit=1000")[2])
    assert len(events) > 200
    page.get_by_role("searchbox").nth(1).fill("")
    rows = page.get_by_role("table", name="Events").get_by_role("row")
    expect(rows).to_have_count(200 + 1)
    for _ in range(200, len(events), 200):
        page.get_by_role("button", name="Show older").click()
    expect(rows).to_have_count(len(events) + 1)
    expect(page.get_by_role("button", name="Show older")).to_have_count(0)
