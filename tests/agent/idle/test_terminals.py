"""Which programs of a terminal count as work, with real terminals."""

import contextlib
import os
import pty
import time

import psutil
import pytest

from prism.agent.idle.samples import look
from prism.agent.idle.terminals import observed
from tests.waiting import eventually


class TerminalOfProgram:
    """A terminal with a program in it, and its keyboard."""

    def __init__(self, *argv):
        self.pid, self.keys = pty.fork()
        if not self.pid:
            os.environ.update(PS1="$ ", TERM="xterm", HISTFILE="/dev/null")
            os.execvp(argv[0], argv)
        os.set_blocking(self.keys, False)
        self.shown = b""

    def type(self, text):
        os.write(self.keys, text.encode())

    def wait_for_text(self, word):
        def shown():
            with contextlib.suppress(BlockingIOError):
                self.shown += os.read(self.keys, 65536)
            return word.encode() in self.shown

        return eventually(shown)

    def close(self):
        for below in psutil.Process(self.pid).children(recursive=True):  # such as jobs
            with contextlib.suppress(psutil.NoSuchProcess):
                below.kill()
        os.kill(self.pid, 9)
        os.close(self.keys)
        os.waitpid(self.pid, 0)


@pytest.fixture
def open_terminal():
    screens = []

    def opened(*argv):
        screens.append(TerminalOfProgram(*argv))
        return screens[-1]

    yield opened
    for screen in screens:
        screen.close()


def work():
    """The work in all terminals of descendants of this process."""
    return observed(look(os.getpid(), ()).processes.values())[0]


def test_shell_at_its_prompt_is_not_work(open_terminal):
    shell = open_terminal("bash", "--norc", "--noprofile")
    assert shell.wait_for_text("$ ")
    assert work() == ()


def test_silent_foreground_command_is_work(open_terminal):
    shell = open_terminal("bash", "--norc", "--noprofile")
    assert shell.wait_for_text("$ ")
    shell.type("sleep 600\n")
    eventually(lambda: work() == ("`sleep` runs in the foreground of a terminal",))
    shell.type("\x03")
    eventually(lambda: work() == ())


def test_background_command_of_a_terminal_is_not_work(open_terminal):
    shell = open_terminal("bash", "--norc", "--noprofile")
    assert shell.wait_for_text("$ ")
    shell.type("sleep 600 & echo $((40 + 2))\n")
    assert shell.wait_for_text("42")
    eventually(lambda: work() == ())


def test_only_program_of_a_terminal_is_work(open_terminal):
    open_terminal("sleep", "600")
    eventually(lambda: work() == ("`sleep` runs in the foreground of a terminal",))


def test_program_that_waits_for_keys_is_not_work(open_terminal):
    """Editors, pagers, `top` and `ssh` set the terminal to raw mode."""
    editor = open_terminal("bash", "-c", "stty -icanon -echo; echo ready; sleep 600")
    assert editor.wait_for_text("ready")
    eventually(lambda: work() == ())


def test_program_that_follows_a_file_is_not_work(open_terminal):
    shell = open_terminal("bash", "--norc", "--noprofile")
    assert shell.wait_for_text("$ ")
    shell.type("tail -f /dev/null; true\n")
    passed = time.monotonic() + 0.3
    eventually(lambda: time.monotonic() > passed)
    assert work() == ()


def test_time_of_the_last_terminal_input_is_reported(open_terminal):
    shell = open_terminal("bash", "--norc", "--noprofile")
    assert shell.wait_for_text("$ ")
    shell.type("echo $((40 + 2))\n")
    assert shell.wait_for_text("42")
    [(at, touch)] = observed(look(os.getpid(), ()).processes.values())[1]
    assert touch == "somebody typed into a terminal"
    assert abs(time.time() - at) < 10, "the kernel rounds it to eight seconds"
