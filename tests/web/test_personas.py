"""Tasks of people in the web GUI, with the clicks that each needs.

The table is in `docs/gui.md`; a test fails if a task needs more clicks than it says. The postdoc's
way from an empty home to a cell that has run is in `test_first_run.py`.
"""

import json
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from prism.client import Client
from prism.projects.model import BudgetChange
from tests.project.home import Home
from tests.project.tree import ROOT
from tests.waiting import eventually
from tests.web.test_class import CLASS, TEACHER, TEAM, make_class, tile
from tests.web.test_commands import check_with_axe
from tests.web.test_login import log_in

IN_MEMORY = (sys.executable, str(ROOT / "bench/daemon.py"))
PEOPLE = [f"s{number:03}@x.org" for number in range(30)]
OWNER, ASKING = "pi@x.org", "post@x.org"
COUNT = """
addEventListener("click", event => {
  if (event.isTrusted && event.detail) countClick();
}, true);
"""
ROW = re.compile(r"^\| ([^|]+) \| (\d+) \| [^|]+ \|$", re.MULTILINE)
TABLE = (ROOT / "docs/gui.md").read_text().partition("<!-- clicks -->")[2].partition("<!-- end")[0]
MOST = {task: int(clicks) for task, clicks in ROW.findall(TABLE)}


@pytest.fixture
def counted(browsing):
    """A browser whose clicks are counted, the number of them until now, and one by hand."""

    def count(home):
        browser, clicks = browsing(home, own=True, bypass_csp=True), []
        browser.context.expose_function("countClick", lambda: clicks.append(1))
        browser.context.add_init_script(COUNT)
        return browser, clicks

    return count


@pytest.fixture(scope="module")
def class_of_30(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("class") / "home")
    try:
        with home.run_daemon(IN_MEMORY, **TEAM, PRISM_LOCAL_PRICES="aws"):
            make_class(home, PEOPLE)
            for person in PEOPLE:
                home.client.workspaces.stop(f"work--{person[:4]}")
            eventually(lambda: set(home.states()) == {"stopped"}, 240)
            yield home
    finally:
        home.clear()


def test_teacher_starts_looks_at_and_stops_a_class_of_30(counted, class_of_30):
    browser, clicks = counted(class_of_30)
    log_in(browser, TEACHER)
    page = browser.open("/")
    clicks.clear()
    page.get_by_role("link", name="Projects and money").first.click()
    page.get_by_role("link", name="stat", exact=True).first.click()
    page.get_by_role("link", name="Class board").click()
    page.get_by_role("button", name="Start all (30)").click()
    dialog = page.get_by_role("dialog", name="Start 30 workspaces")
    rates = [row.hourly_rate for row in class_of_30.client.workspaces.list()]
    expect(dialog).to_contain_text(f"they cost ${round(sum(rates), 4):g}/h together")
    check_with_axe(browser, "start-class")
    assert set(class_of_30.states()) == {"stopped"}  # until it is confirmed
    dialog.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("button", name="Working (30)")).to_be_visible()
    page.get_by_role("link", name="Log of work--s007").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("work--s007")
    page.go_back()
    clicks.append(1)  # on the browser's own button
    expect(tile(page, "s007@x.org")).to_contain_text("Working")
    page.get_by_role("button", name="Stop all (30)").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Asleep (30)")).to_be_visible()
    assert page.url.endswith(CLASS)
    assert len(clicks) == MOST["Start a class of 30, look at the log of one, stop all"]


@pytest.fixture
def home_asleep(tmp_path):
    """A workspace that was put to sleep because it was idle."""
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon(IN_MEMORY):
            home.client.workspaces.launch("Plain Shell", "reef", wait=60)
            home.client.workspaces.hibernate("reef", wait=60)
            yield home
    finally:
        home.clear()


def test_person_sees_why_a_workspace_sleeps_and_wakes_it_from_a_bookmark(home_asleep, counted):
    browser, clicks = counted(home_asleep)
    page = browser.page
    page.goto(f"http://localhost:{browser.port}/workspaces/reef")  # the bookmark
    why = page.get_by_text("Asleep since")
    expect(why).to_contain_text("ada@example.org asked for it")
    expect(why).to_be_in_viewport()
    assert len(clicks) == MOST["See why a workspace sleeps"]
    page.get_by_role("button", name="Resume and open").click()
    expect(page.get_by_text("Running").first).to_be_visible()
    assert len(clicks) == MOST["Wake it from a bookmark of its page"]
    browser.requests.clear()  # of the address that leads to the page


def test_professor_enters_a_grant_with_its_end_in_one_form(counted, empty_home):
    browser, clicks = counted(empty_home)
    page = browser.open("/")
    page.get_by_role("link", name="Projects and money").first.click()
    page.get_by_role("button", name="New pool").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("DFG 42")
    dialog.get_by_label("Total in USD").fill("5000")
    dialog.get_by_label("Last day").fill("2030-09-30")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_have_count(0)
    assert len(clicks) == MOST["Enter a grant with its amount and its last day"]
    [pool] = empty_home.client.budgets.list()
    last = datetime(2030, 9, 30).astimezone() + timedelta(days=1)
    assert (pool.total_amount, pool.end_date) == (5000, last.astimezone(UTC))
    empty_home.client.budgets.delete(pool.id)


@pytest.fixture(scope="module")
def lab_with_budget(tmp_path_factory):
    """A shared daemon with a project, its budget that its owner has set, and a member."""
    home = Home(tmp_path_factory.mktemp("requests") / "home")
    try:
        with home.run_daemon(IN_MEMORY, **TEAM):
            operator = home.client
            operator.projects.create("reef", members={OWNER: "owner", ASKING: "member"})
            budget = BudgetChange(total_allocated=100)
            person_of(home, OWNER).projects.update("reef", budget=budget)
            yield home
    finally:
        home.clear()


def person_of(home, user):
    """A client with a token of this person."""
    token = home.client.tokens.create(f"of {user}", user=user, scope="admin").token
    address = json.loads((home.folder / "daemon.lock").read_text())["url"]
    return Client(url=address, token=token)


def budget_of(home):
    [project] = home.client.projects.list()
    return project.budget.total_allocated


def test_owner_grants_and_refuses_requests_with_one_click_each(counted, lab_with_budget):
    home, asking = lab_with_budget, person_of(lab_with_budget, ASKING)
    first = asking.requests.money(50, project="reef", reason="one more run")
    second = asking.requests.money(7, project="reef")
    third = asking.requests.money(9, project="reef")
    browser, clicks = counted(home)
    log_in(browser, OWNER)
    page = browser.open("/notices")  # where the mail about a request leads
    rows = page.get_by_role("table", name="Requests for more").get_by_role("row")
    row = rows.filter(has_text="$50.00 more")
    expect(row).to_contain_text("one more run")
    check_with_axe(browser, "requests")
    clicks.clear()
    page.get_by_role("button", name=f"Grant {ASKING} $50.00 more for project reef").click()
    expect(row).to_contain_text(f"Granted by {OWNER}")
    assert len(clicks) == MOST["Grant a request for more, from the link in its mail"]
    assert budget_of(home) == 150
    clicks.clear()
    refused = rows.filter(has_text="$7.00 more")
    name = f"Refuse {ASKING} $7.00 more for project reef"
    page.get_by_role("button", name=name, exact=True).click()
    expect(refused).to_contain_text(f"Refused by {OWNER}")
    assert len(clicks) == MOST["Refuse a request for more, from the link in its mail"]
    clicks.clear()
    explained = rows.filter(has_text="$9.00 more")
    explained.get_by_role("button", name="Other ways to refuse").click()
    page.get_by_role("menuitem", name="Refuse with a reason").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("not this year")
    page.get_by_role("dialog").get_by_role("button", name="Refuse").click()
    expect(explained).to_contain_text(f"Refused by {OWNER}: not this year")
    assert len(clicks) == MOST["Refuse one with a reason"]
    assert budget_of(home) == 150
    states = {row.id: (row.state, row.answer) for row in asking.requests.list()}
    assert states == {
        first.id: ("granted", ""),
        second.id: ("refused", ""),
        third.id: ("refused", "not this year"),
    }
    answers = [
        (entry.event, entry.actor, entry.subject)
        for entry in home.client.audit.entries()
        if entry.event in {"more_granted", "more_refused"}
    ]
    assert sorted(answers) == [
        ("more_granted", OWNER, "$50.00 more for project reef"),
        ("more_refused", OWNER, "$7.00 more for project reef"),
        ("more_refused", OWNER, "$9.00 more for project reef"),
    ]
