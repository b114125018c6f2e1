"""Projects, pools, members and invitations in the browser."""

import pytest
from playwright.sync_api import expect

from tests.house.living import Home

DROP = """
([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, {type: "text/csv"}));
  const target = document.querySelector("[data-drop]");
  const how = {bubbles: true, cancelable: true, dataTransfer: data};
  target.dispatchEvent(new DragEvent("drop", how));
}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("web-money") / "home")
    try:
        with home.living():
            yield home
    finally:
        home.clear()


def fill(page, **fields):
    """The open dialog's fields by their labels, and its last button."""
    dialog = page.get_by_role("dialog")
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " ")).fill(value)
    dialog.get_by_role("button").last.click()
    expect(dialog).to_have_count(0)


def test_a_grant_is_given_to_projects_and_moved_and_a_cap_refuses(home, browsing):
    browser = browsing(home)
    page = browser.open("/projects")
    for name in ("Reef", "Kelp"):
        page.get_by_role("button", name="New project").click()
        fill(page, Name=name)
    page.get_by_role("button", name="New pool").click()
    fill(page, Name="DFG 42", Total_in_USD="1000")
    for name, amount in (("Reef", "600"), ("Kelp", "300")):
        page.get_by_role("button", name="Allocate from DFG 42").click()
        page.get_by_role("dialog").get_by_role("button", name="Project").click()
        page.get_by_role("option", name=name).click()
        fill(page, Amount_in_USD=amount)
    flow = page.get_by_role("img", name="DFG 42 gives Reef $600.00")
    expect(flow).to_be_visible()
    page.get_by_role("button", name="Move money from Reef").click()
    page.get_by_role("dialog").get_by_role("button", name="Project").click()
    page.get_by_role("option", name="Kelp").click()
    fill(page, Amount_in_USD="100")
    bar = page.get_by_role("img", name="DFG 42, Kelp: $0.00 spent")
    expect(bar).to_have_accessible_name(
        "DFG 42, Kelp: $0.00 spent, $0.00 reserved, $400.00 left of $400.00"
    )
    page.get_by_role("button", name="Allocate from DFG 42").click()
    page.get_by_role("dialog").get_by_role("button", name="Project").click()
    page.get_by_role("option", name="Kelp").click()
    page.get_by_role("dialog").get_by_label("Amount in USD").fill("9999")
    page.get_by_role("dialog").get_by_role("button", name="Allocate").click()
    expect(page.get_by_role("dialog").get_by_text("already").first).to_be_visible()
    page.keyboard.press("Escape")
    [pool] = home.client.budgets.list()
    assert (pool.allocated_amount, pool.total_amount) == (900, 1000)

    page.goto(f"{browser.base}/projects/Reef?tab=settings")
    page.get_by_label("Limit in USD").fill("1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The limits of Reef are saved")).to_be_visible()
    page.goto(f"{browser.base}/projects/Reef")
    expect(page.get_by_text("Project 'Reef'", exact=True)).to_be_visible()
    expect(page.get_by_text("Allocation to 'Reef' from 'DFG 42'", exact=True)).to_be_visible()


def test_a_csv_file_invites_a_class_and_who_is_invited_answers(home, browsing):
    home.client.projects.create("Class", members={"pi@x.org": "owner"})
    page = browsing(home).open("/projects/Class?tab=invitations")
    rows = page.get_by_role("table", name="Invitations").first.get_by_role("row")
    expect(page.get_by_text("Nobody is invited.")).to_be_visible()
    csv = "email,role\nada@example.org,viewer\nbob@x.org,member\nno address,viewer\n"
    page.evaluate(DROP, ["class.csv", csv])
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("2 to be sent, 0 skipped, 1 wrong")).to_be_visible()
    assert home.client.invitations.list("Class").count == 0, "only shown so far"
    dialog.get_by_role("button", name="Send 2 invitations").click()
    expect(dialog.get_by_text("2 sent, 0 skipped, 1 wrong")).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Revoke the invitation to bob@x.org").click()
    expect(rows.filter(has_text="bob@x.org")).to_contain_text("Revoked")

    page.get_by_role("link", name="Projects and money").first.click()
    expect(page.get_by_text("invites you to Class as Viewer")).to_be_visible()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("invites you to Class as Viewer")).to_have_count(0)
    [mine] = home.client.invitations.list("Class", "accepted").invitations
    assert mine.email == "ada@example.org"


def test_members_come_and_go(home, browsing):
    home.client.projects.create("Lab")
    page = browsing(home).open("/projects/Lab?tab=members")
    page.get_by_role("button", name="Add a member").click()
    fill(page, Mail_address="carla@x.org")
    row = page.get_by_role("row").filter(has_text="carla@x.org")
    expect(row).to_contain_text("Member")
    row.get_by_role("button", name="Remove carla@x.org").click()
    fill(page, **{"To confirm, type: carla@x.org": "carla@x.org"})
    expect(row).to_have_count(0)
