"""`scripts/uv.sh`: uv for a Python without pip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import ROOT

pytestmark = pytest.mark.needs("apt-get", "dpkg-deb")
SCRIPT = ROOT / "scripts" / "uv.sh"


@pytest.fixture
def requirement(tmp_path):
    """The pinned uv with its hashes, as `make` takes it from the lock."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("uv=="))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    file = tmp_path / "uv.txt"
    file.write_text("\n".join(lines[first : last + 1]) + "\n")
    return file


def install(folder, requirement, **environ):
    folder.mkdir()
    argv = [SCRIPT, sys.executable, requirement, folder]
    return subprocess.run(argv, env=os.environ | environ, capture_output=True, text=True)


def test_uv_is_installed_with_the_pip_of_debian(tmp_path, requirement):
    done = install(tmp_path / "tools", requirement)
    assert done.returncode == 0, done.stderr
    version = requirement.read_text().split("==")[1].split()[0]
    output = subprocess.check_output([tmp_path / "tools" / "bin" / "uv", "--version"], text=True)
    assert output.startswith(f"uv {version}")
    assert os.listdir(tmp_path / "tools") == ["bin"], "nothing else stays"


def test_uv_with_another_hash_is_refused(tmp_path, requirement):
    name = requirement.read_text().split()[0]
    requirement.write_text(f"{name} --hash=sha256:{'0' * 64}\n")
    done = install(tmp_path / "tools", requirement)
    assert (done.returncode, "python3-venv" in done.stderr) == (1, True), done.stderr
    assert os.listdir(tmp_path / "tools") == []


def test_system_without_apt_is_told_what_is_missing(tmp_path, requirement):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "env"):
        (programs / name).symlink_to(Path(str(shutil.which(name))).resolve())
    done = install(tmp_path / "tools", requirement, PATH=str(programs))
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            "error: uv was not installed: this Python has no pip",
            "hint: sudo apt-get install python3-venv",
        ],
    )
