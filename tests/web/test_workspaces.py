"""Workspaces in the GUI: bulk actions, refused requests, a terminal, two tabs."""

import json
import re
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from urllib.parse import urlsplit
from urllib.request import Request as HTTPRequest
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

from prism.client.waiting import WorkspaceFailed
from prism.idle.model import NewIdleProfile
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.project.home import Home
from tests.waiting import eventually
from tests.web.conftest import Browser, seed_activity
from tests.web.network import Relay


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("workspaces") / "home")
    try:
        with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
            yield home
    finally:
        home.clear()


@pytest.fixture
def three_workspaces(home):
    """Three running workspaces."""
    names = ["one", "three", "two"]
    states = {
        workspace.name: workspace.state
        for workspace in home.client.workspaces.list()
        if workspace.state != "terminated"
    }
    for name in sorted({*names, *states}):
        state = states.get(name, "terminated")
        if name not in names:
            home.client.workspaces.terminate(name, wait=300)
        elif state == "terminated":
            home.client.workspaces.launch("Plain Shell", name)
        elif state == "hibernated":
            home.client.workspaces.resume(name)
        elif state == "stopped":
            home.client.workspaces.start(name)
    for name in names:
        home.client.workspaces.wait(name, "running", 300)
    return names


def test_selected_workspaces_are_stopped_undone_and_terminated(home, three_workspaces, browsing):
    browser = browsing(home)
    page = browser.open("/workspaces?f=state%3Drunning")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(4)
    for name in ("one", "two"):
        box = page.get_by_role("checkbox", name=f"Select {name}", exact=True)
        box.click(force=True)
        expect(box).to_be_checked()
    assert page.url.endswith("selected=one%2Ctwo")
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Stop (2)").click()
    expect(rows).to_have_count(2)  # two no longer match the filter
    page.get_by_role("button", name="Undo").click()
    expect(rows).to_have_count(4)

    page.goto(f"{browser.base}/workspaces?selected=one%2Cthree%2Ctwo")
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Terminate (3)").click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Terminate")
    expect(confirm).to_be_disabled()
    page.get_by_role("textbox", name="To confirm, type: terminate 3").fill("terminate 3")
    confirm.click()
    for name in three_workspaces:  # the list also has workspaces that other tests terminated
        row = page.get_by_role("row", name=name)
        expect(row.get_by_text("Terminated")).to_have_count(1)


def test_expiry_is_set_shortened_and_removed_and_each_change_can_be_undone(home, browsing):
    """What never expires gets no expiry from a dialog that is only confirmed."""
    client = home.client.workspaces
    client.launch("Plain Shell", "endless", wait=120)
    browser = browsing(home)
    page = browser.open("/workspaces/endless")

    def dialog():
        page.get_by_role("button", name="Actions for endless").click()
        page.get_by_role("menuitem", name="Expiry…").click()
        return page.get_by_role("dialog")

    box = dialog()
    expect(box).to_contain_text("It never expires now.")
    expect(box.get_by_role("radio", name="Never")).to_be_checked()
    expect(box.get_by_role("button", name="Set")).to_be_disabled()
    box.get_by_role("radio", name="At a time").click()
    expect(box).to_contain_text("endless never expires now. With this, it is put to sleep then.")
    box.get_by_role("textbox", name="Day", exact=True).fill("2099/12/24")
    box.get_by_role("textbox", name="Time", exact=True).fill("18:30")
    browser.shot("expiry")
    box.get_by_role("button", name="Set").click()
    expect(page.get_by_text("endless expires 24 Dec 2099, 18:30")).to_be_visible()
    late = client.get("endless").expires_at
    assert late.astimezone().strftime("%Y-%m-%d %H:%M") == "2099-12-24 18:30"

    box = dialog()
    box.get_by_role("radio", name="At a time").click()
    box.get_by_role("textbox", name="Day", exact=True).fill("2001/01/01")
    expect(box).to_contain_text("This time has passed")
    expect(box.get_by_role("button", name="Set")).to_be_disabled()
    box.get_by_role("textbox", name="Day", exact=True).fill("2098/01/01")
    box.get_by_role("button", name="Set").click()
    expect(page.get_by_text("endless expires 1 Jan 2098")).to_be_visible()
    page.get_by_role("button", name="Undo").first.click()
    eventually(lambda: client.get("endless").expires_at == late)

    box = dialog()
    box.get_by_role("radio", name="Never").click()
    box.get_by_role("button", name="Set").click()
    expect(page.get_by_text("endless never expires")).to_be_visible()
    assert client.get("endless").expires_at is None
    client.terminate("endless", wait=300)


def test_second_click_and_lost_answer_do_not_repeat_a_request(home, three_workspaces, browsing):
    """The answer to the first request is lost on its way, so the page sends it again."""
    browser = browsing(home, own=True)
    page = browser.open("/workspaces/one")
    keys, replayed = [], []

    def lose_first(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            return route.continue_()
        url = f"http://127.0.0.1:{browser.port}{urlsplit(route.request.url).path}"
        headers = {"Idempotency-Key": keys[0]}
        urlopen(HTTPRequest(url, method="POST", headers=headers)).close()
        return route.abort()

    id = home.client.workspaces.get("one").workspace
    page.route(f"**/instances/{id}/hibernate", lose_first)
    page.on("response", lambda it: replayed.append(it.headers.get("idempotency-replayed")))
    page.get_by_role("button", name="Hibernate").dblclick()
    expect(page.get_by_text("Hibernating one")).to_be_visible()
    assert len(keys) == 2
    assert len({*keys}) == 1
    assert replayed.count("true") == 1


def test_address_of_a_sleeping_workspace_leads_to_the_button_that_wakes_and_opens_it(
    home, browsing
):
    """A page with a service, which the button opens once it answers."""
    client = home.client.workspaces
    client.launch("Plain Shell", "sleeper", wait=120)
    client.hibernate("sleeper", wait=120)
    browser = browsing(home, own=True)
    page = browser.page
    page.goto(f"http://sleeper.localhost:{browser.port}/lab?x=1")
    expect(page.get_by_role("heading", name="Workspace 'sleeper' is hibernated")).to_be_visible()
    browser.shot("asleep-address")
    page.get_by_role("link", name="Go on in Prism").click()
    page.wait_for_url(f"{browser.base}/**")
    browser.requests.clear()  # those to the workspace's own address
    expect(page.get_by_text("Asleep since")).to_contain_text("ada@example.org asked for it")
    expect(page.get_by_text("Its files are safe.")).to_be_visible()
    browser.shot("asleep")
    page.get_by_role("button", name="Resume and open").click()
    expect(page.get_by_text("Asleep since")).to_have_count(0)
    client.wait("sleeper", "running", 120)
    client.terminate("sleeper", wait=300)


def test_refusals_of_a_bulk_action_are_one_notice_that_tries_them_again(
    home, three_workspaces, browsing
):
    page = browsing(home, own=True).open("/workspaces?selected=one%2Cthree%2Ctwo")
    ids = {home.client.workspaces.get(name).workspace: name for name in ("one", "two")}
    stops = re.compile(f"instances/({'|'.join(ids)})/stop")
    refused = {"message": "no", "code": "INVALID_STATE", "details": "", "remediation": "`prism x`"}

    def refuse(route):
        name = ids[route.request.url.split("/")[-2]]
        body = {"error": refused | {"message": f"{name} is busy"}}
        route.fulfill(status=409, json=body)

    page.route(stops, refuse)
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Stop (3)").click()
    expect(page.get_by_text("Stopping three")).to_be_visible()
    notice = page.get_by_text("Cannot stop one, two:")
    expect(notice).to_have_count(1)
    expect(page.get_by_text("one, two: … is busy")).to_be_visible()
    page.unroute(stops)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Stopping one, two")).to_be_visible()
    expect(notice).to_have_count(0)
    for name in three_workspaces:
        home.client.workspaces.wait(name, "stopped", 300)


OFFERED = """
() => {
  const rows = [...document.querySelectorAll("tbody tr")].map(it => it.innerText);
  const items = [...document.querySelectorAll("[role=menuitem]:not([aria-disabled=true])")];
  return rows.filter(it => /Stopping|Starting/.test(it)).length === 2
    && items.some(it => it.innerText.trim() === "Stop (2)");
}
"""
IGNORE_SIGTERM = "(trap '' TERM; while :; do sleep 1; done) >/dev/null 2>&1 &"


@pytest.mark.slow  # `web/test/lib.test.ts` tests when Stop is offered
def test_restarting_workspaces_can_be_stopped_and_stay_stopped(home, three_workspaces, browsing):
    for name in ("one", "two"):  # their processes take seconds to stop
        assert home.cli("exec", name, "--", "sh", "-c", IGNORE_SIGTERM).returncode == 0
    page = browsing(home).open("/workspaces?selected=one%2Ctwo")
    headers = [page.get_by_role("rowheader", name=workspace) for workspace in three_workspaces]
    rows = [page.get_by_role("row").filter(has=header) for header in headers]
    page.get_by_role("button", name="Actions").click()
    for name in ("one", "two"):
        home.client.workspaces.restart(name)
    page.wait_for_function(OFFERED)  # while they restart
    page.get_by_role("menuitem", name="Stop (2)").click()
    for row in (rows[0], rows[2]):
        expect(row).to_contain_text("Stopped", timeout=60_000)
    expect(rows[1]).to_contain_text("Running")
    states = [home.client.workspaces.get(name) for name in three_workspaces]
    assert [(state.state, state.restarting) for state in states] == [
        ("stopped", False),
        ("running", False),
        ("stopped", False),
    ]


@pytest.mark.slow
def test_view_is_saved_selected_and_deleted(home, three_workspaces, browsing):
    browser = browsing(home)
    page = browser.open("/workspaces?f=name%3Dtwo&f=name%3Dthree&any=&sort=-name")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Save or delete a view").click()
    page.get_by_role("menuitem", name="Save this view").click()
    page.get_by_role("textbox", name="Name").fill("Mine")
    page.keyboard.press("Enter")
    view = page.get_by_role("button", name=re.compile("^View"))
    expect(view).to_contain_text("Mine")

    view.click()
    page.get_by_role("option", name="Running").click()
    expect(rows).to_have_count(4)
    assert page.url.endswith("/workspaces?f=state%3Drunning")
    page.goto(f"{browser.base}/workspaces")  # a later visit
    expect(view).to_contain_text("All")
    view.click()
    page.get_by_role("option", name="Mine").click()
    expect(rows.nth(1)).to_contain_text("two")
    expect(rows.nth(2)).to_contain_text("three")
    expect(rows).to_have_count(3)
    browser.shot("workspaces-view")
    page.get_by_role("button", name="Save or delete a view").click()
    page.get_by_role("menuitem", name="Delete the view Mine").click()
    expect(view).to_contain_text("Your own filter")
    page.reload()
    expect(view).to_contain_text("Your own filter")


def test_launch_page_keeps_an_empty_name_and_no_expiry(home, three_workspaces, browsing):
    page = browsing(home).open("/launch?template=plain-shell")
    expect(page.get_by_text("Until it expires (8 h)")).to_be_visible()
    page.get_by_role("button", name="Put to sleep after").click()
    page.get_by_role("option", name="Never").click()
    expect(page.get_by_text("Per day")).to_be_visible()
    expect(page.get_by_text("Of that the disk, also while it sleeps")).to_be_visible()
    expect(page.get_by_text("Until it expires")).to_have_count(0)
    name = page.get_by_role("textbox", name="Name")
    name.fill("")
    expect(page.get_by_role("button", name="Launch", exact=True)).to_be_disabled()
    name.press_sequentially("mine")
    expect(page.get_by_role("button", name="Launch mine")).to_be_enabled()
    page.get_by_role("button", name="As command").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("prism launch plain-shell mine", exact=True)).to_be_visible()


def test_launch_page_shows_why_a_name_is_refused(home, three_workspaces, browsing):
    page = browsing(home).open("/launch?template=plain-shell&name=one")
    expect(page.get_by_text("already", exact=False).first).to_be_visible()
    page.get_by_role("textbox", name="Name").fill("Not A Name")
    expect(page.get_by_text("Correct the fields first.")).to_be_visible()
    page.get_by_role("textbox", name="Name").fill("fine")
    expect(page.get_by_text("Per hour")).to_be_visible()


BROKEN = """\
name: Broken At First
slug: broken-at-first
description: Its post_install is wrong until somebody corrects it
package_manager: pip
post_install: [{command}]
"""


@pytest.mark.slow
def test_failed_workspace_is_retried_with_the_corrected_template(home, browsing):
    file = home.folder / "templates" / "broken-at-first.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(BROKEN.format(command='"exit 7"'))
    home.client.workspaces.launch("broken-at-first", "bad")
    with pytest.raises(WorkspaceFailed):
        home.client.workspaces.wait("bad", "running", 120)
    page = browsing(home).open("/workspaces/bad")
    expect(page.get_by_text("POST_INSTALL_FAILED")).to_be_visible()
    file.write_text(BROKEN.format(command='"true"'))
    page.get_by_role("button", name="Try again with the template as it is now").click()
    hibernate = page.get_by_role("button", name="Hibernate")
    expect(hibernate).to_be_visible(timeout=120_000)
    expect(hibernate).to_have_attribute("title", re.compile("stays in RAM"))
    home.client.workspaces.terminate("bad", wait=300)


@pytest.mark.slow
def test_two_tabs_show_the_same_state(home, three_workspaces, browsing):
    browser = browsing(home)
    first, second = browser.open("/workspaces/one"), browser.new_page()
    second.goto(f"{browser.base}/workspaces")
    row = second.get_by_role("row").filter(has_text="one")
    expect(row).to_contain_text("Running")
    first.get_by_role("button", name="Hibernate").click()
    expect(row).to_contain_text("Hibernated")
    second.get_by_role("link", name="one", exact=True).click()
    second.get_by_role("button", name="Resume").click()
    expect(first.get_by_text("Running").first).to_be_visible()


FOCUSED = "document.activeElement.closest('tr')?.querySelector('th')?.textContent"


def test_focus_stays_at_its_row_while_workspaces_are_added_and_change(
    home, three_workspaces, browsing
):
    page = browsing(home).open("/workspaces?f=state%21%3Dterminated&sort=-name")
    names = page.get_by_role("rowheader")
    expect(names).to_have_text(["two", "three", "one"])
    page.get_by_role("checkbox", name="Select three", exact=True).focus()
    home.client.workspaces.launch("Plain Shell", "zoe")
    expect(names).to_have_text(["zoe", "two", "three", "one"])
    assert page.evaluate(FOCUSED) == "three"
    home.client.workspaces.stop("three")
    expect(page.get_by_role("row").filter(has_text="three")).to_contain_text("Stopped")
    assert page.evaluate(FOCUSED) == "three"
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="Workspaces")).to_contain_text("(1/")
    assert page.url.endswith("&selected=three")


def test_terminal_works_under_the_content_security_policy(home, three_workspaces, browsing):
    page = browsing(home).open("/workspaces/one?tab=terminal")
    screen = page.locator(".xterm-screen")
    screen.click()
    expect(page.locator(".xterm-rows")).to_contain_text("$", timeout=60_000)
    page.keyboard.type("printf '\\033[38;2;1;2;3mtrue-%s\\033[0m\\n' colour; exit 7\n")
    expect(page.locator(".xterm-rows")).to_contain_text("true-colour")
    expect(page.get_by_text("The shell has ended (status 7).")).to_be_visible()
    coloured = page.locator(".xterm-rows span").filter(has_text="true-colour").last
    assert coloured.evaluate("it => getComputedStyle(it).color") == "rgb(1, 2, 3)"
    page.get_by_role("button", name="New shell").click()
    expect(page.locator(".xterm-rows")).to_contain_text("$", timeout=60_000)


def test_terminal_survives_a_reload_and_moves_to_another_tab(home, three_workspaces, browsing):
    browser = browsing(home)
    page = browser.open("/workspaces/two?tab=terminal")
    page.locator(".xterm-screen").click()
    rows = page.locator(".xterm-rows")
    expect(rows).to_contain_text("$", timeout=60_000)
    page.keyboard.type("kept=$((40 + 2)); echo value-$kept\n")
    expect(rows).to_contain_text("value-42")
    page.reload()
    expect(rows).to_contain_text("value-42")  # the last screen of the same shell
    page.locator(".xterm-screen").click()
    page.keyboard.type("echo again-$kept\n")
    expect(rows).to_contain_text("again-42")
    page.get_by_role("link", name="Workspaces").first.click()
    expect(rows).to_have_count(0)
    page.go_back()
    expect(rows).to_contain_text("again-42")

    other = browser.new_page()  # a copy of the tab, with its session storage
    key = json.dumps(f"shell:{home.client.workspaces.get('two').workspace}")
    session = page.evaluate(f"sessionStorage.getItem({key})")
    assert session
    other.add_init_script(f"sessionStorage.setItem({key}, {json.dumps(session)})")
    other.goto(f"{browser.base}/workspaces/two?tab=terminal")
    expect(other.locator(".xterm-rows")).to_contain_text("again-42")
    expect(page.get_by_text("This shell is open in another tab now.")).to_be_visible()


@pytest.fixture
def relayed_browser(chromium, home):
    """A browser that reaches the daemon through a relay, and the relay."""
    port = json.loads((home.folder / "daemon.lock").read_text())["port"]
    relay = Relay(port)
    rule = f"--host-resolver-rules=MAP *.localhost:{port} 127.0.0.1:{relay.port}"
    program = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, rule])
    try:
        browser = Browser(program)
        browser.use(home)
        yield browser, relay
    finally:
        program.close()
        relay.close()


def test_terminal_reconnects_to_its_shell_after_a_network_failure(
    three_workspaces, relayed_browser
):
    browser, relay = relayed_browser
    page = browser.open("/workspaces/three?tab=terminal")
    assert relay.joined
    rows = page.locator(".xterm-rows")
    expect(rows).to_contain_text("$", timeout=60_000)
    page.locator(".xterm-screen").click()
    page.keyboard.type("kept=$((40 + 2)); echo value-$kept\n")
    expect(rows).to_contain_text("value-42")
    relay.cut()
    expect(page.get_by_text("The connection to the shell was lost.")).to_be_visible()
    expect(page.get_by_text("No connection to the daemon")).to_be_visible()
    relay.restore()
    expect(page.get_by_text("The connection to the shell was lost.")).to_be_hidden()
    expect(page.get_by_text("No connection to the daemon")).to_be_hidden()
    expect(rows).to_contain_text("value-42")
    page.locator(".xterm-screen").click()
    page.keyboard.type("echo again-$kept\n")
    expect(rows).to_contain_text("again-42")
    assert browser.foreign() == []


@pytest.mark.slow  # the first verdict takes half a minute
def test_notice_of_an_idle_workspace_can_keep_it_awake(home, browsing):
    """On a page that was opened before the launch."""
    client = home.client
    client.idle.create_profile(
        NewIdleProfile(name="hasty", idle_threshold_minutes=9, action="stop")
    )
    page = browsing(home).open("/templates")
    client.workspaces.launch("Plain Shell", "unused", wait=120, idle_profile="hasty")
    notice = page.get_by_text("unused is idle")
    expect(notice).to_be_visible(timeout=240_000)
    page.get_by_role("button", name="Keep awake for 2 h").click()
    expect(page.get_by_text("unused stays awake for 2 h")).to_be_visible()
    expect(notice).to_have_count(0)
    reasons = client.idle.why("unused")
    assert reasons.keep_awake_until > reasons.since + timedelta(hours=1)
    client.workspaces.terminate("unused", wait=300)


def test_notice_of_an_expiring_workspace_can_extend_it_on_every_page(home, browsing):
    client = home.client.workspaces
    client.launch("Plain Shell", "brief", wait=120, ttl_hours=1)
    browser = browsing(home, own=True)
    soon = client.get("brief").expires_at - timedelta(minutes=20)
    browser.page.clock.set_system_time(soon)
    page = browser.open("/templates")
    notice = page.get_by_text("brief expires in")
    expect(notice).to_be_visible()
    page.get_by_role("button", name="Extend by 4 h").click()
    expect(page.get_by_text(re.compile("brief expires [0-9]"))).to_be_visible()
    expect(notice).to_have_count(0)
    assert client.get("brief").expires_at > soon + timedelta(hours=4)
    client.terminate("brief", wait=300)


def test_activity_tab_shows_verdicts_reasons_and_figures(home, three_workspaces, browsing):
    seed_activity(home, "one")
    page = browsing(home).open("/workspaces/one?tab=activity")
    periods = page.get_by_role("table", name="Verdicts and reasons").get_by_role("row")
    busy = periods.filter(has_text="a kernel is busy: train.ipynb")
    expect(busy).to_contain_text("Active")
    expect(busy).to_contain_text("5 h")
    expect(periods.filter(has_text="Jupyter does not answer")).to_contain_text("1 h")
    expect(page.get_by_role("application", name="The last 24 hours")).to_be_visible()
    page.get_by_role("radio", name="Memory").or_(
        page.get_by_role("button", name="Memory")
    ).first.click()
    expect(page.get_by_text("Memory (%)")).to_be_visible()
    assert "figure=memory" in page.url


@pytest.mark.slow
def test_expiring_workspace_is_shown_as_hibernated_without_a_reload(browsing, tmp_path):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon():
            home.client.workspaces.launch("Plain Shell", "brief", wait=120, ttl_hours=1)
        soon = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(time.time() + 20))
        with closing(sqlite3.connect(home.folder / "state.db")) as db, db:
            db.execute("UPDATE workspaces SET expires_at = ?, due_at = ?", (soon, soon))
        with home.run_daemon():
            browser = browsing(home)
            page = browser.open("/workspaces/brief")
            expect(page.get_by_text("Hibernated").first).to_be_visible(timeout=120_000)
            expect(page.get_by_role("button", name="Resume")).to_be_visible()
            assert home.client.workspaces.get("brief").state == "hibernated"
            browser.leave()
    finally:
        home.clear()
