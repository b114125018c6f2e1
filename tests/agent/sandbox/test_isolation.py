"""The first program of a sandbox, from installations that only root can read."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prism.agent.sandbox import identity
from tests.disks import overlaid

AGENT = Path(identity.__file__).parents[1]
PROBE = """
import json, sys
from prism.agent.sandbox import isolation
sys.exit(isolation.main(json.loads(sys.argv[1])))
"""
pytestmark = pytest.mark.skipif(
    not (identity.is_privileged() and shutil.which("bwrap")),
    reason="needs root: only root gives workspaces a user of their own",
)


def installed(place: Path) -> Path:
    """An environment and the agent, as root installs them with the umask 077."""
    copy = place / "source" / "prism"
    shutil.copytree(AGENT, copy / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(AGENT.with_name("__init__.py"), copy)
    venv = [sys.executable, "-m", "venv", "--without-pip", str(place / "environment")]
    subprocess.run(venv, check=True, umask=0o077)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return place


def tried(installation: Path, home: Path) -> dict[str, Any]:
    """The report of that installation about workspaces of a home."""
    environment = installation / "environment"
    reachable = [environment, sys.base_prefix, Path(sys.executable).resolve().parents[1]]
    probe = json.dumps({"reachable": [*map(str, reachable)], "home": str(home)})
    variables = {**os.environ, "PYTHONPATH": str(installation / "source")}
    argv = [str(environment / "bin" / "python"), "-c", PROBE, probe]
    done = subprocess.run(argv, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["sandbox"] == "bubblewrap"
    assert report["user"] in range(*identity.UidRange.parse(identity.DEFAULT_RANGE))
    assert report["kept"]["capabilities"], "the first program drops what it was started with"
    return report


# A later update of an environment, with another umask, leaves its folder as it was.
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_first_program_starts_from_files_that_only_root_can_read(tmp_path, mode):
    installation = installed(tmp_path)
    (installation / "environment").chmod(mode)
    assert not tried(installation, tmp_path)["is_shared"]


@pytest.mark.parametrize("home", ["beside it", "on another disk"])
def test_first_program_starts_from_private_files_of_a_disk_without_id_maps(tmp_path, home):
    with overlaid(tmp_path) as disk:
        installation = installed(disk)
        is_beside = home == "beside it"
        report = tried(installation, disk if is_beside else tmp_path)
        assert report["is_shared"] is is_beside
        assert not (installation / "environment").stat().st_mode & 0o007, (
            "other users still cannot read it"
        )


def test_python_that_does_not_run_inside_is_named_with_its_words(tmp_path):
    reachable = [sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])]
    probe = json.dumps({"reachable": reachable, "home": str(tmp_path)})
    failing = "from prism.agent.sandbox import isolation\n"
    failing += "isolation.PROBE_PROGRAM = 'print(\"cannot open\")'\n"
    argv = [sys.executable, "-c", failing + PROBE, probe]
    done = subprocess.run(argv, capture_output=True, text=True)
    words = "the Python of Prism does not run in a workspace; it says: cannot open\n"
    assert (done.returncode, done.stdout) == (1, words), done.stderr
