"""Every page, in both themes and two widths: nothing that axe finds, and a picture to look at."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.house.living import Home
from tests.house.tree import ROOT
from tests.web.conftest import seed_activity

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
EMPTY = {"first": "/", "workspaces-empty": "/workspaces", "projects-empty": "/projects"}
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
    "storage": "/storage",
    "idle": "/idle",
    "events": "/events",
    "settings": "/settings",
    "workspace-terminal": "/workspaces/shell?tab=terminal",
    "workspace-files": "/workspaces/shell?tab=files",
    "workspace-logs": "/workspaces/shell?tab=logs",
    "workspace-activity": "/workspaces/shell?tab=activity",
    "workspace-events": "/workspaces/shell?tab=events",
    "workspace-settings": "/workspaces/shell?tab=settings",
    "workspace-unknown": "/workspaces/nobody",
}
LOADING = re.compile("^Loading")
LOOK = """
async () => {
  const rules = {region: {enabled: true}};
  const found = await axe.run(document, {resultTypes: ["violations"], rules});
  return found.violations.map(it => [it.id, it.nodes.map(node => node.html.slice(0, 200))]);
}
"""


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory):
    """A home with a workspace that runs, one that sleeps, and one that is gone."""
    home = Home(tmp_path_factory.mktemp("pages") / "home")
    try:
        with home.living(PRISM_LOCAL_PRICES="aws"):
            for name in ("shell", "a-very-long-name-of-a-workspace-that-fills-48", "gone"):
                home.client.workspaces.launch("Plain Shell", name, wait=120, ttl_hours=8)
            home.client.workspaces.hibernate(
                "a-very-long-name-of-a-workspace-that-fills-48", wait=60
            )
            home.client.workspaces.terminate("gone", wait=60)
            pay(home.client)
            seed_activity(home, "shell")
            yield home
    finally:
        home.clear()


def pay(client):
    """A pool, two projects that have some of it, and people."""
    ada = "ada@example.org"
    pool = client.budgets.create("A grant of 2026", 1000, created_by=ada, period="monthly")
    for name, amount in ((LONG, 600), ("Kelp", 300)):
        made = client.projects.create(name, members={ada: "owner"})
        client.allocations.create(pool.id, made.id, amount, allocated_by=ada)
    client.invitations.send(LONG, "a.very.long.address.of.somebody@mail.example.org")
    client.projects.create("Asks", members={"pi@x.org": "owner"})
    client.invitations.send("Asks", ada, message="Join us")


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 1280),
        pytest.param("light", 360, marks=pytest.mark.slow),
        pytest.param("dark", 1280, marks=pytest.mark.slow),
        pytest.param("dark", 360, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing(browsing, empty_home, lived_in, theme, width):
    found = {}
    for home, pages in ((empty_home, EMPTY), (lived_in, PAGES)):
        options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
        browser = browsing(home, bypass_csp=True, **options)
        for name, path in pages.items():
            page = browser.open(path)
            expect(page.get_by_text(LOADING)).to_have_count(0)
            page.evaluate(Path(AXE).read_text())
            if violations := page.evaluate(LOOK):
                found[name] = violations
            browser.shot(f"{name}-{theme}-{width}")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} scrolls sideways: {wide} px"
    assert found == {}
