"""The page of notices, and their settings: what a person does there reaches the daemon."""

from playwright.sync_api import expect


def test_notices_are_read_and_chosen(browsing, empty_home):
    browser = browsing(empty_home)
    empty_home.client.notices.test()
    page = browser.open("/notices")
    table = page.get_by_role("table", name="What you should know")
    expect(table).to_contain_text("This is a test")
    page.get_by_role("button", name="Mark all as read").click()
    expect(table).not_to_contain_text("New")
    assert empty_home.client.notices.page().unread == 0

    page = browser.open("/settings?tab=notices")
    expect(page.get_by_text("Mail: none, because")).to_be_visible()
    toggle = page.get_by_label("Once a week: what ran, slept and was saved: Webhook")
    toggle.click()
    expect(toggle).not_to_be_checked()
    [weekly] = [row for row in empty_home.client.notices.settings().kinds if row.kind == "weekly"]
    assert (weekly.mail, weekly.webhook) == (True, False)
