"""Two people in two browsers: a JupyterLab and a terminal that one shares with the other."""

import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize, expect, sync_playwright

from prism.daemon.website import BUILT, read_site
from tests.attacks.test_app_pages import LAB_FLAGS, log_in
from tests.connections.apps import BOB, CAROL, TeamHome, names_resolve
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.needs import require, skip_outside_ci
from tests.proofs import record
from tests.waiting import eventually

__all__ = ["names_resolve"]  # a fixture
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LONGEST_START = 180_000  # milliseconds until JupyterLab is drawn, on a busy computer
SOON = 2.0  # seconds
SLACK = 10.0  # seconds, on a busy computer
PHONE = ViewportSize(width=360, height=740)
DESKTOP = ViewportSize(width=1280, height=900)
LAB = "mine--bob"


@pytest.fixture(scope="module")
def browsers(tmp_path_factory, names_resolve):
    """The site, and a browser each of Bob, who has a JupyterLab, and Carol."""
    if read_site(BUILT) is None:
        skip_outside_ci("the web GUI: run `make gui`")
    require(CHROMIUM)
    team = TeamHome(tmp_path_factory.mktemp("shared"))
    try:
        with team.served() as site, sync_playwright() as play:
            operator = site.home.client
            for project, person in (("reef", BOB), ("elsewhere", CAROL)):
                operator.projects.create(project)
                operator.members.add(project, person)
            site.person(BOB).workspaces.launch("JupyterLab", "mine", project="reef")
            eventually(lambda: site.home.states() == ["running"], 400)
            operator.idle.keep_awake(LAB, 1440)
            browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *LAB_FLAGS])
            contexts = [browser.new_context(viewport=DESKTOP) for _ in (BOB, CAROL)]
            for context, person in zip(contexts, (BOB, CAROL), strict=True):
                context.set_default_timeout(60_000)
                log_in(site, context, person)
            yield site, *contexts
            browser.close()
    finally:
        team.home.clear()


def picture(page, name):
    """Keep pictures of a page, in both themes and on a phone, where somebody wants to look."""
    if folder := os.environ.get("PRISM_PICTURES"):
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            for size in (DESKTOP, PHONE):
                page.set_viewport_size(size)
                page.wait_for_timeout(300)
                page.screenshot(path=Path(folder) / f"{name}-{theme}-{size['width']}.png")
        page.set_viewport_size(DESKTOP)


def share(page, thing, guest):
    """Share by the dialog of the workspace's page."""
    page.get_by_role("button", name="Share mine").click()
    dialog = page.get_by_role("dialog")
    if thing != "Terminal, read-only":
        dialog.get_by_role("button", name="What").click()
        page.get_by_role("option", name=thing).click()
    dialog.get_by_label("With", exact=True).fill(guest)
    picture(page, f"dialog-{thing.partition(',')[0]}")
    dialog.get_by_role("button", name="Share", exact=True).click()
    dialog.wait_for(state="hidden")


def test_two_people_share_a_lab_and_a_terminal_until_it_is_ended(browsers):
    site, bobs, carols = browsers
    bob, carol = bobs.new_page(), carols.new_page()
    bob.goto(f"{site.base}/workspaces/{LAB}?tab=sharing")
    share(bob, "jupyter", CAROL)
    share(bob, "Terminal, read-only", CAROL)
    picture(bob, "owner")
    carol.goto(f"{site.base}/shared")
    expect(carol.get_by_text(BOB)).to_have_count(2)
    picture(carol, "guest")
    screen = carols.new_page()
    carol.get_by_role("link", name="Watch").click()
    screen.goto(carol.url)
    expect(screen.get_by_text("The owner has no terminal open")).to_be_visible()
    bob.goto(f"{site.base}/workspaces/{LAB}?tab=terminal")
    keys = bob.get_by_role("textbox", name="Terminal input")
    expect(bob.locator(".shell")).to_contain_text("$", timeout=60_000)
    expect(screen.get_by_text("You watch the terminal")).to_be_visible()
    keys.press_sequentially("echo fir''st-word\n")
    expect(screen.locator(".shell")).to_contain_text("first-word", timeout=60_000)
    screen.locator(".shell").click()
    screen.keyboard.type("touch stolen\necho typed-word\n")
    keys.press_sequentially("ls; echo sec''ond-word\n")
    expect(screen.locator(".shell")).to_contain_text("second-word", timeout=60_000)
    for page in (bob, screen):
        text = page.locator(".shell").inner_text()
        assert "stolen" not in text and "typed-word" not in text
    picture(screen, "watched")
    carol.goto(f"{site.base}/shared")
    carol.get_by_role("button", name="Open jupyter of mine").click()
    carol.wait_for_url(f"{site.app(LAB)}/**")
    carol.get_by_role("menuitem", name="Kernel").wait_for(timeout=LONGEST_START)
    bob.goto(f"{site.base}/workspaces/{LAB}?tab=sharing")
    expect(bob.get_by_text(f"{CAROL} is in this workspace since")).to_be_visible()
    picture(bob, "visitor")
    began = time.monotonic()
    for _ in range(2):
        left = bob.get_by_role("button", name="End the share of").count()
        bob.get_by_role("button", name="End the share of").first.click()
        expect(bob.get_by_role("button", name="End the share of")).to_have_count(left - 1)
    expect(screen.get_by_text("This share has ended")).to_be_visible()
    seconds = time.monotonic() - began
    assert seconds < SOON + SLACK
    refused = carol.goto(f"{site.app(LAB)}/lab")
    assert refused is not None and refused.status == 404
    carol.goto(f"{site.base}/shared")
    expect(carol.get_by_text("Nothing is shared with you.")).to_be_visible()
    record(
        "Shares: two people in two browsers",
        "A real JupyterLab opened by a guest of another project; a "
        "terminal watched, typed into without effect; both shares ended by two clicks, and the "
        f"guest's terminal closed {seconds:.1f} s after the first.",
    )
