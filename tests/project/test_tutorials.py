"""The tutorials are done, line by line, with a real daemon.

Each line of a fenced example is run as it is. An indented line that starts or installs the daemon
gives it its settings; one with `curl` is sent to the daemon of the test.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons import BIN
from tests.project.home import Home
from tests.project.shell import Shell
from tests.project.tree import ROOT, refuse, short
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
FENCED = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)
DAEMON = re.compile(r"^    ((?:PRISM_\w+=\S+ )+)prism daemon \w+$", re.MULTILINE)
CURL = re.compile(r"^    (curl .*)$", re.MULTILINE)
FINDS_PROBLEMS = "prism doctor"  # exit code 1 if a check fails on this computer
ENDLESS = "curl -N"


def examples(page: Path) -> Iterator[str]:
    """The commands of a page, in their order; an example in Python is one command."""
    for language, text in FENCED.findall(page.read_text()):
        if language == "python":
            yield f"{BIN}/python - <<'END'\n{text}END"
        else:
            yield from text.splitlines()


def settings(page: Path) -> dict[str, str]:
    """What the page gives its daemon."""
    words = " ".join(DAEMON.findall(page.read_text())).split()
    return dict(word.split("=", 1) for word in words)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_succeeds(page, tmp_path):
    home, folder = Home(tmp_path / "home"), tmp_path / "here"
    folder.mkdir()
    (folder / "people.csv").write_text("email,role\nfay@example.org,member\n")
    failed = []
    try:
        with home.run_daemon(**settings(page)):
            shell = Shell(home, folder)
            for command in examples(page):
                code, output = shell.run(command)
                if code != 0 and not command.startswith(FINDS_PROBLEMS):
                    failed.append(f"{short(page)}: `{command}` ended with {code}: {output[-600:]}")
            # A class ends once the files of each workspace are in a snapshot.
            ended = eventually(lambda: {*home.states()} <= {"terminated"})
    finally:
        home.clear()
    refuse(failed, "Correct the page, or the command")
    assert ended, "a tutorial ends what it has begun"


def test_requests_of_the_developers_tutorial_are_answered(tmp_path):
    home, page = Home(tmp_path / "home"), ROOT / "docs" / "tutorials" / "developer.md"
    commands = CURL.findall(page.read_text())
    assert len(commands) == 3
    try:
        with home.run_daemon():
            shell = Shell(home, tmp_path)
            assert shell.run("prism launch plain-shell job")[0] == 0
            port = json.loads((home.folder / "daemon.lock").read_text())["port"]
            for command in commands:
                sent = command.replace("localhost:8947", f"localhost:{port}")
                if command.startswith(ENDLESS):
                    sent = sent.replace(ENDLESS, f"{ENDLESS} --max-time 2")
                    assert shell.run(sent)[0] == 28, command  # the time is over, not the stream
                else:
                    code, output = shell.run(sent.replace("curl", "curl --fail-with-body -sS"))
                    assert code == 0, output
            assert home.client.workspaces.get("job").state in ("stopping", "stopped")
            assert shell.run("prism terminate job --yes")[0] == 0
    finally:
        home.clear()


def test_every_reader_has_a_tutorial_that_the_front_page_names():
    front = (ROOT / "README.md").read_text()
    assert [short(page) for page in TUTORIALS if f"({short(page)})" not in front] == []
