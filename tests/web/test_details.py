"""Single pages: home, connecting, settings, a template, costs, events."""

import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from prism.client.waiting import WorkspaceFailed
from prism.projects.model import NewBudget
from tests.project.home import Home
from tests.web.conftest import seed_costs, seed_idle_history

EVENT = "project_created"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A running and a hibernated workspace, and a project that has spent most of its money."""
    home = Home(tmp_path_factory.mktemp("details") / "home")
    try:
        with home.run_daemon():
            project = home.client.projects.create("Reef", budget=NewBudget(total_allocated=20))
        seed_costs(home, project.id, [3, 1, 4, 8, 2])
        seed_idle_history(home, "archive")
        with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
            for name in ("shell", "asleep"):
                home.client.workspaces.launch("Plain Shell", name, wait=120, ttl_hours=8)
            home.client.workspaces.hibernate("asleep", wait=300)
            yield home
    finally:
        home.clear()


def test_home_counts_workspaces_and_shows_low_budgets_and_events(home, browsing):
    page = browsing(home).open("/")
    warning = page.get_by_role("group").filter(has_text="Reef")
    expect(warning).to_contain_text(re.compile(r"has only \$[012]\.\d\d of \$20\.00 left\."))
    expect(page.get_by_role("definition").nth(0)).to_have_text("1")
    expect(page.get_by_role("definition").nth(1)).to_have_text("1")
    expect(page.get_by_role("table").first).to_contain_text("asleep")
    home.client.projects.create("Cove")  # later than the events of other tests
    newest = page.get_by_role("main").get_by_role("row").filter(has_text="Project created")
    expect(newest.first).to_contain_text("Cove")


BROKEN = """\
name: Broken
slug: broken
description: Its post_install always fails
package_manager: pip
post_install: ["exit 7"]
"""


def test_home_shows_failed_and_expiring_workspaces(home, browsing):
    file = home.folder / "templates" / "broken.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(BROKEN)
    home.client.workspaces.launch("broken", "wreck")
    with pytest.raises(WorkspaceFailed):
        home.client.workspaces.wait("wreck", "running", 120)
    browser = browsing(home, own=True)
    before = home.client.workspaces.get("shell").expires_at
    browser.page.clock.set_system_time(before - timedelta(minutes=20))
    page = browser.open("/")
    main = page.get_by_role("main")
    wreck = main.get_by_role("group").filter(has=page.get_by_role("link", name="wreck"))
    expect(wreck).to_contain_text(home.client.workspaces.get("wreck").failure.message)
    coming = main.get_by_role("list", name="In the next 24 hours").get_by_role("listitem")
    expiring = coming.filter(has_text="shell expires")
    expect(expiring).to_contain_text(re.compile("in (19|20) min"))
    expect(page.get_by_text("is idle and may be put to sleep")).to_have_count(0)
    browser.shot("home-concerns")
    expiring.get_by_role("button", name="Extend by 4 h: shell").click()
    expect(expiring).to_contain_text(re.compile("in 4 h (19|20) min"))
    assert home.client.workspaces.get("shell").expires_at == before + timedelta(hours=4)

    home.client.workspaces.terminate("wreck", wait=300)
    expect(wreck).to_have_count(0)
    file.unlink()


def test_workspace_shows_that_its_memory_is_not_limited(home, browsing):
    """The note is put into the daemon's answer, because this computer may limit memory."""
    lacks = "its memory is not limited: Prism can make no control group here"

    rows = home.cli_json("list")
    for row in rows:
        row["notes"] = [lacks] if row["name"] == "shell" else []
    browser = browsing(home, own=True)
    browser.page.route("**/api/v1/instances", lambda route: route.fulfill(json=rows))
    page = browser.open("/workspaces/shell")
    note = page.get_by_role("group").filter(has_text="What this workspace lacks")
    expect(note).to_contain_text(lacks)
    browser.shot("workspace-notes")
    browser.open("/workspaces/asleep")
    expect(page.get_by_role("heading", level=1)).to_have_text("asleep")
    expect(note).to_have_count(0)


@pytest.mark.slow
def test_log_search_shows_only_matching_lines(home, browsing):
    page = browsing(home).open("/workspaces/shell?tab=logs&log=system")
    log = page.get_by_role("log")
    everything = list(home.client.logs.get("shell", "system", 500).lines)
    expect(page.get_by_text(f"{len(everything)} lines, following")).to_be_visible()
    word = "progress"
    matching = [line for line in everything if word in line.lower()]
    assert 0 < len(matching) < len(everything)
    page.get_by_role("searchbox", name="Find in the log").fill(word.upper())
    expect(page.get_by_text(f"{len(matching)} of {len(everything)} lines")).to_be_visible()
    assert log.inner_text().splitlines() == matching
    assert page.url.endswith(f"find={word.upper()}")
    page.reload()
    expect(page.get_by_text(f"{len(matching)} of {len(everything)} lines")).to_be_visible()
    page.get_by_role("searchbox", name="Find in the log").fill("nothing says this")
    expect(page.get_by_text(f"0 of {len(everything)} lines")).to_be_visible()
    page.get_by_role("searchbox", name="Find in the log").fill("")
    expect(page.get_by_text(f"{len(everything)} lines, following")).to_be_visible()


def test_idle_page_lists_idle_actions_with_their_reasons(home, browsing):
    page = browsing(home).open("/idle")
    table = page.get_by_role("table", name="What was put to sleep")
    row = table.get_by_role("row").filter(has_text="archive")
    expect(row).to_contain_text(re.compile("3[0-9] min ago"))
    for cell in ("Hibernate", "75 minutes", "gpu", "the GPU did nothing"):
        expect(row.get_by_role("cell", name=cell, exact=True)).to_be_visible()
    expect(row.get_by_role("rowheader")).to_have_text("archive")
    expect(row.get_by_role("link")).to_have_count(0)  # it is not listed any more


def test_doctor_shows_a_failed_check_until_it_is_repaired(home, browsing):
    file = home.folder / "templates" / "torn.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("name: Torn\npackages: [")
    page = browsing(home).open("/settings")
    table = page.get_by_role("table", name="Doctor")
    row = table.get_by_role("row").filter(has_text="torn.yml").first
    expect(row).to_contain_text("Broken", timeout=120_000)
    expect(row.get_by_role("button", name="Copy prism template validate")).to_be_visible()
    expect(table.get_by_role("row").nth(1)).to_contain_text("Broken")  # the worst is first
    file.unlink()
    page.get_by_role("button", name="Check again").click()
    expect(row).to_have_count(0, timeout=120_000)


def test_failed_read_shows_a_command_and_can_be_retried(home, browsing):
    page = browsing(home).open("/costs?project=Tide")
    alert = page.get_by_role("group").filter(has_text="Project 'Tide' not found")
    expect(alert.get_by_role("button", name="Copy prism project list")).to_be_visible()
    home.client.projects.create("Tide")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("$0.00 in total")).to_be_visible()


@pytest.mark.slow
def test_number_shows_its_source(home, browsing):
    page = browsing(home).open("/costs")
    page.get_by_role("button", name="Where Per day comes from").click()
    expect(page.get_by_text("The current hourly total × 24")).to_be_visible()


def test_ssh_and_editor_links_are_shown_for_a_running_workspace(home, browsing):
    page = browsing(home).open("/workspaces/shell")
    editor = page.get_by_role("link", name="Open in VS Code")
    expect(editor).to_have_attribute("href", "vscode://vscode-remote/ssh-remote+shell.prism/")
    expect(page.get_by_text("shell@127.0.0.1")).to_be_visible()
    page.goto(page.url.replace("shell", "asleep"))
    expect(page.get_by_text("This needs a running workspace; it is hibernated.")).to_be_visible()


def test_idle_profile_and_project_of_a_workspace_can_be_changed(home, browsing):
    page = browsing(home).open("/workspaces/asleep?tab=settings")
    for label, choice in (("Idle profile", "gpu"), ("Project", "Reef")):
        page.get_by_role("button", name=re.compile(f"^{label}")).click()
        page.get_by_role("option", name=choice).click()
        page.get_by_role("button", name=f"Save {label}").click()
        expect(page.get_by_text(f"{label} is now {choice}")).to_be_visible()
    workspace = home.client.workspaces.get("asleep")
    assert (workspace.idle.profile, workspace.tags["Project"]) == ("gpu", "Reef")


def test_template_page_shows_packages_and_parents(home, browsing):
    page = browsing(home).open("/templates/data-science-pip")
    expect(page.get_by_text(re.compile("jupyterlab.*numpy.*pandas"))).to_be_visible()
    chain = page.get_by_role("listitem").filter(has_text="JupyterLab")
    expect(chain.first).to_contain_text("Data Science (pip)")
    page.get_by_role("link", name="Launch", exact=True).click()
    page.wait_for_url("**/launch?template=data-science-pip")


def test_costs_page_shows_a_project_with_its_command_and_csv(home, browsing):
    browser = browsing(home)
    page = browser.open("/costs?by=weekly")
    page.get_by_role("button", name=re.compile("^Project")).click()
    page.get_by_role("option", name="Reef").click()
    expect(page.get_by_text("$18.00 in total")).to_be_visible()
    assert page.url.endswith("/costs?by=weekly&project=Reef")
    page.reload()
    expect(page.get_by_text("$18.00 in total")).to_be_visible()

    page.get_by_role("button", name="As command").click()
    command = "prism cost history --granularity weekly --project Reef"
    expect(page.get_by_role("dialog").get_by_text(command, exact=True)).to_be_visible()
    process = home.cli(*shlex.split(command)[1:])
    assert "18.00" in process.stdout, process.stderr
    page.keyboard.press("Escape")

    link = page.get_by_role("link", name="Every segment as CSV")
    _, kind, text = browser.fetch(link.get_attribute("href"))
    assert kind.startswith("text/csv")
    assert "past" in text


@pytest.mark.slow
def test_costs_page_groups_by_template_and_user(home, browsing):
    browser = browsing(home)
    page = browser.open("/costs")
    page.get_by_role("button", name=re.compile("^Group by")).click()
    page.get_by_role("option", name="By template").click()
    table = page.get_by_role("table", name="Template")
    rows = table.get_by_role("row")
    past = rows.filter(has=page.get_by_role("rowheader", name="No template"))
    expect(past).to_contain_text("$18.00")
    shells = rows.filter(has=page.get_by_role("rowheader", name="Plain Shell"))
    expect(shells.get_by_role("cell").last).to_have_text("2")
    expect(page.get_by_role("button", name="Plain Shell")).to_be_visible()  # in the legend
    assert page.url.endswith("/costs?group=template")
    browser.shot("costs-by-template")
    page.goto(f"{browser.base}/costs?group=user&by=monthly")
    expect(page.get_by_role("table", name="User")).to_contain_text("ada@example.org")
    page.get_by_role("button", name="As command").click()
    command = "prism cost history --granularity monthly --by user"
    expect(page.get_by_role("dialog").get_by_text(command, exact=True)).to_be_visible()
    process = home.cli(*shlex.split(command)[1:])
    assert re.search(r"ada@example\.org +\$18\.\d\d", process.stdout), process


def test_template_page_shows_the_yaml_even_if_it_is_invalid(home, browsing):
    page = browsing(home).open("/templates/data-science-pip")
    yaml = page.get_by_label("YAML", exact=True)
    expect(yaml).to_contain_text("name: Data Science (pip)")
    expect(yaml).to_contain_text("inherits")
    file = home.folder / "templates" / "half.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("name: Half\npackage_manager: none\n# <b>nobody</b> finished it\n")
    page.goto(page.url.replace("data-science-pip", "half"))
    expect(page.get_by_text("Template 'Half' cannot be used")).to_be_visible()
    expect(yaml).to_have_text(file.read_text())
    file.unlink()


def test_project_page_says_who_spent_what_in_a_month(home, browsing):
    browser = browsing(home)
    month = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m}"  # today may be the first of the next
    report = home.client.projects.report("Reef", month)
    page = browser.open(f"/projects/Reef?month={month}")
    people = page.get_by_role("table", name="Person", exact=True)
    [line] = report.by_user
    row = people.get_by_role("row").filter(has_text=line.name)
    expect(row).to_contain_text(f"${line.cost:.2f}")
    expect(page.get_by_role("table", name="Workspace", exact=True)).to_contain_text("past")
    for name, kind in (("Print", "text/html"), ("CSV", "text/csv")):
        link = page.get_by_role("link", name=name).get_attribute("href")
        _, answered, text = browser.fetch(link)
        assert answered.startswith(kind)
        assert line.name in text
    browser.shot("project-month")
    page.goto(f"{browser.base}/projects/Reef?month=2020-02")
    expect(page.get_by_role("button", name="Month 2020-02")).to_be_visible()
    expect(people).to_contain_text("Nothing was spent yet.")
    link = page.get_by_role("link", name="Print").get_attribute("href")
    assert link.endswith("&month=2020-02")


def test_events_page_filters_and_shows_new_events(home, browsing):
    created = len(home.client.projects.list())
    page = browsing(home).open("/events")
    page.get_by_role("searchbox", name="Which kind").fill(EVENT)
    rows = page.get_by_role("row")
    expect(rows).to_have_count(1 + created)
    assert f"event={EVENT}" in page.url
    home.client.projects.create("Kelp")
    expect(rows).to_have_count(2 + created)
    expect(rows.nth(1)).to_contain_text("Kelp")
