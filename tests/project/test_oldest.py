"""`make test-oldest`: which Python it takes, and which cases of the tests it runs."""

import os
import shutil
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import one_case_of_each
from tests.optional import not_none
from tests.project.test_rules import TOOL
from tests.project.tree import ROOT

PYTHON = f"python{TOOL['mypy']['python_version']}"
USABLE = """\
#!/bin/bash
case "$*" in
  -V) echo "Python of the test" ;;
  *socket*) echo 1 ;;
esac
"""


@pytest.fixture
def try_oldest(tmp_path):
    """Runs the script with these programs of that name, in the order of PATH."""

    def run(*pythons):
        folders = [tmp_path / f"bin{number}" for number, _ in enumerate(pythons)]
        for folder, text in zip(folders, pythons, strict=True):
            folder.mkdir()
            (folder / PYTHON).write_text(text)
            (folder / PYTHON).chmod(0o755)
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("bash", "chmod", "dirname", "mktemp", "rm", "sed"):
            (tools / name).symlink_to(not_none(shutil.which(name)))
        (tools / "git").write_text("#!/bin/bash\necho no clone >&2\nexit 9\n")
        (tools / "git").chmod(0o755)
        (tmp_path / "place").mkdir()
        path = ":".join(map(str, [*folders, tools]))
        return subprocess.run(
            [ROOT / "scripts" / "oldest.sh"],
            env={"PATH": path, "TMPDIR": str(tmp_path / "place")},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("pythons", [[], ["#!/bin/bash\nexit 127\n"]])
def test_missing_or_unusable_python_is_named_and_no_failure(try_oldest, pythons):
    """A version manager's program of that name may only say that it is not installed."""
    done = try_oldest(*pythons)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"NOT TRIED: {PYTHON.replace('python', 'Python ')}, the oldest")


def test_first_usable_python_is_tried_and_nothing_is_left(try_oldest, tmp_path):
    done = try_oldest("#!/bin/bash\nexit 127\n", USABLE)
    assert done.stdout.startswith(f"Trying Python of the test at {tmp_path}/bin1/{PYTHON}")
    assert (done.returncode, done.stderr) == (9, "no clone\n"), "a failure fails it"
    assert os.listdir(tmp_path / "place") == []


def test_one_case_of_each_test_is_chosen():
    names = ["a.py::test_x[1]", "a.py::test_x[2-[]", "b.py::test_x[2]", "a.py::test_y"]
    items: Any = [SimpleNamespace(nodeid=name) for name in names]
    assert [item.nodeid for item in one_case_of_each(items)] == [names[0], *names[2:]]
