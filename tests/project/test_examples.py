"""The commands in the documentation are run, in their order, with a real daemon.

`tests/project/test_words.py` checks that each command parses. This test runs each line of the
sections below, in a home with a workspace `mine`. `NOT_HERE` has the lines that it cannot run,
with the reasons.
"""

import re

import pytest

from tests.daemons import BIN
from tests.optional import not_none
from tests.project.home import Home
from tests.project.shell import Shell
from tests.project.tree import ROOT, refuse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
BLOCK = re.compile(r"```(?:sh|python|console)?\n(.*?)```|((?:^    [^\n]*\n)+)", re.DOTALL | re.M)
PAGES = {
    "docs/cli.md": (
        "Volumes and snapshots",
        "Idleness and logs",
        "Templates",
        "Money",
        "Profiles",
        "People",
        "Setting up",
        "Find problems",
        "Uninstall",
        "When the database is lost",
        "Events, completion, version",
        "The daemon",
    ),
    "docs/idle.md": ("Idle workspaces",),
    "docs/money.md": ("Money", "Caps"),
    "docs/people.md": ("Roles",),
    "docs/storage.md": ("Volumes and snapshots",),
    "docs/logs.md": ("Logs",),
}
NOT_HERE = {
    " -f": "goes on until Ctrl-C",
    "--follow": "goes on until Ctrl-C",
    "prism events mine --since 0": "goes on until Ctrl-C",
    "prism daemon logs": "the daemon of the test logs elsewhere",
    "prism daemon start": "the test has started one",
    "prism profile switch lab": "leads to AWS",
    "prism invite ": "needs the token of a mail",
    "prism uninstall": "--dry-run is done, the others destroy the home",
    "prism restore": "needs a stopped daemon",
    "prism orphans adopt": "there is none",
    "prism orphans terminate": "there is none",
    "prism recover --accept": "the database is not older",
    "prism init": "asks on a terminal",
    "prism token revoke": "the id is an example",
    "prism daemon stop": "the test ends it",
}
ENDLESS = {"prism events"}
RUN_ANYWAY = (
    "prism uninstall --dry-run",
    "prism events mine --last",
    "prism init --yes",
    "prism invite send",
    "prism invite list",
    "prism invite mine",
)
ON_THIS_COMPUTER = ("prism doctor",)  # 1 if a check fails on this computer


def section(page, heading):
    """The text below a heading, up to the next heading of its level or higher."""
    text = (ROOT / page).read_text()
    start = not_none(re.search(rf"^(#+) {re.escape(heading)}$\n", text, re.MULTILINE))
    rest = text[start.end() :]
    end = re.search(r"^#{1,2} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def commands(page):
    """The commands of a page's sections, without comments."""
    for heading in PAGES[page]:
        for fenced, indented in BLOCK.findall(section(page, heading)):
            for line in (fenced or indented).splitlines():
                if line.strip().startswith(("prism ", "mkdir ")):
                    yield re.sub(r"\s+#.*", "", line.strip())


def runs_here(command):
    """Whether the test can run a command."""
    asked_for = command.startswith(RUN_ANYWAY)
    return asked_for or not (command in ENDLESS or any(word in f"{command} " for word in NOT_HERE))


MINE = "prism launch plain-shell mine"
PREPARED = {
    "docs/cli.md": (
        MINE,
        "prism launch plain-shell other",
        "prism project create p --budget 1000",
        "prism project create reef --owner ada@example.org",
        "prism member add reef eve@example.org --role member",
        "prism project create thesis",
        "prism budget create grant 5000",
        "prism allocation create grant p 500",
    ),
    "docs/idle.md": (MINE,),
    "docs/logs.md": (MINE,),
    "docs/people.md": (
        "prism project create reef --owner ada@example.org",
        "prism member add reef eve@example.org --role member",
    ),
}


@pytest.fixture
def shell(tmp_path):
    """A home with a daemon, and a working folder."""
    home, folder = Home(tmp_path / "home"), tmp_path / "here"
    folder.mkdir()
    (folder / "people.csv").write_text("email,role\nfay@example.org,viewer\n")
    try:
        with home.run_daemon():
            yield Shell(home, folder)
            home.cli("terminate", "--all", "--yes")
    finally:
        home.clear()


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_documentation_page_succeed(shell, page):
    failed = []
    for command in (*PREPARED.get(page, ()), *filter(runs_here, commands(page))):
        code, output = shell.run(f"{command} --yes" if " delete " in command else command)
        if code != 0 and not command.startswith(ON_THIS_COMPUTER):
            failed.append(f"{page}: `{command}` ended with {code}: {output[-400:]}")
    refuse(failed, "Correct the page, or the command")


def test_python_example_of_the_storage_page_runs(shell):
    [example] = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/storage.md").read_text(), re.DOTALL
    )
    (shell.folder / "example.py").write_text(example)
    assert shell.run(MINE)[0] == 0
    code, output = shell.run(f"{BIN}/python example.py")
    assert code == 0, output
    _, listed = shell.run("prism volume list --json && prism snapshot list --json")
    assert all(name in listed for name in ("data", "monday", "monday-copy"))


def test_list_of_commands_that_are_not_run_has_no_unused_entry():
    every = [f"{command} " for page in PAGES for command in commands(page)]
    assert len([entry for entry in every if runs_here(entry.strip())]) > 100
    unused = (word for word in NOT_HERE if not any(word in entry for entry in every))
    refuse(unused, "No page has these commands; delete them from NOT_HERE of this file")
