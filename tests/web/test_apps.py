"""A person logs in with a browser on the way to an app, and goes on there."""

import pytest
from playwright.sync_api import expect, sync_playwright

from prism.daemon.website import BUILT, read_site
from tests.attacks.test_app_pages import LAB_FLAGS
from tests.connections.apps import BOB, names_resolve, site
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.needs import require, skip_outside_ci

__all__ = ["names_resolve", "site"]  # fixtures


@pytest.fixture(scope="module")
def chromium():
    if read_site(BUILT) is None:
        skip_outside_ci("the web GUI: run `make gui`")
    require(CHROMIUM)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *LAB_FLAGS])
        yield browser
        browser.close()


def test_login_leads_on_to_the_app_that_was_asked_for_and_to_no_other_page(site, chromium):
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    page = context.new_page()
    token = site.home.client.tokens.create("browser", user=BOB, scope="operate").token
    for goal in ("https://evil.example/", "//evil.example/", "/settings"):
        page.goto(f"{site.base}/login?to={goal}")
        page.get_by_label("Token", exact=True).fill(token)
        page.get_by_role("button", name="Log in with the token").click()
        page.wait_for_url(f"{site.base}/")
        context.clear_cookies()
    page.goto(f"{site.app('mine--bob')}/page?a=b#part")
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Log in with the token").click()
    page.wait_for_url(f"{site.app('mine--bob')}/page?a=b**")
    expect(page.get_by_role("heading", name="here")).to_be_visible()
    page.goto(f"{site.base}/workspaces/mine--bob")
    opened = page.get_by_role("link", name="page").first
    assert (opened.get_attribute("href") or "").startswith(site.app("mine--bob"))
    context.close()
