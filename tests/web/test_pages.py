"""Pages in both themes and three widths, checked with axe, with screenshots."""

import re
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.project.home import Home
from tests.proofs import record
from tests.waiting import eventually
from tests.web.conftest import AXE, page_problems, seed_activity

NOUNS = ("workspaces", "projects", "costs", "storage", "idle", "events", "settings")
EMPTY = {"first": "/"} | {f"{noun}-empty": f"/{noun}" for noun in NOUNS}
DATA = "a-volume-with-quite-a-long-name-for-raw-data"
LONG = "The-long-name-of-a-project-that-nobody-could-abbreviate"
PAGES = {
    "home": "/",
    "workspaces": "/workspaces",
    "launch": "/launch",
    "templates": "/templates",
    "template": "/templates/data-science-pip",
    "workspace": "/workspaces/shell",
    "workspace-asleep": "/workspaces/a-very-long-name-of-a-workspace-that-fills-48",
    "projects": "/projects",
    "project": f"/projects/{LONG}",
    "project-members": f"/projects/{LONG}?tab=members",
    "project-invitations": f"/projects/{LONG}?tab=invitations",
    "project-settings": f"/projects/{LONG}?tab=settings",
    "project-unknown": "/projects/nobody",
    "costs": "/costs",
    "costs-by-user": "/costs?group=user",
    "storage": "/storage",
    "idle": "/idle",
    "events": "/events",
    "notices": "/notices",
    "settings": "/settings",
    "settings-profiles": "/settings?tab=profiles",
    "settings-access": "/settings?tab=access",
    "settings-notices": "/settings?tab=notices",
    "settings-appearance": "/settings?tab=appearance",
    "workspace-terminal": "/workspaces/shell?tab=terminal",
    "workspace-files": "/workspaces/shell?tab=files",
    "workspace-volume": "/workspaces/shell?tab=files&path=volumes",
    "workspace-logs": "/workspaces/shell?tab=logs",
    "workspace-activity": "/workspaces/shell?tab=activity",
    "workspace-events": "/workspaces/shell?tab=events",
    "workspace-settings": "/workspaces/shell?tab=settings",
    "workspace-unknown": "/workspaces/nobody",
}
# The pages that `make test` checks: each kind of page, and the tabs with content of their own.
MAIN = (
    *("home", "workspaces", "launch", "workspace", "projects", "project", "project-members"),
    *("project-invitations", "costs", "storage", "settings", "workspace-terminal"),
    *("workspace-files", "workspace-activity"),
)
THEMES = ("light", "dark")
WIDTHS = (360, 768, 1280)
DARK = "document.body.classList.contains('awsui-dark-mode')"
LOADING = re.compile("^Loading")
# As a link in the GUI does it; to load each page would take most of the time.
GO = """
async path => {
  history.pushState({idx: 0}, "", path);
  dispatchEvent(new PopStateEvent("popstate", {state: history.state}));
  await new Promise(requestAnimationFrame);
}
"""


@pytest.fixture(scope="module")
def home_with_workspaces(tmp_path_factory):
    """A home with a running, a hibernated and a terminated workspace."""
    home = Home(tmp_path_factory.mktemp("pages") / "home")
    try:
        with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
            for name in ("shell", "a-very-long-name-of-a-workspace-that-fills-48", "gone"):
                home.client.workspaces.launch("Plain Shell", name, wait=120, ttl_hours=8)
            home.client.workspaces.hibernate(
                "a-very-long-name-of-a-workspace-that-fills-48", wait=60
            )
            home.client.workspaces.terminate("gone", wait=300)
            add_projects(home.client)
            home.client.volumes.create(DATA, size_gb=1)
            home.client.volumes.attach(DATA, "shell")
            eventually(
                lambda: (
                    "in-use" in {volume.state for volume in home.client.volumes.list().ebs_volumes}
                )
            )
            home.client.snapshots.create("monday", volume=DATA)
            home.client.tokens.create("laptop", user="a.very.long.address@mail.example.org")
            seed_activity(home, "shell")
            yield home
    finally:
        home.clear()


def add_projects(client):
    """A pool, two projects with allocations, and invitations."""
    ada = "ada@example.org"
    pool = client.budgets.create("A grant of 2026", 1000, created_by=ada, period="monthly")
    for name, amount in ((LONG, 600), ("Kelp", 300)):
        project = client.projects.create(name, members={ada: "owner"})
        client.allocations.create(pool.id, project.id, amount, allocated_by=ada)
    client.invitations.send(LONG, "a.very.long.address.of.somebody@mail.example.org")
    client.projects.create("Asks", members={"pi@x.org": "owner"})
    client.invitations.send("Asks", ada, message="Join us")


@pytest.fixture(scope="module")
def new_home(tmp_path_factory):
    """A daemon without any data."""
    home = Home(tmp_path_factory.mktemp("bare") / "home")
    try:
        with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
            yield home
    finally:
        home.clear()


def inspect(browser, pages, theme, width):
    """The violations that axe reports on each page, and the pages wider than the window."""
    violations_by_page = {}
    page = browser.open(next(iter(pages.values())))
    page.evaluate(AXE.read_text())
    for name, path in pages.items():
        page.evaluate(GO, path)
        page.get_by_role("heading", level=1).first.wait_for()
        expect(page.get_by_text(LOADING)).to_have_count(0)
        assert page.evaluate(DARK) == (theme == "dark")
        if violations := page_problems(page, width):
            violations_by_page[f"{name}, {theme}, {width} px"] = violations
        browser.shot(f"{name}-{theme}-{width}")
    return violations_by_page


@pytest.fixture
def inspected(browsing):
    """Checks pages; they alternate between the themes and widths."""

    def check(home, pages, *variants):
        violations: dict[str, Any] = {}
        for number, (theme, width) in enumerate(variants):
            options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
            browser = browsing(home, bypass_csp=True, **options)
            selected = dict([*pages.items()][number :: len(variants)])
            violations |= inspect(browser, selected, theme, width)
            browser.context.close()
        return violations

    return check


def test_axe_reports_no_violations(inspected, home_with_workspaces):
    pages = {name: PAGES[name] for name in MAIN}
    assert inspected(home_with_workspaces, pages, ("light", 1280), ("dark", 360)) == {}


@pytest.mark.parametrize("page", ["workspace", "project", "settings"])
@pytest.mark.parametrize("tab", ["zzz", "toString"])
def test_unknown_tab_shows_the_first(browsing, home_with_workspaces, page, tab):
    tabs = browsing(home_with_workspaces).open(f"{PAGES[page]}?tab={tab}").get_by_role("tab")
    expect(tabs.first).to_have_attribute("aria-selected", "true")


@pytest.mark.slow  # six times all pages
@pytest.mark.timeout(1800)
def test_axe_reports_no_violations_in_any_theme_and_width(
    inspected, new_home, home_with_workspaces
):
    violations: dict[str, Any] = {}
    for variant in product(THEMES, WIDTHS):
        violations |= inspected(new_home, EMPTY, variant)
        violations |= inspected(home_with_workspaces, PAGES, variant)
    assert violations == {}
    count = (len(EMPTY) + len(PAGES)) * len(THEMES) * len(WIDTHS)
    record(
        "Accessibility of the web GUI",
        f"axe-core checked {len(PAGES)} pages with three workspaces, projects, volumes and "
        f"long names, and {len(EMPTY)} without any, light and dark, "
        f"{', '.join(map(str, WIDTHS))} px wide: {count} checks, 0 violations. No page scrolls "
        "sideways.",
    )
