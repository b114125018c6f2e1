"""The first hour of somebody with a bare machine, under a covering set of conditions."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bare import first_hour, stage
from tests.bare.conditions import IN_MAKE_TEST, ROWS
from tests.bare.source import pack_source
from tests.project.tree import ROOT
from tests.providers.local.test_life import python_for_all

UNSHARE = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
UNSHARE += ["--mount-proc"]
pytestmark = [
    pytest.mark.timeout(1800),  # the first of them downloads the packages of workspaces
    pytest.mark.skipif(
        sys.platform != "linux" or os.getuid() != 0, reason="only root makes mount namespaces"
    ),
]


def row_id(row):
    """What the row has, in short: `user-ext4-077-…`, and the names of what is missing."""
    words = (row["user"], row["filesystem"], row["umask"], row["locale"], row["path"])
    missing = [name.split()[0] for name, value in row.items() if value == "without"]
    return "-".join((*words, row["installation"], "no", *missing)).replace("/", "")


@pytest.fixture(scope="module")
def material() -> Iterator[Path]:
    """What each row begins with: the wheel, the source, uv; and caches that rows share."""
    with tempfile.TemporaryDirectory(prefix="prism-bare-", dir="/var/tmp") as name:
        folder = Path(name)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", name]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        lock = (ROOT / "requirements.lock").read_text()
        pinned = re.findall(r"^[A-Za-z0-9._-]+==[^\\\n]+", lock, re.M)
        (folder / "constraints.txt").write_text("\n".join(pinned))
        for file in (ROOT / ".tools/bin/uv", Path(stage.__file__), Path(first_hour.__file__)):
            shutil.copy(file, folder)
        pack_source(folder / "source.tar", with_gui=True)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        for user in (0, stage.USER):
            (cache := folder / f"cache-{user}").mkdir()
            os.chown(cache, user, user)
        yield folder


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row_id(row), marks=[] if n < IN_MAKE_TEST else pytest.mark.slow)
        for n, row in enumerate(ROWS)
    ],
)
def test_first_hour(material, row):
    user, python = 0 if row["user"] == "root" else stage.USER, python_for_all(imports="sys")
    variables = {"TEST_MATERIAL": str(material), "TEST_CACHE": str(material / f"cache-{user}")}
    with tempfile.TemporaryDirectory(prefix="row-", dir=material) as name:
        place = Path(name) / "stage"
        place.mkdir()
        for path in (place, place.parent):
            path.chmod(0o755)
        program = [python, "-I", "-S", material / "first_hour.py", row["installation"]]
        argv = [*UNSHARE, python, "-I", "-S", material / "stage.py", json.dumps(row), place]
        done = subprocess.run(
            [*map(str, (*argv, *program))],
            env=os.environ | variables | {"TEST_PYTHON": python},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-6000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    names = {
        name for kind, names in stage.PROGRAMS.items() if row[kind] == "without" for name in names
    }
    assert not {*seen.pop("programs")} & {*names, *stage.NEVER}
    walls = user == 0 or (row["bubblewrap"], row["user namespaces"]) == ("with", "with")
    assert not (seen.pop("database") and walls), "the workspace reads what is not its own"
    inside = seen.pop("user")
    assert inside == user if user else inside != 0
    answers = {"address": True, "lab": True, "file": "kept"}
    assert seen == answers | {"states": ["hibernated", "running"]}
