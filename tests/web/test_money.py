"""Projects, pools, members and invitations in the browser."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from prism.projects.model import NewBudget
from tests.project.home import Home
from tests.web.conftest import seed_costs

ADA = "ada@example.org"
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
        with home.run_daemon():
            yield home
    finally:
        home.clear()


def fill(page, **fields):
    """Fills the fields of the open dialog by their labels, and clicks its last button."""
    dialog = page.get_by_role("dialog")
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " ")).fill(value)
    dialog.get_by_role("button").last.click()
    expect(dialog).to_have_count(0)


def test_pool_is_allocated_and_moved_and_too_large_an_allocation_is_refused(home, browsing):
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
    for name, kind in (("Print: statement of DFG 42", "text/html"), ("CSV: ", "text/csv")):
        link = page.get_by_role("link", name=name).first.get_attribute("href")
        _, answered, text = browser.fetch(link)
        assert answered.startswith(kind)
        assert "opening" in text
        assert "Kelp" in text

    page.goto(f"{browser.base}/projects/Reef?tab=settings")
    page.get_by_label("Limit in USD").fill("1")
    methods = []
    page.on("request", lambda request: methods.append(request.method))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The limits of Reef are saved")).to_be_visible()
    assert methods.count("PUT") == 1
    page.goto(f"{browser.base}/projects/Reef")
    expect(page.get_by_text("Project 'Reef'", exact=True)).to_be_visible()
    expect(page.get_by_text("Allocation to 'Reef' from 'DFG 42'", exact=True)).to_be_visible()


def test_csv_file_sends_invitations_that_are_revoked_and_accepted(home, browsing):
    home.client.projects.create("Class", members={"pi@x.org": "owner"})
    page = browsing(home).open("/projects/Class?tab=invitations")
    rows = page.get_by_role("table", name="Invitations").first.get_by_role("row")
    expect(page.get_by_text("No invitations yet.")).to_be_visible()
    csv = "email,role\nada@example.org,viewer\nbob@x.org,member\nno address,viewer\n"
    page.evaluate(DROP, ["class.csv", csv])
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("2 to be sent, 0 skipped, 1 failed")).to_be_visible()
    assert home.client.invitations.list("Class").count == 0, "the file is only previewed"
    dialog.get_by_role("button", name="Send 2 invitations").click()
    expect(dialog.get_by_text("2 sent, 0 skipped, 1 failed")).to_be_visible()
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


def test_member_is_added_and_removed(home, browsing):
    home.client.projects.create("Lab")
    page = browsing(home).open("/projects/Lab?tab=members")
    page.get_by_role("button", name="Add a member").click()
    fill(page, Mail_address="carla@x.org")
    row = page.get_by_role("row").filter(has_text="carla@x.org")
    expect(row).to_contain_text("Member")
    row.get_by_role("button", name="Remove carla@x.org").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This person has no workspaces in the project.")
    expect(dialog.get_by_role("radio")).to_have_count(0)
    dialog.get_by_role("button", name="Remove", exact=True).click()
    expect(row).to_have_count(0)


def remove_ada(page, leftover):
    """Opens the dialog that removes the owner of a workspace, and chooses what to do with it."""
    page.get_by_role("button", name=f"Remove {ADA}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What happens to the workspace of this person")
    expect(dialog).to_contain_text("theirs")
    expect(dialog.get_by_role("radio", name="Keep them as they are")).to_be_checked()
    dialog.get_by_role("radio", name=leftover).check()
    return dialog


def test_removing_a_member_keeps_stops_or_hands_over_the_workspaces(home, browsing):
    client, name = home.client, "Theirs"
    members = {"pi@x.org": "owner", "bob@x.org": "member", "eve@x.org": "viewer", ADA: "admin"}
    client.projects.create(name, members=members)
    client.workspaces.launch("Plain Shell", "theirs", project=name, wait=120)
    try:
        page = browsing(home).open(f"/projects/{name}?tab=members")
        dialog = remove_ada(page, "Keep them as they are")
        dialog.get_by_role("button", name="Remove", exact=True).click()
        expect(page.get_by_text(f"{ADA} was removed; kept: theirs")).to_be_visible()
        assert client.workspaces.get("theirs").state == "running"

        client.members.add(name, ADA, "admin")
        dialog = remove_ada(page, "Stop them")
        dialog.get_by_role("button", name="Remove", exact=True).click()
        expect(page.get_by_text(f"{ADA} was removed; stopping: theirs")).to_be_visible()
        client.workspaces.wait("theirs", "stopped", 60)
        assert client.workspaces.get("theirs").owner == ADA

        client.members.add(name, ADA, "admin")
        dialog = remove_ada(page, "Hand them over")
        remove = dialog.get_by_role("button", name="Remove", exact=True)
        expect(remove).to_be_disabled()
        dialog.get_by_role("button", name="New owner").click()
        expect(page.get_by_role("option", name="eve@x.org")).to_have_count(0)
        page.get_by_role("option", name="bob@x.org").click()
        remove.click()
        expect(page.get_by_text(f"{ADA} was removed; handed over: theirs")).to_be_visible()
        assert client.workspaces.get("theirs").owner == "bob@x.org"
    finally:
        client.workspaces.terminate("theirs", wait=300)


def test_chart_goes_on_at_the_rate_that_is_left_after_the_workspace_expires(browsing, tmp_path):
    """At the rate of now, the $5 would be gone in a day; the workspace expires after two hours."""
    home = Home(tmp_path / "home")
    with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
        home.client.projects.create("Reef", budget=NewBudget(total_allocated=5))
        launch = home.client.workspaces.launch
        launch("Plain Shell", "mine", wait=120, project="Reef", size="XL", ttl_hours=2)
        forecast = home.client.projects.forecast("Reef")
        [course] = forecast.courses
        last = course.points[-1].unspent
        assert forecast.daily
        assert 5 - forecast.daily < 0 < last
        for scheme, width in (("light", 1280), ("dark", 360)):
            size = {"width": width, "height": 800}
            browser = browsing(home, viewport=size, color_scheme=scheme)
            page = browser.open("/projects/Reef")
            chart = page.get_by_role("application", name="What is not spent yet")
            chart.focus()
            tip, spoken = page.get_by_role("tooltip"), ""
            for _ in range(35):  # a point a day, then those of the course
                page.keyboard.press("ArrowRight")
                spoken += tip.inner_text()
            assert f"${last:.2f}" in spoken
            browser.shot(f"course-{scheme}")
            browser.leave()
        home.client.workspaces.terminate("mine", wait=120)


def test_project_page_says_how_long_before_its_end_a_grant_is_spent(browsing, tmp_path):
    home = Home(tmp_path / "home")
    with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
        client = home.client
        end = datetime.now(UTC) + timedelta(days=20)
        pool = client.budgets.create("DFG 42", 5, created_by="pi@x.org", end_date=end)
        client.projects.create("Reef")
        client.allocations.create(pool.id, "Reef", 5, allocated_by="pi@x.org")
        client.workspaces.launch("Plain Shell", "mine", wait=120, project="Reef", size="XL")
        gone = client.projects.forecast("Reef").caps[0].runs_out_on
        assert gone is not None
        days = (end - gone).days
        assert 10 < days < 20
        for scheme, width in (("light", 1280), ("dark", 360)):
            size = {"width": width, "height": 800}
            browser = browsing(home, viewport=size, color_scheme=scheme)
            page = browser.open("/projects/Reef")
            early = re.compile(rf"That is ({days}|{days - 1}) days before its end on ")
            expect(page.get_by_text(early).first).to_be_visible()
            other = "Another limit stops the workspaces before this one is spent."
            expect(page.get_by_text(other)).to_be_visible()  # the pool, beside its allocation
            expect(page.get_by_text("It lasts.")).to_have_count(0)
            browser.shot(f"grant-{scheme}")
            browser.leave()
        client.workspaces.terminate("mine", wait=120)


@pytest.mark.slow
def test_forecast_shows_the_range_of_the_last_days(browsing, tmp_path):
    home = Home(tmp_path / "home")
    with home.run_daemon():
        project = home.client.projects.create("Reef", budget=NewBudget(total_allocated=100))
        young = browsing(home)
        page = young.open("/projects/Reef")
        expect(page.get_by_text("There is no range yet")).to_be_visible()
        young.leave()
    seed_costs(home, project.id, [3, 1, 4, 8, 2])
    with home.run_daemon():
        browser = browsing(home)
        page = browser.open("/projects/Reef")
        words = page.get_by_text("The range of the last 5 days: $0.00 to $8.00 a day.")
        gone = datetime.now(UTC) + timedelta(days=(100 - 18) / 8)
        expect(words).to_contain_text(f"nothing is left on {gone:%-d %b %Y}.")
        expect(page.get_by_role("application", name="What is not spent yet")).to_be_visible()
        legend = page.get_by_role("button")
        for line in ("If each day is like the quietest", "If each day is like the busiest"):
            expect(legend.filter(has_text=line)).to_have_count(1)
        bar = page.get_by_role("img", name="project 'Reef': $18.00 spent")
        expect(bar).to_have_accessible_name(re.compile(r"\$82\.00 left of \$100\.00"))
        browser.shot("forecast")
        browser.leave()
