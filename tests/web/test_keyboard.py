"""Ten jobs with the keyboard only: Tab, arrows, Enter, Space, Escape and letters."""

import re
from functools import partial

import pytest
from playwright.sync_api import expect

from tests.project.home import Home
from tests.waiting import eventually

MOST = 120  # presses of Tab to anything on a page
POINTERS = """
() => {
  window.pointers = 0;
  for (const kind of ["pointerdown", "mousedown", "touchstart"])
    addEventListener(kind, () => { window.pointers += 1; }, true);
}
"""
# The item of the open menu or list that Enter would choose: the focused item, or the item that
# the focused field points to.
ACTIVE_ITEM = """
() => {
  const active = document.activeElement;
  const pointed = document.getElementById(active.getAttribute("aria-activedescendant") ?? "");
  return (pointed ?? active).innerText ?? "";
}
"""
HAS_FOCUS = "it => it.contains(document.activeElement)"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("keyboard") / "home")
    try:
        with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
            for name in ("kelp", "reef"):
                home.client.workspaces.launch("Plain Shell", name)
            for name in ("kelp", "reef"):
                home.client.workspaces.wait(name, "running", 120)
            yield home
    finally:
        home.clear()


class Keyboard:
    """Operates a page without a mouse."""

    def __init__(self, browser, path):
        self.page = browser.open(path)
        self.page.evaluate(POINTERS)
        self.press = self.page.keyboard.press
        self.write = self.page.keyboard.type

    def to(self, role, name, *, exact=True, key="Tab"):
        """Presses the key until this element has the focus."""
        target = self.page.get_by_role(role, name=name, exact=exact).last
        target.wait_for()
        for _ in range(MOST):
            if target.evaluate(HAS_FOCUS):
                return
            self.press(key)
        raise AssertionError(f"{MOST} presses of {key} do not reach {role} {name!r}")

    def do(self, role, name, **how):
        """Moves the focus to this element and presses Enter."""
        self.to(role, name, **how)
        self.press("Enter")

    def choose(self, item, role="menuitem"):
        """Chooses an item of the open menu or list with the arrow keys."""
        self.page.get_by_role(role, name=item).first.wait_for()
        for _ in range(30):
            if item in self.page.evaluate(ACTIVE_ITEM):
                self.press("Enter")
                return
            self.press("ArrowDown")
        raise AssertionError(f"the arrow keys do not reach {item!r}")


@pytest.fixture
def keyboard(browsing, home):
    keyboards = []

    def begin(path):
        keyboards.append(Keyboard(browsing(home), path))
        return keyboards[-1]

    yield begin
    for keyboard in keyboards:
        assert keyboard.page.evaluate("window.pointers") == 0


def test_keyboard_launches_a_workspace(home, keyboard):
    keys = keyboard("/launch")
    keys.to("radio", "Choose Data Science (pip)", exact=False)
    plain = keys.page.get_by_role("radio", name="Choose Plain Shell")
    for _ in range(11):
        if plain.evaluate(HAS_FOCUS):
            break
        keys.press("ArrowDown")
    expect(plain).to_be_checked()
    keys.to("textbox", "Name")
    keys.press("Control+a")
    keys.write("typed")
    keys.do("button", "Launch typed")
    expect(keys.page.get_by_role("heading", level=1)).to_contain_text("typed")
    home.client.workspaces.wait("typed", "running", 120)
    home.client.workspaces.terminate("typed", wait=300)


@pytest.mark.slow
def test_keyboard_filters_workspaces_and_opens_one(keyboard):
    keys = keyboard("/workspaces")
    keys.to("combobox", "Filter by name", exact=False)
    keys.write("ree")
    keys.press("Enter")
    expect(keys.page.get_by_role("row")).to_have_count(2)
    keys.do("link", "reef")
    expect(keys.page.get_by_role("heading", level=1)).to_contain_text("reef")


def is_running(home, name):
    return home.client.workspaces.get(name).state == "running"


@pytest.mark.slow  # `test_workspaces.py` does it with a mouse; another here uses a menu
def test_keyboard_stops_two_workspaces_and_undoes_it(home, keyboard):
    keys = keyboard("/workspaces?f=state%3Drunning")
    for name in ("kelp", "reef"):
        keys.to("checkbox", f"Select {name}")
        keys.press("Space")
    keys.do("button", "Actions", key="Shift+Tab")
    keys.choose("Stop (2)")
    expect(keys.page.get_by_role("row")).to_have_count(1 + 1)  # the line that says: none
    keys.do("button", "Undo")
    expect(keys.page.get_by_role("row").filter(has_text="reef")).to_contain_text("Running")
    for name in ("kelp", "reef"):
        eventually(partial(is_running, home, name), 120)


@pytest.mark.slow  # `test_frame.py` goes to a page by the palette
def test_keyboard_hibernates_by_the_command_palette_and_undoes_it(home, keyboard):
    keys = keyboard("/")
    keys.press("Control+k")
    expect(keys.page.get_by_role("combobox", name="Search pages and actions")).to_be_focused()
    keys.write("hibernate kelp")
    keys.choose("Hibernate kelp", role="option")
    eventually(lambda: home.client.workspaces.get("kelp").state == "hibernated", 120)
    keys.do("button", "Undo")
    eventually(lambda: home.client.workspaces.get("kelp").state == "running", 120)


def test_keyboard_terminates_a_workspace_by_its_name(home, keyboard):
    home.client.workspaces.launch("Plain Shell", "brief", wait=120)
    keys = keyboard("/workspaces/brief")
    keys.do("button", "Actions for brief")
    keys.choose("Terminate")
    expect(keys.page.get_by_role("textbox", name="To confirm, type: brief")).to_be_focused()
    keys.write("brief")
    keys.press("Enter")
    expect(keys.page.get_by_text("Terminated").first).to_be_visible()


def test_keyboard_uses_a_terminal_and_leaves_it(keyboard):
    keys = keyboard("/workspaces/reef")
    keys.to("tab", "Overview")
    for _ in range(len("Terminal")):
        if keys.page.get_by_role("tab", name="Terminal").evaluate(HAS_FOCUS):
            break
        keys.press("ArrowRight")
    keys.press("Enter")
    screen = keys.page.get_by_role("textbox", name="Terminal input")
    expect(keys.page.locator(".xterm-rows")).to_contain_text("$", timeout=60_000)
    keys.to("textbox", "Terminal input")
    keys.write("echo $((40 + 2))-typed\n")
    expect(keys.page.locator(".xterm-rows")).to_contain_text("42-typed")
    keys.press("Shift+F6")  # the shell receives Tab
    assert not screen.evaluate(HAS_FOCUS)


@pytest.mark.slow  # `test_files.py` does it with a mouse; other tests here use such dialogs
def test_keyboard_creates_renames_and_deletes_a_folder(keyboard):
    keys = keyboard("/workspaces/reef?tab=files")
    keys.do("button", "New folder")
    expect(keys.page.get_by_role("textbox", name="Name")).to_be_focused()
    keys.write("data")
    keys.press("Enter")
    keys.do("button", "Actions for data")
    keys.choose("Rename")
    expect(keys.page.get_by_role("textbox", name="New path")).to_be_focused()
    keys.press("Control+a")
    keys.write("results")
    keys.press("Enter")
    keys.do("button", "Actions for results")
    keys.choose("Delete")
    expect(keys.page.get_by_role("textbox", name="To confirm, type: results")).to_be_focused()
    keys.write("results")
    keys.press("Enter")
    expect(keys.page.get_by_role("link", name="results")).to_have_count(0)


@pytest.mark.slow
def test_keyboard_creates_a_project_and_sets_its_limit(home, keyboard):
    keys = keyboard("/projects")
    keys.do("button", "New project")
    expect(keys.page.get_by_role("textbox", name="Name")).to_be_focused()
    keys.write("Typed")
    keys.press("Enter")
    keys.do("link", "Typed")
    keys.to("tab", "Money")
    for _ in range(3):
        keys.press("ArrowRight")
    keys.press("Enter")
    keys.to("spinbutton", "Limit in USD")
    keys.write("12")
    keys.do("button", "Save")
    expect(keys.page.get_by_text("The limits of Typed are saved")).to_be_visible()
    assert home.client.projects.show("Typed").budget.total_allocated == 12


@pytest.mark.slow  # `test_storage.py` does it with a mouse; other tests here use such dialogs
def test_keyboard_creates_and_attaches_a_volume(home, keyboard):
    keys = keyboard("/storage")
    keys.do("button", "New volume")
    expect(keys.page.get_by_role("textbox", name="Name")).to_be_focused()
    keys.write("typed-data")
    keys.to("spinbutton", "Size in GB")
    keys.press("Control+a")
    keys.write("1")
    keys.press("Enter")
    row = keys.page.get_by_role("row").filter(has_text="typed-data")
    expect(row).to_contain_text("Available")
    keys.do("button", "Actions for typed-data")
    keys.choose("Attach")
    keys.do("button", re.compile("^Workspace"))
    keys.choose("kelp", role="option")
    keys.do("button", "Attach")
    expect(row).to_contain_text("In-use")


@pytest.mark.slow
def test_keyboard_changes_the_theme_and_saves_a_view(keyboard):
    keys = keyboard("/workspaces?sort=-rate")
    keys.do("button", "Appearance")
    keys.choose("Dark", role="menuitemcheckbox")
    assert keys.page.evaluate("document.body.classList.contains('awsui-dark-mode')")
    keys.press("Escape")
    keys.do("button", "Save or delete a view")
    keys.choose("Save this view")
    expect(keys.page.get_by_role("textbox", name="Name")).to_be_focused()
    keys.write("Dear first")
    keys.press("Enter")
    expect(keys.page.get_by_role("button", name="View Dear first")).to_be_visible()
