"""The first program of a sandbox, from installations that only root can read."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prism.agent import identity

AGENT = Path(identity.__file__).parent
PROBE = """
import json, sys
from prism.agent import isolation
sys.exit(isolation.main(json.loads(sys.argv[1])))
"""
pytestmark = pytest.mark.skipif(
    not (identity.is_privileged() and shutil.which("bwrap")),
    reason="needs root: only root gives workspaces a user of their own",
)


@pytest.fixture
def installation(tmp_path):
    """An environment and the agent, as root installs them with the umask 077."""
    copy = tmp_path / "source" / "prism"
    shutil.copytree(AGENT, copy / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(AGENT.with_name("__init__.py"), copy)
    venv = [sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment"]
    subprocess.run(venv, check=True, umask=0o077)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return tmp_path


# A later update of an environment, with another umask, leaves its folder as it was.
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_first_program_starts_from_files_that_only_root_can_read(installation, mode):
    environment = installation / "environment"
    environment.chmod(mode)
    python = environment / "bin" / "python"
    reachable = [environment, sys.base_prefix, Path(sys.executable).resolve().parents[1]]
    spec = json.dumps({"reachable": [*map(str, reachable)]})
    variables = {**os.environ, "PYTHONPATH": str(installation / "source")}
    argv = [python, "-c", PROBE, spec]
    done = subprocess.run(argv, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["user"] in range(*identity.UidRange.parse(identity.DEFAULT_RANGE))
    assert report["kept"]["capabilities"], "the first program drops what it was started with"
