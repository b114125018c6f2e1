"""`make quickstart` with imitated programs: what runs at the same time, and the output."""

import contextlib
import os
import pty
import shutil
import subprocess
import sys
from typing import Any

import psutil
import pytest

from tests.project.tree import ROOT
from tests.waiting import eventually

ADDRESS = "http://localhost:1/lab?token=t"
UV = """\
#!/bin/sh
case "$*" in *sync*)
  echo "Resolved 2 packages in 5ms" >&2
  echo "Downloading numpy (15.9MiB)" >&2
  echo " Downloaded numpy" >&2
  echo "Installed 2 packages in 5ms" >&2
  echo " + numpy==2.0" >&2
  [ ! -e refused ] || { echo > go-on; echo "error: no network" >&2; exit 2; } ;;
esac
"""
# Each program waits for the other, so the test fails if one runs after the other. They wait at
# named pipes, which the test holds open. The file `build` says how the build goes: it outlasts the
# launch, fails at once or late, or has a child process.
PIPES = ("gui-begun", "go-on", "never")
GUI = """\
import os, pathlib, signal, subprocess, sys
signal.alarm(60)
build = pathlib.Path("build").read_text()
print("Building the web GUI", flush=True)
if build == "endless":
    child = subprocess.Popen(["cat", "never"])
    pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
pathlib.Path("gui-begun").write_text("\\n")
if build != "fails at once":
    pathlib.Path("never" if build == "endless" else "go-on").open().readline()
print("added 260 packages in 2m", flush=True)
pathlib.Path("gui-ended").touch()
sys.exit("error: the web GUI was not built" if "fails" in build else 0)
"""
PRISM = """\
#!/bin/sh
read -r line < gui-begun
touch launched
[ ! -e launch-hangs ] || exec cat never
echo "{address}"
"""


@pytest.fixture
def folder(tmp_path):
    """The real Makefile with imitated programs."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "src/prism").mkdir(parents=True)
    programs = {
        "scripts/debian.sh": '#!/bin/sh\necho "sandbox: $*"\n',
        ".tools/bin/uv": UV,
        ".venv/bin/python": "#!/bin/sh\n",
        ".venv/bin/prism": PRISM.format(address=ADDRESS),
        "scripts/gui.py": GUI,
    }
    for name, text in programs.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    for name in PIPES:
        os.mkfifo(tmp_path / name)
    held = [os.open(tmp_path / name, os.O_RDWR) for name in PIPES]
    yield tmp_path
    for descriptor in held:
        os.close(descriptor)


@pytest.fixture
def begin_make(folder):
    """Starts `make quickstart` with one stream of output; with `ctty`, on a terminal."""
    begun = []

    def begin(build, *, ctty=None):
        (folder / "build").write_text(build)
        command = ["make", "-s", "quickstart", f"PYTHON={sys.executable}"]
        pipes: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }
        if ctty is not None:
            command = ["setsid", "--ctty", *command]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), ctty)
        process = subprocess.Popen(command, cwd=folder, **pipes)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        below = [*map(psutil.Process, filter(is_running, build_pids(folder)))]
        if process.poll() is None:
            alive = psutil.Process(process.pid)
            below += [*alive.children(recursive=True), alive]
        for descendant in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                descendant.kill()
        process.communicate()


def build_pids(folder):
    """The processes of an endless build."""
    file = folder / "pids"
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def is_running(pid):
    """Whether a process runs; in a container, an ended process may stay a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def interrupted(process, keyboard):
    """Presses Ctrl-C, and again after a minute without effect; returns the exit code."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        os.write(keyboard, b"\x03")
        return process.wait(60)
    os.write(keyboard, b"\x03")
    return process.wait(60)


def read(process, folder):
    """All lines of output; the build continues after the address was read."""
    lines = []
    for line in process.stdout:
        lines.append(line.removesuffix("\n"))
        if lines[-1] == ADDRESS:
            (folder / "go-on").write_text("\n")
    return lines


def test_quickstart_builds_the_gui_during_the_launch_and_shows_download_sizes(begin_make, folder):
    process = begin_make("succeeds")
    lines = read(process, folder)
    assert process.wait(120) == 0, lines
    assert lines[0] == "sandbox: --optional bwrap bubblewrap pasta passt", "before any download"
    assert lines[-1] == ADDRESS, "the address is the last line, also if the build takes longer"
    assert lines.count(ADDRESS) == 1
    assert any(".tools/gui.log" in line for line in lines)
    assert "added 260 packages" in (folder / ".tools/gui.log").read_text()
    assert not any("was not built" in line for line in lines)
    assert "Downloading numpy (15.9MiB)" in lines
    assert "Installed 2 packages in 5ms" in lines
    assert not [line for line in lines if line.startswith(" ")], "not every package has a line"
    assert (folder / "gui-ended").exists(), "make waits for the build"


@pytest.mark.parametrize("build", ["fails at once", "fails late"])
def test_failed_gui_build_is_reported_before_the_address(begin_make, folder, build):
    process = begin_make(build)
    lines = read(process, folder)
    assert process.wait(120) == 0, lines
    assert lines[-1] == ADDRESS
    assert "error: the web GUI was not built" in lines[:-1]
    assert any("make gui" in line for line in lines[:-1])


@pytest.mark.parametrize(
    ("environ", "printed"),
    [
        ({"SSL_CERT_FILE": "/own.pem"}, "1 /own.pem /own.pem "),
        (
            {"SSL_CERT_FILE": "/own.pem", "UV_SYSTEM_CERTS": "0", "REQUESTS_CA_BUNDLE": "/b"},
            "0 /b /own.pem ",
        ),
        (
            {"SSL_CERT_FILE": "/own.pem", "PIP_INDEX_URL": "https://mirror"},
            "1 /own.pem /own.pem https://mirror",
        ),
    ],
)
def test_uv_pip_and_npm_trust_what_the_system_trusts_and_use_the_index_of_pip(
    folder, environ, printed
):
    names = ("UV_SYSTEM_CERTS", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "UV_DEFAULT_INDEX")
    passed = {k: v for k, v in os.environ.items() if k not in names and not k.startswith("PIP_")}
    words = " ".join(f"$${{{name}:-}}" for name in names)
    done = subprocess.run(
        ["make", "-s", f"--eval=shown:;@echo {words}", "shown"],
        cwd=folder,
        env=passed | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip() == printed.rstrip()


@pytest.mark.parametrize("when", ["while it launches", "while make waits for the build"])
def test_ctrl_c_ends_the_gui_build_at_once(begin_make, folder, when):
    if when == "while it launches":
        (folder / "launch-hangs").touch()
    keyboard, terminal = pty.openpty()
    process = begin_make("endless", ctty=terminal)
    os.close(terminal)
    if when == "while it launches":
        eventually((folder / "launched").exists, 120)
    else:
        screen = bytearray()
        while ADDRESS.encode() not in screen:
            screen += os.read(keyboard, 65536)
    pids = build_pids(folder)
    assert (len(pids), all(map(is_running, pids))) == (2, True)
    assert interrupted(process, keyboard) != 0
    eventually(lambda: not any(map(is_running, pids)), 120)
    os.close(keyboard)


def test_failed_installation_shows_the_error_and_launches_nothing(begin_make, folder):
    (folder / "refused").touch()
    process = begin_make("succeeds")
    lines = read(process, folder)
    assert process.wait(120) != 0
    assert any("error: no network" in line for line in lines)
    assert not (folder / "launched").exists()
    assert not (folder / ".venv/installed").exists()
