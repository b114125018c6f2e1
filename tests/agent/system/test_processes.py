"""Listing, starting and freezing real processes."""

import os
import signal
import socket
import subprocess
import sys
from typing import Any

import psutil
import pytest

from prism.agent.network import ports
from prism.agent.sandbox import sandbox_process
from prism.agent.system.freezer import Cgroup, freezer
from prism.agent.system.processes import Process, Start, descendants, marked, spawn, table, which
from tests.optional import not_none
from tests.signals import ignored_signals
from tests.waiting import eventually

# Freezes and thaws its own children, as a supervisor does; each line of input is a method.
FREEZES = """
import os, subprocess, sys
from prism.agent.system.freezer import Signals
deep = "import subprocess,sys; n=int(sys.argv[1]); " \\
    "n and subprocess.Popen([sys.executable,'-c',sys.argv[2],str(n-1),sys.argv[2]]); " \\
    "print('up',flush=True); [None for _ in iter(int, 1)]"
subprocess.Popen([sys.executable, "-c", deep, "3", deep])
freezer = Signals()
for line in sys.stdin:
    getattr(freezer, line.strip())()
    print(line.strip(), flush=True)
"""


def test_descendants_are_listed_after_their_parents():
    assert table()[os.getpid()].parent == os.getppid()
    with subprocess.Popen(["sh", "-c", "sleep 600 & wait"]) as shell:
        eventually(lambda: len(descendants(shell.pid)) == 1)
        ours = [descendant.pid for descendant in descendants(os.getpid())]
        assert ours.index(shell.pid) < ours.index(descendants(shell.pid)[0].pid)
        for descendant in descendants(shell.pid):
            os.kill(descendant.pid, signal.SIGKILL)


def test_marked_processes_match_the_whole_path(tmp_path):
    environ = {**os.environ, "PRISM_MACHINE": f"{tmp_path}/local-1"}
    with subprocess.Popen(["sleep", "600"], env=environ) as popen:
        eventually(lambda: marked(tmp_path / "local-1") == [popen.pid])
        assert marked(tmp_path / "local-") == marked(tmp_path) == []
        popen.kill()


def children():
    return {pid for pid, row in table().items() if row.parent == os.getpid()}


def test_spawn_raises_and_leaves_no_process_when_the_program_is_missing(tmp_path):
    before = children()
    with pytest.raises(FileNotFoundError):
        spawn(Start(["/no/such/program"], {}, tmp_path))
    assert children() <= before


def test_spawned_program_ignores_no_signal(tmp_path):
    show = ["/bin/sh", "-c", "grep SigIgn /proc/self/status"]
    with ignored_signals():
        pid, words = spawn(Start(show, {"PATH": os.defpath}, tmp_path))
    os.waitpid(pid, 0)
    assert int(os.read(words, 100).split()[1], 16) == 0
    os.close(words)


def test_which_finds_executable_files_only(tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert which("tool", f"/nowhere:{tmp_path}") is None  # not executable
    (tmp_path / "tool").chmod(0o700)
    assert which("tool", f"/nowhere:{tmp_path}") == str(tmp_path / "tool")
    assert which(str(tmp_path / "tool"), "") == str(tmp_path / "tool")
    (tmp_path / "tool").unlink()
    (tmp_path / "tool").mkdir()
    assert which("tool", str(tmp_path)) is None


def test_port_is_ours_when_a_descendant_listens_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = server.getsockname()[1]
        assert not ports.is_ours(mine)  # this process listens, not a descendant
        assert ports.free_port(mine) != mine
        serve = [sys.executable, "-m", "http.server", str(port := ports.free_port(None))]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([*serve, "--bind", "127.0.0.1"], **quiet) as child:
            eventually(lambda: answer(port, "/"))
            assert ports.is_ours(port)
            child.kill()


GOOD = (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 403 No\r\n")
BAD = (b"HTTP/1.1 503 Wait\r\n", b"SSH-2.0-x\r\n", b"")


@pytest.mark.parametrize(("reply", "good"), [(reply, reply in GOOD) for reply in (*GOOD, *BAD)])
def test_service_has_answered_when_the_reply_is_http_below_500(reply, good):
    with socket.create_server(("127.0.0.1", 0)) as server:
        asking = ports.answers(server.getsockname()[1], "/health")
        next(asking)
        guest, _ = server.accept()
        guest.sendall(reply)
        guest.close()
        assert _value(asking) is good


def answer(port, path):
    return _value(ports.answers(port, path))


def _value(steps):
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return ended.value


@pytest.mark.skipif(sys.platform != "linux", reason="states are read in /proc")
def test_signals_freeze_a_busy_process_tree_and_leave_stopped_processes_stopped():
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FREEZES], **pipes) as parent:
        assert [not_none(parent.stdout).readline() for _ in range(4)] == ["up\n"] * 4
        tree = psutil.Process(parent.pid).children(recursive=True)
        tree[2].suspend()
        eventually(lambda: tree[2].status() == psutil.STATUS_STOPPED)
        _run_step(parent, "freeze")
        assert {node.status() for node in tree} == {psutil.STATUS_STOPPED}
        used = [node.cpu_times() for node in tree]
        assert [node.cpu_times() for node in tree] == used
        _run_step(parent, "thaw")
        stopped = [node.status() == psutil.STATUS_STOPPED for node in tree]
        assert stopped == [False, False, True, False]
        for node in tree:
            node.kill()
        not_none(parent.stdin).close()


def _run_step(process, word):
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"{word}\n"


def test_freezer_removes_only_old_empty_control_groups(tmp_path):
    first = freezer(tmp_path)
    if not isinstance(first, Cgroup):
        return
    old, new, full = (first.path.with_name(f"local-test-{n}") for n in ("old", "new", "full"))
    for path in (old, new, full):
        path.mkdir(exist_ok=True)
    with subprocess.Popen(["sleep", "600"]) as process:
        (full / "cgroup.procs").write_text(str(process.pid))
        for path in (old, full):
            os.utime(path, (0, 0))
        first.close()
        freezer(tmp_path).close()
        assert [path.exists() for path in (old, new, full)] == [False, True, True]
        process.kill()
    new.rmdir()

    def is_removed():
        full.rmdir()
        return True

    eventually(is_removed, passing=(OSError,))


def test_first_process_of_a_sandbox_is_the_one_that_began_first(monkeypatch):
    """The start times are texts; the later one has a digit more, and the lower pid."""
    children = [Process(31, 7, "S", "10000"), Process(32, 7, "S", "9999")]
    monkeypatch.setattr(sandbox_process, "descendants", lambda _: children)
    assert sandbox_process._first_inside(7) == 32
