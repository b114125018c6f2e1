"""A workspace that speaks for its first program, and one that keeps others from a sandbox."""

import os
import pty
import signal
import socket
from pathlib import Path

import pytest

from prism.agent import sandbox, sandbox_process
from prism.agent.protocol import OrderedMachine
from prism.agent.sandbox_process import LONGEST_ANSWER, SandboxProcess

ORDER: OrderedMachine = {"key": "k", "name": "mine"}


@pytest.fixture
def channel():
    """An enclosure's end of the socket, and the end of whoever lives inside."""
    place = SandboxProcess.__new__(SandboxProcess)
    place._rest = b""
    place._socket, inside = socket.socketpair()
    place._socket.settimeout(5)
    yield place, inside
    place._socket.close()
    inside.close()


def heard(place, inside, message, descriptors=()):
    socket.send_fds(inside, [message], list(descriptors))
    answers, terminals = place.answers()
    return answers, terminals


@pytest.mark.parametrize(
    "line",
    [b"x", b"7", b"[]", b"null", b"[" * 60_000, b"\xff", b'{"id": "x"}', b'{"id": 1e400}'],
)
def test_garbage_is_passed_over_and_what_follows_is_heard(channel, line):
    place, inside = channel
    answers, _ = heard(place, inside, line + b'\n{"id": 1, "exit": 0}\n')
    while len(answers) < 2:
        answers += place.answers()[0]
    assert answers == [{}, {"id": 1, "exit": 0}]


def test_a_line_without_an_end_is_not_kept(channel):
    place, inside = channel
    for _ in range(200):
        heard(place, inside, b"x" * 2000)
        assert len(place._rest) <= LONGEST_ANSWER
    assert heard(place, inside, b'\n{"id": 2, "pid": 7}\n')[0][-1] == {"id": 2, "pid": 7}


def test_numbers_have_a_size(channel):
    odd = b'{"id": 1, "exit": %d, "pid": true, "x": 7}\n' % 10**40
    place, inside = channel
    assert heard(place, inside, odd)[0] == [{"id": 1, "x": 7}]


def test_only_terminals_are_handed_on(channel, tmp_path):
    """A connection to the daemon, handed to it as a terminal, would be a call of its own."""
    place, inside = channel
    before = descriptors()
    (tmp_path / "file").touch()
    first, other = socket.socketpair()
    number, slave = pty.openpty()
    file = os.open(tmp_path / "file", os.O_RDONLY)
    _, terminals = heard(place, inside, b"{}\n", [first.fileno(), number, file, other.fileno()])
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
    """A machine of an ordinary user whose system lets nobody make a sandbox, from now on."""
    folder = tmp_path / "workspaces" / "local-1"
    for name in ("home", "venv", "logs"):
        (folder / name).mkdir(parents=True)
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No space left on device' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setattr(sandbox_process, "is_privileged", lambda: False)
    monkeypatch.setattr(sandbox_process, "bubblewrap", lambda: str(bwrap))
    return folder


def test_where_a_sandbox_was_nothing_runs_without_one(refused_machine):
    """User namespaces, processes and memory can be used up by a workspace that wants it so."""
    sandbox.remember_that_it_works(refused_machine)
    with pytest.raises(OSError, match="cannot be made now: bwrap: No space left on device"):
        SandboxProcess(refused_machine, ORDER, [], lambda: None)


def test_where_there_never_was_one_that_is_said(refused_machine):
    place = SandboxProcess(refused_machine, ORDER, [], lambda: None)
    try:
        assert place.kind == "none: bwrap: No space left on device"
    finally:
        place.close()
        os.kill(place.pid, signal.SIGKILL)
        os.waitpid(place.pid, 0)
        os.close(place.output_pipe)
    assert not Path(refused_machine.parents[1] / "sandboxed").exists()
