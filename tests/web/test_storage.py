"""Volumes and snapshots in the browser, from creation to deletion."""

import pytest
from playwright.sync_api import expect

from tests.waiting import eventually


@pytest.fixture
def home(home_with_workspace):
    return home_with_workspace


def choose(page, name, verb):
    """Chooses an action of a volume or a snapshot."""
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.get_by_role("menuitem", name=verb, exact=True).click()
    return page.get_by_role("dialog")


def pick(page, dialog, label, value):
    dialog.get_by_label(label).click()
    page.get_by_role("option", name=value).click()


def snapshots_at(home, destination):
    copies = home.client.snapshots.remote_copies(str(destination))
    return sorted(copy.snapshot for copy in copies)


def test_volume_is_created_attached_snapshotted_restored_and_deleted(home, browsing):
    browser = browsing(home)
    page = browser.open("/storage")
    volumes = page.get_by_role("table", name="Volumes").get_by_role("row")
    copies = page.get_by_role("table", name="Snapshots").get_by_role("row")
    page.get_by_role("button", name="New volume").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("data")
    dialog.get_by_label("Size in GB").fill("2")
    dialog.get_by_role("button", name="Create").click()
    row = volumes.filter(has_text="data")
    expect(row).to_contain_text("Available")
    expect(row).to_contain_text("2 GB")

    dialog = choose(page, "data", "Attach")
    pick(page, dialog, "Workspace", "mine")
    dialog.get_by_role("button", name="Attach").click()
    expect(row).to_contain_text("In-use")
    expect(row).to_contain_text("mine")
    dialog = choose(page, "data", "Take a snapshot")
    dialog.get_by_label("Name").fill("monday")
    dialog.get_by_role("button", name="Take a snapshot").click()
    copy = copies.filter(has_text="monday")
    expect(copy).to_contain_text("Completed")

    choose(page, "data", "Detach from mine")
    expect(row).to_contain_text("Available")
    dialog = choose(page, "data", "Delete")
    expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    dialog.get_by_label("To confirm, type: data").fill("data")
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)

    dialog = choose(page, "monday", "Restore")
    dialog.get_by_label("Name of the new volume").fill("again")
    dialog.get_by_role("button", name="Restore").click()
    expect(volumes.filter(has_text="again")).to_contain_text("Available")
    choose(page, "monday", "Verify")
    expect(copy).to_contain_text("Passed", timeout=60_000)
    dialog = choose(page, "monday", "Delete")
    dialog.get_by_label("To confirm, type: monday").fill("monday")
    dialog.get_by_role("button", name="Delete").click()
    expect(copy).to_have_count(0)


def test_workspace_is_rolled_back_to_a_snapshot_after_its_name_was_typed(home, browsing, tmp_path):
    files, notes = home.client.files, tmp_path / "notes"
    notes.write_text("old")
    files.upload("mine", notes, "notes")
    home.client.snapshots.create("before", workspace="mine")
    copied = lambda: home.client.snapshots.get("before").state == "completed"  # noqa: E731
    eventually(copied, 120)
    notes.write_text("new")
    files.upload("mine", notes, "notes", replace=True)
    page = browsing(home).open("/storage")
    copies = page.get_by_role("table", name="Snapshots").get_by_role("row")
    dialog = choose(page, "before", "Roll back to this snapshot")
    expect(dialog).to_contain_text("Its present files are saved in a new snapshot first")
    expect(dialog.get_by_role("button", name="Roll back to this snapshot")).to_be_disabled()
    dialog.get_by_label("To confirm, type: mine").fill("mine")
    dialog.get_by_role("button", name="Roll back to this snapshot").click()
    expect(copies.filter(has_text="mine-before-rollback")).to_contain_text(
        "Completed", timeout=60_000
    )
    assert eventually(lambda: b"".join(files.read("mine", "notes")) == b"old", 120)
    eventually(lambda: home.states() == ["running"], 120)


def test_refused_volume_keeps_its_dialog_open_with_the_reason(home, browsing):
    page = browsing(home).open("/storage")
    page.get_by_role("button", name="New volume").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("not a name")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text("letters", exact=False).last).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("table", name="Volumes").get_by_text("not a name")).to_have_count(0)


@pytest.mark.slow  # the test above takes a snapshot, too
def test_snapshot_of_a_workspace_is_taken(home, browsing):
    browser = browsing(home)
    page = browser.open("/storage")
    page.get_by_role("button", name="Snapshot of a workspace").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("disk")
    pick(page, dialog, "Workspace", "mine")
    dialog.get_by_role("button", name="Take a snapshot").click()
    row = page.get_by_role("table", name="Snapshots").get_by_role("row").filter(has_text="disk")
    expect(row).to_contain_text("Completed", timeout=60_000)


def test_log_is_followed_as_it_grows(home, browsing):
    page = browsing(home).open("/workspaces/mine?tab=logs&log=system")
    log = page.get_by_role("log", name="Log of mine: system")
    expect(log).to_contain_text("running")
    before = log.inner_text()
    home.client.workspaces.hibernate("mine", wait=300)
    home.client.workspaces.resume("mine", wait=300)
    expect(log).to_contain_text("hibernate")  # without a reload
    assert "hibernate" not in before


@pytest.mark.needs("restic")
def test_snapshot_is_copied_elsewhere_and_fetched(home, browsing, tmp_path):
    browser = browsing(home)
    page = browser.open("/storage")
    page.get_by_role("button", name="Snapshot of a workspace").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("friday")
    pick(page, dialog, "Workspace", "mine")
    dialog.get_by_role("button", name="Take a snapshot").click()
    snapshots = page.get_by_role("table", name="Snapshots").get_by_role("row")
    expect(snapshots.filter(has_text="friday")).to_contain_text("Completed")

    dialog = choose(page, "friday", "Copy elsewhere")
    dialog.get_by_label("Destination").fill("relative")
    dialog.get_by_role("button", name="Copy elsewhere").click()
    expect(dialog).to_contain_text("no destination for copies")
    dialog.get_by_label("Destination").fill(str(tmp_path))
    browser.shot("copy-elsewhere")
    dialog.get_by_role("button", name="Copy elsewhere").click()
    copies = page.get_by_role("table", name="Copies elsewhere").get_by_role("row")
    copy = copies.filter(has_text=str(tmp_path))
    expect(copy).to_contain_text("Completed", timeout=60_000)
    expect(copy).not_to_contain_text("Not read")
    browser.shot("copies-elsewhere")

    page.get_by_role("button", name="Fetch a copy").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Destination").fill(str(tmp_path))
    dialog.get_by_label("Snapshot, or id of the copy").fill("friday")
    dialog.get_by_label("Name of the snapshot here").fill("back")
    dialog.get_by_role("button", name="Fetch a copy").click()
    expect(snapshots.filter(has_text="back")).to_contain_text("Completed", timeout=60_000)

    choose(page, f"friday at {tmp_path}", "Cancel or remove from the list")
    expect(copies.filter(has_text=str(tmp_path))).to_have_count(0)

    dialog = choose(page, "back", "Copy elsewhere")
    dialog.get_by_label("Destination").fill(str(tmp_path))
    dialog.get_by_role("button", name="Copy elsewhere").click()
    copy = copies.filter(has_text="back")
    expect(copy).to_contain_text("Completed", timeout=60_000)
    assert snapshots_at(home, tmp_path) == ["back", "friday"]
    dialog = choose(page, f"back at {tmp_path}", "Delete the copy there")
    expect(dialog).to_contain_text("destroyed at its destination")
    dialog.get_by_label("To confirm, type: back").fill("back")
    browser.shot("delete-copy-there")
    dialog.get_by_role("button", name="Delete the copy there").click()
    expect(copy).to_have_count(0)
    assert snapshots_at(home, tmp_path) == ["friday"]
