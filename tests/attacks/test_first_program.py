"""The first program of a workspace survives what happens inside, and is closed to others."""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys

import pytest

from prism.agent import init
from prism.agent.protocol import framed, framed_for_init
from prism.agent.sandbox.seccomp import filter_for
from tests.attacks.ordinary import as_ordinary, can_be_ordinary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it asks Linux's kernel")
ENVIRONMENT = {"PATH": os.defpath}
PATIENCE = 20
FIRST_ALONE = 4  # descriptors: three that every program has, and none for a terminal


class FirstProgram:
    """The first program, and its supervisor's end of the socket between them."""

    def __init__(self, process, supervisor, framed=framed_for_init):
        self.process, self._supervisor, self._framed = process, supervisor, framed
        self._received = b""

    def ask(self, request, descriptors=()):
        socket.send_fds(self._supervisor, [self._framed(request)], descriptors)

    def answer(self):
        while b"\n" not in self._received:
            more = self._supervisor.recv(4096)
            assert more, "it has ended"
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        return json.loads(line)


@contextlib.contextmanager
def first(filter=b"", command=list, framed=framed_for_init):
    """Runs the first program outside of a sandbox, until the block ends."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    argv = [sys.executable, "-I", "-S", init.__file__, str(theirs.fileno())]
    with ours, subprocess.Popen(command(argv), pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        try:
            first = FirstProgram(process, ours, framed)
            first.ask({"filter": filter.hex()})
            assert "ready" in first.answer()
            yield first
        finally:
            ours.shutdown(socket.SHUT_RDWR)


def test_first_program_understands_a_supervisor_that_was_started_before_an_upgrade():
    request = {"environment": ENVIRONMENT, "folder": "/", "argv": ["/bin/true"]}
    with first(framed=framed) as program, open(os.devnull, "r+b") as nothing:
        program.ask({"id": 1, **request}, [nothing.fileno()] * 3)
        assert program.answer().keys() == {"id", "pid"}
        assert program.answer() == {"id": 1, "exit": 0}


def test_first_program_survives_when_no_terminal_is_left():
    """All workspaces of a computer share its terminals; one workspace could use them all."""
    request = {"environment": ENVIRONMENT, "folder": "/", "tty": [80, 24]}
    with first() as program:
        pid, number = program.process.pid, resource.RLIMIT_NOFILE
        before = resource.prlimit(pid, number)
        resource.prlimit(pid, number, (FIRST_ALONE, before[1]))
        program.ask({"id": 1, "argv": ["/bin/true"], **request})
        assert program.answer() == {"id": 1, "exit": init.CANNOT_START}
        resource.prlimit(pid, number, before)
        program.ask({"id": 2, "argv": ["/bin/true"], **request})
        assert program.answer().keys() == {"id", "pid"}


@pytest.mark.skipif(
    not can_be_ordinary(), reason="needs bubblewrap, and a Python that an ordinary user may run"
)
@pytest.mark.skipif(
    sys.platform != "linux" or filter_for(os.uname().machine) is None, reason="no sandbox here"
)
def test_first_program_memory_is_closed_to_programs_of_the_same_user():
    looks = "import os; open(f'/proc/{os.getppid()}/mem', 'r+b')"
    words, output = os.pipe()
    request = {"environment": ENVIRONMENT, "folder": "/", "argv": [sys.executable, "-c", looks]}
    with (
        first(filter_for(os.uname().machine), as_ordinary) as program,
        open(os.devnull) as nothing,
    ):
        program.ask({"id": 1, **request}, [nothing.fileno(), output, output])
        os.close(output)
        with open(words) as text:
            assert "PermissionError" in text.read()
        program.answer()
        assert program.answer() == {"id": 1, "exit": 1}
