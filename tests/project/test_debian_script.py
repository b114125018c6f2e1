"""`scripts/debian.sh` with imitated programs: what it installs, and what it says."""

import shutil
import subprocess

import pytest

from tests.project.tree import ROOT

SANDBOX = ("--optional", "bwrap", "bubblewrap", "pasta", "passt")
NEEDED = ("bash", "cat")


@pytest.fixture
def system(tmp_path):
    """Runs the script where only these programs are on PATH: their names, and their scripts."""

    def run(*words, uid, **programs):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in NEEDED:
            (folder / name).symlink_to(shutil.which(name))
        log = f'echo "$0 $*" >> {tmp_path}/log\n'
        scripts = {"id": f"echo {uid}", **programs}
        for name, script in scripts.items():
            note = log if name == "apt_get" else ""
            file = folder / name.replace("_", "-")
            file.write_text(f"#!/bin/bash\n{note}{script}\n")
            file.chmod(0o755)
        argv = ["bash", ROOT / "scripts/debian.sh", *words]
        done = subprocess.run(argv, env={"PATH": str(folder)}, capture_output=True, text=True)
        file = tmp_path / "log"
        calls = file.read_text().splitlines() if file.exists() else []
        return done, [call.removeprefix(f"{folder}/apt-get ") for call in calls]

    return run


def test_root_installs_the_sandbox_by_apt(system):
    done, calls = system(*SANDBOX, uid=0, apt_get="", apt_cache="")
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)
    assert [call.split("--no-install-recommends ")[1] for call in calls] == ["bubblewrap passt"]


def test_root_gets_new_lists_if_apt_has_none(system, tmp_path):
    refuses = f'case "$*" in *update) > {tmp_path}/lists;; *) [ -e {tmp_path}/lists ];; esac'
    done, calls = system(*SANDBOX, uid=0, apt_get=refuses, apt_cache="")
    assert (done.returncode, len(done.stdout.splitlines()), len(calls)) == (0, 1, 3)


def test_failed_installation_of_the_sandbox_is_one_line_and_no_error(system):
    done, _ = system(*SANDBOX, uid=0, apt_get="echo broken >&2; exit 100", apt_cache="")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "They were not installed, so workspaces get weaker walls; try again: "
        "apt-get install bubblewrap passt"
    ]


@pytest.mark.parametrize(
    ("uid", "programs", "command"),
    [
        (1000, {"apt_get": "exit 1", "apt_cache": ""}, "sudo apt-get install bubblewrap passt"),
        (1000, {"dnf": ""}, "sudo dnf install bubblewrap passt"),
        (0, {"pacman": ""}, "pacman -S bubblewrap passt"),
        (1000, {"bwrap": "", "apk": ""}, "sudo apk add passt"),
    ],
)
def test_who_cannot_install_the_sandbox_gets_one_line_with_the_command(
    system, uid, programs, command
):
    done, calls = system(*SANDBOX, uid=uid, **programs)
    assert (done.returncode, done.stderr, calls) == (0, "", [])
    printed = f"Workspaces get a sandbox and a network of their own with: {command}\n"
    assert done.stdout == printed


def test_nothing_is_said_if_the_sandbox_is_there(system):
    done, _ = system(*SANDBOX, uid=0, bwrap="", pasta="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_missing_required_package_of_an_ordinary_user_is_an_error(system):
    done, _ = system("-", "gcc", uid=1000, apt_get="", apt_cache="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: missing: gcc\nhint: sudo apt-get install gcc\n"
