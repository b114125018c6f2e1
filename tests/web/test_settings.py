"""The settings page: tokens are created, shown once, and revoked."""

import pytest
from playwright.sync_api import expect

SEEN = "() => JSON.stringify([document.documentElement.outerHTML, {...localStorage}, location])"


def test_created_token_is_shown_once_and_revoked(browsing, empty_home):
    browser = browsing(empty_home)
    page = browser.open("/settings?tab=access")
    table = page.get_by_role("table", name="Tokens")
    expect(table).to_contain_text("No tokens yet.")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("laptop")
    dialog.get_by_label("User").fill("ada@example.org")
    dialog.get_by_label("Valid for (days)").fill("7")
    dialog.get_by_role("button", name="Create").click()
    dialog = page.get_by_role("dialog", name="Token laptop was made")
    expect(dialog.get_by_text("It is shown only this once")).to_be_visible()
    secret = dialog.get_by_text("prism_").inner_text()
    [token] = empty_home.client.tokens.list()
    assert token.id in secret
    assert (token.user, (token.expires_at - token.created_at).days) == ("ada@example.org", 7)
    dialog.get_by_role("button", name="I have stored it").click()

    row = table.get_by_role("row").filter(has_text="laptop")
    expect(row).to_contain_text("Read and operate")
    word = secret.rpartition(".")[2]
    assert word not in page.evaluate(SEEN)
    page.reload()
    expect(row).to_be_visible()
    assert word not in page.evaluate(SEEN)
    assert not [request for request in browser.requests if word in request]

    row.get_by_role("button", name="Revoke the token laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(table).to_contain_text("No tokens yet.")
    assert empty_home.client.tokens.list() == []


@pytest.mark.slow
def test_refused_token_keeps_its_dialog_open_with_the_reason(browsing, empty_home):
    page = browsing(empty_home).open("/settings?tab=access")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("laptop")
    dialog.get_by_label("Valid for (days)").fill("999")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text("366").first).to_be_visible()
    assert empty_home.client.tokens.list() == []
