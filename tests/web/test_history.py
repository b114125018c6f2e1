"""The browser's Back in the GUI."""

from playwright.sync_api import expect


def test_back_leads_to_the_tab_and_the_folder_before(home_with_workspace, browsing):
    home_with_workspace.client.files.make_folder("mine", "data")
    page = browsing(home_with_workspace).open("/workspaces/mine")
    page.get_by_role("tab", name="Files").click()
    page.get_by_role("link", name="data").or_(
        page.get_by_role("button", name="data")
    ).first.click()
    page.wait_for_url("**?tab=files&path=data")
    expect(page.get_by_text("This folder is empty.")).to_be_visible()
    page.get_by_role("tab", name="Settings").click()
    page.wait_for_url("**tab=settings**")
    page.go_back()
    expect(page.get_by_text("This folder is empty.")).to_be_visible()
    page.go_back()
    page.wait_for_url("**/workspaces/mine?tab=files")
    expect(page.get_by_text("This folder is empty.")).to_have_count(0)
    page.go_back()
    page.wait_for_url("**/workspaces/mine")
    expect(page.get_by_role("tab", name="Overview")).to_have_attribute("aria-selected", "true")
    page.go_forward()
    page.wait_for_url("**/workspaces/mine?tab=files")


def test_back_closes_a_preview_and_forward_opens_it(home_with_workspace, browsing, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("read me")
    home_with_workspace.client.files.upload("mine", file, "notes.txt")
    page = browsing(home_with_workspace).open("/workspaces/mine?tab=files")
    page.get_by_role("link", name="notes.txt").click()
    dialog = page.get_by_role("dialog", name="notes.txt")
    expect(dialog).to_contain_text("read me")
    page.go_back()
    expect(dialog).to_have_count(0)
    page.wait_for_url("**/workspaces/mine?tab=files")
    page.go_forward()
    expect(dialog).to_contain_text("read me")


def test_typing_a_filter_makes_no_steps(home_with_workspace, browsing):
    page = browsing(home_with_workspace).open("/templates")
    before = page.evaluate("history.length")
    page.get_by_role("searchbox").press_sequentially("shell")
    page.wait_for_url("**find=shell")
    assert page.evaluate("history.length") == before
