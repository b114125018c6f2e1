"""The wall of Landlock: which trees programs may read and change."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prism.agent import init
from prism.agent.sandbox import landlock
from prism.agent.sandbox.landlock import file_rules
from tests.optional import not_none

ATTEMPTS = """
import json, os, sys
from pathlib import Path
from prism.agent.init import restrict_files, ruleset_of
rules, paths = json.loads(sys.argv[1]), json.loads(sys.argv[2])
ruleset = ruleset_of(rules)
has = ruleset is not None
if has:
    restrict_files(ruleset)
def works(act):
    try:
        act()
    except OSError:
        return False
    return True
print(json.dumps([has, {
    name: [works(lambda: Path(path, "file").read_bytes()),
           works(lambda: Path(path, "new").write_bytes(b"x")),
           works(lambda: os.truncate(Path(path, "file"), 1))]
    for name, path in paths.items()
}, works(lambda: os.rename(Path(paths["change"], "new"), Path(paths["other"], "moved")))]))
"""


def attempts(tmp_path, rules=None):
    """What a program under these rules can do in each folder; skips if the kernel lacks them."""
    paths = {name: str(tmp_path / name) for name in ("read", "change", "other", "hidden")}
    for path in paths.values():
        Path(path).mkdir()
        Path(path, "file").write_text("words")
    rules = {
        "read": [paths["read"], *sys.path, "/usr", "/etc", "/lib", "/lib64", "/gone"],
        "change": [paths["change"], paths["other"], "/dev"],
    }
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, json.dumps(rules), json.dumps(paths)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    has, allowed, moved = json.loads(done.stdout)
    if not has:
        pytest.skip("this kernel has no Landlock of version 2 or newer")
    return allowed, moved


def test_only_the_trees_in_the_rules_can_be_read_and_changed(tmp_path):
    allowed, moved = attempts(tmp_path)
    assert allowed["read"][:2] == [True, False]
    assert allowed["change"] == allowed["other"] == [True, True, True]
    assert allowed["hidden"][:2] == [False, False]
    assert moved, "a file cannot be moved from one folder to another"


SIGNALS = """
import json, os, signal, socket, subprocess, sys
from prism.agent.init import restrict_files, ruleset_of
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
restrict_files(ruleset_of({"read": ["/"], "change": ["/"]}))
own = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
def refused(act, *words):
    try:
        act(*words)
    except PermissionError:
        return True
    return False
door = socket.socket(socket.AF_UNIX)
print(json.dumps([
    refused(os.kill, os.getppid(), 0), refused(os.kill, child.pid, signal.SIGKILL),
    refused(os.kill, own.pid, signal.SIGKILL), refused(door.connect, "\\0" + sys.argv[1]),
]))
for process in (child, own):
    process.stdin.close()
"""


def test_programs_reach_no_processes_and_abstract_sockets_of_others():
    if init.landlock_version() < init.LANDLOCK_SCOPED:
        pytest.skip("this kernel has no Landlock of version 6 or newer")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0prism-test-{os.getpid()}")
        server.listen()
        done = subprocess.run(
            [sys.executable, "-c", SIGNALS, f"prism-test-{os.getpid()}"],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    parent, child_from_before, own_child, door = json.loads(done.stdout)
    assert (parent, child_from_before, door) == (True, True, True)
    assert not own_child


@pytest.mark.parametrize(("version", "length"), [(2, 8), (5, 8), (6, 24)])
def test_older_kernels_are_asked_only_for_what_they_know(monkeypatch, version, length):
    requests = []

    class Kernel:
        def syscall(self, number, attributes, size, _):
            requests.append((bytes(attributes), size))
            return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(init, "landlock_version", lambda: version)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Kernel())
    os.close(not_none(init.ruleset_of({"read": [], "change": []})))
    [(attributes, size)] = requests
    assert len(attributes) == size == length


def test_kernel_without_landlock_restricts_nothing(monkeypatch):
    monkeypatch.setattr(init, "LANDLOCK_LEAST", 1000)
    assert init.ruleset_of({"read": [], "change": []}) is None


def test_rules_of_a_sandbox_allow_to_read_what_is_mounted(tmp_path):
    folder = tmp_path / "prism" / "workspaces" / "local-1"
    rules = file_rules(folder, [], sandboxed=True)
    assert rules["read"] == ["/"]
    assert {str(folder / name) for name in ("home", "venv", "tmp")} <= set(rules["change"])
    assert str(tmp_path / "prism" / "storage" / "volumes") in rules["change"]


def test_rules_without_a_sandbox_leave_out_the_homes_of_prism_and_of_the_user(
    tmp_path, monkeypatch
):
    user, system = tmp_path / "user", tmp_path / "opt"
    for path in (
        user / ".ssh",
        system / "tool",
        system / "inner" / "tool",
        system / "inner" / "h",
    ):
        path.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setattr(landlock, "SYSTEM_FOLDERS", ("/usr", str(system)))
    monkeypatch.setattr(landlock, "TEMPORARY", (str(tmp_path),))
    folder = system / "inner" / "h" / "workspaces" / "local-1"
    rules = file_rules(folder, ["/usr/lib/python3"], sandboxed=False)
    assert {"/usr", str(system / "tool"), str(system / "inner" / "tool")} <= set(rules["read"])
    closed = {str(path) for path in (system, system / "inner", user, system / "inner" / "h")}
    assert not closed & {*rules["read"], *rules["change"]}
    assert str(tmp_path) not in rules["change"]
    assert str(folder / "home") in rules["change"]


def test_programs_without_a_sandbox_leave_nothing_in_a_folder_that_no_reboot_empties(tmp_path):
    folder = tmp_path / "prism" / "workspaces" / "local-1"
    without = file_rules(folder, [], sandboxed=False)
    assert "/var/tmp" not in {*without["read"], *without["change"]}
    assert "/var/tmp" in file_rules(folder, [], sandboxed=True)["change"]
