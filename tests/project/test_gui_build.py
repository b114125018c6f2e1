"""`scripts/gui.py` with an imitated Node: two builds of the same folder."""

import fcntl
import os
import shutil
import subprocess
import sys

import pytest

from tests.project.tree import ROOT
from tests.waiting import eventually

NODE = """\
#!/bin/sh
case "$*" in
  --version) echo v22.12.0 ;;
  *npm-cli.js*) touch npm-begun; until [ -e go ]; do sleep 0.02; done; touch npm-ended ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    """A project whose GUI is checked by programs that do nothing, once `web/go` is there."""
    for path in ("scripts", "web", "docs", "bin", ".tools", "lib/node_modules/npm/bin"):
        (tmp_path / path).mkdir(parents=True)
    shutil.copy(ROOT / "scripts/gui.py", tmp_path / "scripts")
    for path in ("web/package.json", "web/.npmrc", "docs/openapi.json"):
        (tmp_path / path).write_text("{}")
    (tmp_path / "web/package-lock.json").write_text('{"packages": {"": {}}}')
    (tmp_path / "lib/node_modules/npm/bin/npm-cli.js").touch()
    (tmp_path / "web/node_modules").mkdir()
    (tmp_path / "bin/node").write_text(NODE)
    (tmp_path / "bin/node").chmod(0o755)
    yield tmp_path
    (tmp_path / "web/go").touch()  # after a failure, too: nothing may stay


def start_check(folder):
    env = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = [sys.executable, "scripts/gui.py", "--check"]
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE)


def test_second_build_waits_for_the_first(folder):
    with start_check(folder) as first:
        eventually((folder / "web/npm-begun").exists)
        with start_check(folder) as second:
            assert second.stdout.readline() == "Waiting for another build of the web GUI …\n"
            (folder / "web/go").touch()
            assert (first.wait(60), second.wait(60)) == (0, 0)


def test_build_is_not_over_while_npm_of_a_killed_one_runs(folder):
    def is_free():
        with (folder / ".tools/gui.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    with start_check(folder) as killed:
        eventually((folder / "web/npm-begun").exists)
        killed.kill()
    assert not is_free()
    (folder / "web/go").touch()
    eventually(is_free)
    assert (folder / "web/npm-ended").exists()
