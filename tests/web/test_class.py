"""The page of a class: a tile for each person, found, stopped, reset, and live."""

import pickle
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import expect

from prism.idle.plan import NOTHING_REPORTED
from prism.workspaces.idleness import Idleness
from prism.workspaces.model import Observed, WorkspaceFailure
from tests.doubles.memory import MemoryComputer
from tests.project.home import Home
from tests.project.tree import ROOT
from tests.proofs import record
from tests.waiting import eventually
from tests.web.conftest import AXE, page_problems
from tests.web.test_login import log_in

IN_MEMORY = (sys.executable, str(ROOT / "bench/daemon.py"))
TEACHER, HELPER = "teacher@x.org", "helper@x.org"
PEOPLE = [f"s{number:03}@x.org" for number in range(120)]
TEAM = {"PRISM_AUTH": "tokens"}
CLASS = "/projects/stat/class"
MOST_BYTES, MOST_FILES = 376_000, 12  # as for the list of workspaces
MOST_REQUESTS = 12  # of the API, whatever the number of people
VARIANTS = (("light", 1280), ("dark", 360))
# Who is in each condition but Working, and what the tile says.
CONDITIONS = {
    "Failed": ("s000@x.org", "Failed: the disk is full"),
    "Stuck": ("s001@x.org", "The kernel of task.ipynb is busy"),
    "Not come in": ("late@x.org", "Has not answered the invitation"),
    "Never opened": ("s003@x.org", "Was never opened"),
    "Idle": ("s002@x.org", "Idle for 6"),
    "Asleep": ("s004@x.org", ""),
}


def make_class(home, people):
    """A project with a teacher, a helper and people, and a workspace for each of these."""
    client = home.client
    client.projects.create("stat")
    for person, role in ((TEACHER, "owner"), (HELPER, "admin")):
        client.members.add("stat", person, role)
    for person in people:
        client.members.add("stat", person)
        client.workspaces.launch(
            "Plain Shell", "work", project="stat", owner=person, idle_profile="standard"
        )
    eventually(lambda: set(home.states()) == {"running"}, 400)


def trouble_machines(home):
    """Let machines that exist in memory fail, be idle and be busy, while no daemon runs."""
    file = home.folder / "bench-machines"
    machines = MemoryComputer.__new__(MemoryComputer)
    machines.__dict__ |= pickle.loads(file.read_bytes()) | {"_lock": threading.RLock()}
    by_owner = {spec.owner: id for id, spec in machines.__dict__["_specs"].items()}
    now = datetime.now(UTC)
    no_disk = WorkspaceFailure("DISK_FULL", "the disk is full")
    machines.set_state(by_owner["s000@x.org"], Observed.BROKEN, no_disk)
    busy, hour = ("the kernel of task.ipynb is busy",), timedelta(hours=1)
    ran = ("a cell was run",)
    reports = {
        "s001@x.org": Idleness(state="active", because=busy, since=now, until=now),
        "s002@x.org": Idleness(state="idle", because=ran, since=now - hour, until=now),
        "s003@x.org": Idleness(state="idle", because=NOTHING_REPORTED, since=now, until=now),
    }
    for owner, idleness in reports.items():
        machines.report_idleness(by_owner[owner], idleness)
    fields = {name: field for name, field in vars(machines).items() if name != "_lock"}
    file.write_bytes(pickle.dumps(fields))


@pytest.fixture(scope="module")
def class_of_120(tmp_path_factory):
    """A shared daemon with a class in which some need help."""
    home = Home(tmp_path_factory.mktemp("class") / "home")
    try:
        with home.run_daemon(IN_MEMORY, **TEAM):
            make_class(home, PEOPLE)
            home.client.invitations.send("stat", "late@x.org")
            home.client.workspaces.stop("work--s004", wait=60)
        trouble_machines(home)
        with home.run_daemon(IN_MEMORY, **TEAM):
            yield home
    finally:
        home.clear()


@pytest.fixture
def board(browsing, class_of_120):
    """The page of the class, in the browser of the teacher."""
    browser = browsing(class_of_120, own=True)
    log_in(browser, TEACHER)
    return browser.open(CLASS)


def tile(page, person):
    return page.get_by_role("listitem").filter(has_text=person)


def choose(page, condition):
    """Show only those in a condition."""
    page.get_by_role("button", name=condition, exact=True).click()


def test_each_condition_is_in_words_and_can_be_shown_alone(board):
    for condition, (person, why) in CONDITIONS.items():
        choose(board, f"{condition} (1)")
        expect(tile(board, "@x.org")).to_have_count(1)
        expect(tile(board, person)).to_contain_text(condition)
        expect(tile(board, person)).to_contain_text(why)
    board.reload()  # the filter is in the address
    expect(tile(board, "s004@x.org")).to_contain_text("Asleep")
    expect(tile(board, "@x.org")).to_have_count(1)
    choose(board, "All (121)")
    expect(tile(board, "@x.org")).to_have_count(121)
    assert "115 work, 4 may need help, 1 has not come in." in board.locator("main").inner_text()
    board.get_by_role("searchbox").fill("s01")
    expect(tile(board, "@x.org")).to_have_count(10)
    expect(board.get_by_role("button", name="Stop all (10)")).to_be_visible()


def test_tiles_change_by_themselves_and_without_a_request_for_each(board, class_of_120):
    client = class_of_120.client
    expect(tile(board, "s020@x.org")).to_contain_text("Working")
    client.workspaces.stop("work--s020", wait=60)
    expect(tile(board, "s020@x.org")).to_contain_text("Asleep")
    client.workspaces.start("work--s020", wait=60)
    expect(tile(board, "s020@x.org")).to_contain_text("Working")
    client.members.add("stat", "new@x.org")
    expect(tile(board, "new@x.org")).to_contain_text("Has no workspace")
    client.members.remove("stat", "new@x.org")
    expect(tile(board, "new@x.org")).to_have_count(0)


def test_class_of_120_is_shown_by_few_small_answers(browsing, class_of_120):
    browser = browsing(class_of_120, own=True)
    log_in(browser, TEACHER)
    browser.leave()
    sizes: dict[str, int] = {}

    def answered(response):
        if "/assets/" in response.url:
            sizes[response.url] = int(response.header_value("content-length"))

    session = browser.context.new_cdp_session(browser.page)
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    browser.page.on("response", answered)
    browser.requests.clear()
    began = time.monotonic()
    page = browser.open(CLASS)
    expect(tile(page, PEOPLE[-1])).to_contain_text("Working")
    took = time.monotonic() - began
    page.wait_for_load_state("networkidle")
    urls = [url for url in browser.requests if "/api/v1/" in url]
    assert sum(sizes.values()) > 100_000, "the sizes were read"
    assert sum(sizes.values()) <= MOST_BYTES, sizes
    assert len(sizes) <= MOST_FILES, sizes
    assert len(urls) <= MOST_REQUESTS, urls
    record(
        "Class board: 120 people",
        f"The page of a class of 120, by its address with an empty cache: {took:.1f} s until the "
        f"last tile, {len(urls)} requests of the API, {sum(sizes.values()) / 1000:.0f} kB of "
        f"scripts and styles in {len(sizes)} files.",
    )


def test_class_is_stopped_by_keyboard_alone(board):
    board.get_by_role("searchbox").fill("s119")
    expect(tile(board, "@x.org")).to_have_count(1)
    button = board.get_by_role("button", name="Stop all (1)")
    for _ in range(30):
        if button.evaluate("it => it === document.activeElement"):
            break
        board.keyboard.press("Shift+Tab")
    expect(button).to_be_focused()
    board.keyboard.press("Enter")
    now = board.get_by_role("radio", name="Now")
    expect(now).to_be_focused()
    board.keyboard.press("Enter")
    expect(board.get_by_role("dialog")).to_be_hidden()
    expect(tile(board, "s119@x.org")).to_contain_text("Asleep")
    board.get_by_role("button", name="Undo").focus()
    board.keyboard.press("Enter")
    expect(tile(board, "s119@x.org")).to_contain_text("Working")


def test_member_does_not_see_the_class(browsing, class_of_120):
    browser = browsing(class_of_120, own=True)
    log_in(browser, PEOPLE[5])
    page = browser.open("/projects/stat")
    expect(page.get_by_role("link", name="Class board")).to_have_count(0)
    page = browser.open(CLASS)
    expect(page.get_by_text("Only the admins and owners")).to_be_visible()


DIALOGS: dict[str, Any] = {
    "command": lambda page: page.get_by_role("button", name="As command").click(),
    "stop": lambda page: page.get_by_role("button", name="Stop all (").click(),
    "stop-at": lambda page: (
        page.get_by_role("button", name="Stop all (").click(),
        page.get_by_role("radio", name="At a time").check(force=True),
    ),
    "reset": lambda page: page.get_by_role("button", name="Reset work--s001").click(),
}


def problems_of(browsing, home, theme, width):
    options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
    browser = browsing(home, bypass_csp=True, **options)
    log_in(browser, TEACHER)
    problems_by_dialog = {}
    for name, prepare in {"board": None, **DIALOGS}.items():
        page = browser.open(f"{CLASS}?find=s00")
        expect(tile(page, "s001@x.org")).to_be_visible()
        page.evaluate(AXE.read_text())
        if prepare is not None:
            prepare(page)
            expect(page.get_by_role("dialog")).to_be_visible()
        if problems := page_problems(page, width):
            problems_by_dialog[f"{name}, {theme}, {width} px"] = problems
        browser.shot(f"class-{name}-{theme}-{width}")
    browser.context.close()
    return problems_by_dialog


def test_axe_reports_nothing_on_the_board_and_its_dialogs(browsing, class_of_120):
    for theme, width in VARIANTS:
        assert problems_of(browsing, class_of_120, theme, width) == {}


@pytest.mark.slow  # six times
@pytest.mark.timeout(600)
def test_axe_reports_nothing_in_any_theme_and_width(browsing, class_of_120):
    for theme, width in product(("light", "dark"), (360, 768, 1280)):
        assert problems_of(browsing, class_of_120, theme, width) == {}


@pytest.fixture(scope="module")
def real_class(tmp_path_factory):
    """A shared daemon with two people, whose workspaces are real."""
    home = Home(tmp_path_factory.mktemp("class") / "home")
    try:
        with home.run_daemon(**TEAM):
            make_class(home, ["ann@x.org", "ben@x.org"])
            yield home
    finally:
        home.clear()


def upload(home, folder, name, text):
    source = folder / "task.txt"
    source.write_text(text)
    home.client.files.upload(name, source, "task.txt")


def text_in(home, name):
    return b"".join(home.client.files.read(name, "task.txt")).decode()


def test_reset_gives_the_files_of_the_snapshot_and_says_where_the_others_are(
    browsing, real_class, tmp_path
):
    client = real_class.client
    upload(real_class, tmp_path, "work--ann", "the task")
    client.snapshots.create("start", workspace="work--ann")
    upload(real_class, tmp_path, "work--ben", "a wrong answer")
    eventually(
        lambda: {snapshot.state for snapshot in client.snapshots.list()} == {"completed"}, 60
    )
    browser = browsing(real_class, own=True)
    log_in(browser, TEACHER)
    page = browser.open(CLASS)
    page.get_by_role("button", name="Reset work--ben").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("first copied into a snapshot")
    expect(dialog.get_by_role("button", name="Reset", exact=True)).to_be_disabled()
    dialog.get_by_role("button", name="Snapshot").click()
    page.get_by_role("option", name="start").click()
    dialog.get_by_role("textbox").fill("work--ben")
    dialog.get_by_role("button", name="Reset", exact=True).click()
    notice = page.get_by_text("The files of before are in the snapshot work-before-rollback")
    expect(notice).to_be_visible()
    eventually(lambda: not any(w.rolling_back for w in client.workspaces.list()), 120)
    eventually(lambda: set(real_class.states()) == {"running"}, 120)
    assert text_in(real_class, "work--ben") == "the task"
    assert text_in(real_class, "work--ann") == "the task"
    client.workspaces.rollback("work--ben", "work-before-rollback")
    eventually(lambda: not any(w.rolling_back for w in client.workspaces.list()), 120)
    eventually(lambda: set(real_class.states()) == {"running"}, 120)
    assert text_in(real_class, "work--ben") == "a wrong answer"


def test_class_stops_at_a_time_and_earlier_expiries_stay(browsing, real_class):
    client = real_class.client
    soon = datetime.now(UTC) + timedelta(minutes=1)
    client.workspaces.extend("work--ann", expires_at=soon.isoformat())
    browser = browsing(real_class, own=True)
    log_in(browser, TEACHER)
    page = browser.open(CLASS)
    page.get_by_role("button", name="Stop all (2)").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name="At a time").check(force=True)
    day = datetime.now().astimezone() + timedelta(days=1)
    dialog.get_by_role("textbox", name="Day").fill(f"{day:%Y/%m/%d}")
    dialog.get_by_role("textbox", name="Time").fill("17:00")
    dialog.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    expiries = {w.owner: w.expires_at for w in client.workspaces.list()}
    at = day.replace(hour=17, minute=0, second=0, microsecond=0)
    assert expiries["ben@x.org"] == at
    assert expiries["ann@x.org"] < at
    assert set(real_class.states()) == {"running"}
    page.get_by_role("button", name="Undo").click()
    eventually(lambda: client.workspaces.get("work--ben").expires_at is None)
    client.workspaces.extend("work--ann", None)


def test_helper_who_looks_at_a_log_is_seen_by_its_owner(browsing, real_class):
    browser = browsing(real_class, own=True)
    log_in(browser, HELPER)
    page = browser.open(CLASS)
    expect(page.get_by_text("is shown to that person")).to_be_visible()
    expect(tile(page, "ann@x.org")).to_be_visible()

    def ways():
        """How the helper has entered Ann's workspace."""
        visits = real_class.client.workspaces.visits("work--ann").visits
        return {visit.way for visit in visits if visit.person == HELPER}

    assert ways() == set()
    page.get_by_role("link", name="Log of work--ann").click()
    page.wait_for_url("**/workspaces/work--ann?tab=logs")
    eventually(lambda: "logs" in ways(), 60)
