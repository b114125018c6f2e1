"""Hostile messages on the supervisor's socket, and systems that refuse a sandbox."""

import os
import pty
import signal
import socket
from pathlib import Path

import pytest

from prism.agent.protocol import LocalMachineSpec
from prism.agent.sandbox import bubblewrap, sandbox_process
from prism.agent.sandbox.sandbox_process import LONGEST_ANSWER, SandboxProcess

ORDER: LocalMachineSpec = {"key": "k", "name": "mine"}


@pytest.fixture
def channel():
    """The supervisor's end of the socket, and the sandbox's end."""
    place = SandboxProcess.__new__(SandboxProcess)
    place._rest = b""
    place._socket, inside = socket.socketpair()
    place._socket.settimeout(5)
    yield place, inside
    place._socket.close()
    inside.close()


def exchange(place, inside, message, descriptors=()):
    socket.send_fds(inside, [message], list(descriptors))
    answers, terminals = place.answers()
    return answers, terminals


@pytest.mark.parametrize(
    "line",
    [b"x", b"7", b"[]", b"null", b"[" * 60_000, b"\xff", b'{"id": "x"}', b'{"id": 1e400}'],
)
def test_supervisor_ignores_an_invalid_line_and_reads_the_next(channel, line):
    place, inside = channel
    answers, _ = exchange(place, inside, line + b'\n{"id": 1, "exit": 0}\n')
    while len(answers) < 2:
        answers += place.answers()[0]
    assert answers == [{}, {"id": 1, "exit": 0}]


def test_supervisor_discards_an_endless_line(channel):
    place, inside = channel
    for _ in range(200):
        exchange(place, inside, b"x" * 2000)
        assert len(place._rest) <= LONGEST_ANSWER
    assert exchange(place, inside, b'\n{"id": 2, "pid": 7}\n')[0][-1] == {"id": 2, "pid": 7}


def test_supervisor_ignores_numbers_out_of_range(channel):
    odd = b'{"id": 1, "exit": %d, "pid": true, "x": 7}\n' % 10**40
    place, inside = channel
    assert exchange(place, inside, odd)[0] == [{"id": 1, "x": 7}]


def test_supervisor_accepts_only_terminals_as_descriptors(channel, tmp_path):
    """A connection to the daemon that is passed as a terminal would be a call as the owner."""
    place, inside = channel
    before = descriptors()
    (tmp_path / "file").touch()
    first, other = socket.socketpair()
    number, slave = pty.openpty()
    file = os.open(tmp_path / "file", os.O_RDONLY)
    _, terminals = exchange(place, inside, b"{}\n", [first.fileno(), number, file, other.fileno()])
    assert [os.isatty(terminal) for terminal in terminals] == [True]
    for terminal in (*terminals, number, slave, file):
        os.close(terminal)
    first.close()
    other.close()
    assert descriptors() == before


def descriptors():
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def refused_machine(tmp_path, monkeypatch):
    """A machine of an ordinary user whose system refuses sandboxes from now on."""
    folder = tmp_path / "workspaces" / "local-1"
    for name in ("home", "venv", "logs"):
        (folder / name).mkdir(parents=True)
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No space left on device' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setattr(sandbox_process, "is_root", lambda: False)
    monkeypatch.setattr(sandbox_process, "bubblewrap", lambda: str(bwrap))
    return folder


def test_machine_does_not_start_without_a_sandbox_when_the_home_had_one(refused_machine):
    """A hostile workspace can use up user namespaces, processes and memory."""
    bubblewrap.remember_that_it_works(refused_machine)
    with pytest.raises(OSError, match="cannot be made now: bwrap: No space left on device"):
        SandboxProcess(refused_machine, ORDER, [], lambda: None)


def test_machine_starts_without_a_sandbox_and_reports_why_when_none_ever_worked(refused_machine):
    place = SandboxProcess(refused_machine, ORDER, [], lambda: None)
    try:
        assert place.kind == "none: bwrap: No space left on device"
    finally:
        place.close()
        os.kill(place.pid, signal.SIGKILL)
        os.waitpid(place.pid, 0)
        os.close(place.output_pipe)
    assert not Path(refused_machine.parents[1] / "sandboxed").exists()
