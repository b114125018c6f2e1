"""The end of a membership in the web GUI: how it is given, shown, changed and removed."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.project.home import Home
from tests.web.test_login import log_in
from tests.web.test_money import DROP

BOB, EVE = "bob@x.org", "eve@x.org"
SOONER = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}"
DAY = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%d}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("web-ends") / "home")
    try:
        with home.run_daemon():
            yield home
    finally:
        home.clear()


@pytest.fixture
def project(home, of_three):
    """A project of three people, none of whom has an end."""
    home.client.members.change(of_three, BOB, until=None)
    return of_three


@pytest.fixture(scope="module")
def of_three(home):
    members = {"pi@x.org": "owner", BOB: "member", EVE: "admin"}
    return home.client.projects.create("Ends", members=members).name


def end_of(home, person):
    row = next(each for each in home.client.members.list("Ends") if each.email == person)
    return row.until, row.at_end, row.to


def test_end_of_a_membership_is_given_with_what_happens_then_and_removed(home, browsing, project):
    page = browsing(home).open(f"/projects/{project}?tab=members")
    page.get_by_role("button", name=f"Set end of the membership of {BOB}").click()
    dialog = page.get_by_role("dialog")
    save = dialog.get_by_role("button", name="Save")
    dialog.get_by_label("Last day").fill(DAY.replace("-", "/")[:7])
    expect(save).to_be_disabled()
    dialog.get_by_label("Last day").fill(DAY.replace("-", "/"))
    expect(dialog.get_by_role("radio", name="Stop them")).to_be_checked()
    dialog.get_by_role("radio", name="Hand them over").check()
    expect(save).to_be_disabled()
    dialog.get_by_role("button", name="New owner").click()
    page.get_by_role("option", name=EVE).click()
    save.click()
    expect(page.get_by_text(f"{BOB} is a member until {DAY}")).to_be_visible()
    until, at_end, heir = end_of(home, BOB)
    assert (at_end, heir) == ("hand_over", EVE)
    assert until == datetime.fromisoformat(DAY).astimezone() + timedelta(days=1)
    row = page.get_by_role("row").filter(has_text=BOB)
    expect(row).to_contain_text(DAY)
    expect(row).to_contain_text(f"{EVE} gets the workspaces")

    row.get_by_role("button", name=f"Set end of the membership of {BOB}").click()
    dialog.get_by_label("Last day").fill("")
    expect(dialog).to_contain_text("the membership has no end")
    save.click()
    expect(page.get_by_text(f"The membership of {BOB} has no end")).to_be_visible()
    assert end_of(home, BOB) == (None, None, None)


def test_refusal_of_an_end_stays_in_the_form_with_its_reason(home, browsing, project):
    page = browsing(home).open(f"/projects/{project}?tab=members")
    page.get_by_role("button", name="Set end of the membership of pi@x.org").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Last day").fill(DAY.replace("-", "/"))
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("pi@x.org is the only owner of 'Ends' without an end date")
    assert end_of(home, "pi@x.org") == (None, None, None)


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
)
def test_form_and_table_fit(home, browsing, project, scheme, width):
    end = datetime.now(UTC) + timedelta(days=9)
    home.client.members.change(project, BOB, until=end, at_end="keep")
    size = {"width": width, "height": 900}
    browser = browsing(home, viewport=size, color_scheme=scheme)
    page = browser.open(f"/projects/{project}?tab=members")
    expect(page.get_by_role("row").filter(has_text=BOB)).to_contain_text("stay as they are")
    browser.shot(f"member-ends-{scheme}-{width}")
    page.get_by_role("button", name=f"Set end of the membership of {BOB}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("radio", name="Keep them as they are")).to_be_checked()
    box = dialog.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
    browser.shot(f"member-end-form-{scheme}-{width}")
    browser.leave()


def test_member_is_added_with_a_last_day_and_what_is_no_day_is_refused(home, browsing, project):
    page = browsing(home).open(f"/projects/{project}?tab=members")
    page.get_by_role("button", name="Add a member").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Mail address").fill("new@x.org")
    dialog.get_by_label("Last day").fill("2099-02-30")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_contain_text("2099-02-30 is no day")
    dialog.get_by_label("Last day").fill(DAY)
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="new@x.org")).to_contain_text(DAY)
    assert end_of(home, "new@x.org")[1:] == ("stop", None)
    home.client.members.remove(project, "new@x.org")


def drop(page, csv):
    """Drop a CSV file on the list of invitations; the dialog that opens."""
    page.evaluate(DROP, ["people.csv", csv])
    return page.get_by_role("dialog")


def offered(home, project):
    rows = home.client.invitations.list(project, "pending").invitations
    return {row.email.partition("@")[0]: (row.until, row.at_end, row.to) for row in rows}


def end_of_day(day):
    return datetime.fromisoformat(day).astimezone() + timedelta(days=1)


def test_file_of_people_gets_one_end_and_rows_have_their_own(home, browsing):
    project = home.client.projects.create("Many", members={"pi@x.org": "owner", EVE: "admin"}).name
    page = browsing(home).open(f"/projects/{project}?tab=invitations")
    csv = f"email,until\na@x.org,\nb@x.org,{SOONER}\nc@x.org,never\nd@x.org,soon\n"
    dialog = drop(page, csv)
    send = dialog.get_by_role("button", name="Send 3 invitations")
    expect(dialog).to_contain_text("'soon' is no time")
    expect(dialog.get_by_role("radio", name="Stop them")).to_be_checked()
    dialog.get_by_label("Last day").fill(DAY.replace("-", "/")[:7])
    expect(send).to_be_disabled()
    dialog.get_by_label("Last day").fill(DAY.replace("-", "/"))
    dialog.get_by_role("radio", name="Hand them over").check()
    expect(send).to_be_disabled()
    dialog.get_by_role("button", name="New owner").click()
    page.get_by_role("option", name=EVE).click()
    assert offered(home, project) == {}
    send.click()
    expect(dialog.get_by_text("3 sent, 0 skipped, 1 failed")).to_be_visible()
    assert offered(home, project) == {
        "a": (end_of_day(DAY), "hand_over", EVE),
        "b": (end_of_day(SOONER), "hand_over", EVE),
        "c": (None, None, None),
    }


def test_file_of_people_without_ends_asks_for_none(home, browsing):
    project = home.client.projects.create("None", members={"pi@x.org": "owner"}).name
    page = browsing(home).open(f"/projects/{project}?tab=invitations")
    dialog = drop(page, "a@x.org\n")
    expect(dialog).to_contain_text("the membership has no end")
    expect(dialog.get_by_role("radio")).to_have_count(0)
    dialog.get_by_role("button", name="Send 1 invitation").click()
    expect(dialog.get_by_text("1 sent")).to_be_visible()
    assert offered(home, project) == {"a": (None, None, None)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A shared daemon, whose people have rights of their own."""
    home = Home(tmp_path_factory.mktemp("web-own-end") / "home")
    try:
        with home.run_daemon(PRISM_AUTH="tokens"):
            home.client.projects.create("Reef", members={BOB: "member"})
            yield home
    finally:
        home.clear()


def test_member_sees_the_own_end_as_soon_as_it_is_given(shared, browsing):
    browser = browsing(shared, own=True)
    log_in(browser, BOB)
    page = browser.open("/projects/Reef")
    expect(page.get_by_role("heading", name="Reef")).to_be_visible()
    own = page.get_by_text(f"Your role here is Member, until {DAY}")
    expect(own).to_have_count(0)
    shared.client.members.change("Reef", BOB, until=end_of_day(DAY))
    expect(own).to_be_visible()
    shared.client.members.change("Reef", BOB, until=None)
    expect(own).to_have_count(0)
