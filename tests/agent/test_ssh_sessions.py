"""Who is at work for a visit without a terminal: on real programs."""

import os
import shlex
import subprocess

import pytest

from prism.agent.samples import ProcessSample, look
from prism.agent.ssh_sessions import SshSession, SshSessions, at_work, takes_commands
from tests.optional import not_none
from tests.waiting import eventually

SLEEPS = "`sleep` runs over SSH"


@pytest.fixture
def begin_session():
    """Begins a program as a door does: in a session of its own, its input a pipe."""
    begun = []

    def begin(*argv, typed=""):
        pipe = subprocess.PIPE
        child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, start_new_session=True)
        begun.append(child)
        not_none(child.stdin).write(typed.encode())
        not_none(child.stdin).flush()
        return child

    yield begin
    for process in begun:
        for live in [live for live in lives() if live.session == process.pid]:
            os.kill(live.pid, 9)
        process.wait()
        not_none(process.stdin).close()
        not_none(process.stdout).close()


def lives():
    return look(os.getpid(), ()).processes.values()


def works(shell):
    """Who is at work for a visit."""
    processes = lives()
    return at_work(next(process for process in processes if process.pid == shell.pid), processes)


def called(process, name):
    """It has come so far that somebody of that name is below it."""
    eventually(
        lambda: [live for live in lives() if (live.session, live.name) == (process.pid, name)]
    )


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("sleep 600", "sleep"),
        ("sh -c 'sleep 600; true'", "sleep"),
        ("bash -c 'while read x; do :; done'", "bash"),
        ("cat", "cat"),
        ("tail -f /dev/null", ""),
        ("sh -c 'tail -f /dev/null; true'", ""),
        ("sh -c 'tail -f /dev/null | cat'", "cat"),
    ],
)
def test_a_command_is_work_unless_it_only_looks_on(begin_session, line, name):
    session = begin_session(*shlex.split(line))
    eventually(lambda: works(session) == name)


@pytest.mark.parametrize("shell", ["bash", "sh", "bash -s", "bash -l"])
def test_a_shell_that_waits_for_commands_is_at_its_prompt(begin_session, shell):
    session = begin_session(*shlex.split(shell), typed="echo here\n")
    assert session.stdout.readline() == b"here\n"
    eventually(lambda: works(session) == "")


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_what_such_a_shell_runs_in_the_foreground_is_work(begin_session, shell):
    session = begin_session(shell, typed="timeout --foreground 600 sleep 600\n")
    eventually(lambda: works(session) == "timeout")
    called(session, "sleep")  # so that it is ended too


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_its_server_in_the_background_and_its_waiting_are_not(begin_session, shell):
    """As VS Code's remote editing leaves it, with and without a loop around a `sleep`."""
    session = begin_session(shell, typed="sh -c 'timeout --foreground 600 sleep 600 | cat' &\n")
    for name in ("timeout", "sleep", "cat"):
        called(session, name)
    eventually(lambda: works(session) == "")
    session.stdin.write(b"while true; do sleep 180; done\n")
    session.stdin.close()
    eventually(
        lambda: [live for live in lives() if live.parent == session.pid and live.name == "sleep"]
    )
    assert works(session) == ""


@pytest.mark.parametrize(
    ("line", "takes"),
    [
        ("bash", True),
        ("-bash", True),
        ("bash -l", True),
        ("bash --login --norc", True),
        ("bash --rcfile mine", True),
        ("bash -o errexit", True),
        ("bash -eo pipefail", True),
        ("bash -s one two", True),
        ("bash --rcfile mine job.sh", False),
        ("bash -o errexit job.sh", False),
        ("bash job.sh", False),
        ("bash -c 'sleep 1'", False),
        ("bash -lic 'sleep 1'", False),
        ("fish --command=x", False),
        ("bash -", True),
        ("", False),
    ],
)
def test_which_shells_take_commands_from_their_input(line, takes):
    assert takes_commands(shlex.split(line)) == takes


def test_a_session_is_found_by_its_pid_inside(begin_session):
    process, sessions = begin_session("sleep", "600"), SshSessions()
    called(process, "sleep")
    session = SshSession(is_command=True)
    sessions.begin(session)
    assert sessions.observed(lives())[0] == ("a command runs over SSH",), "not known is not idle"
    session.pid = process.pid
    assert sessions.observed(lives())[0] == (SLEEPS,)
    sessions.end(session)
    assert sessions.observed(lives())[0] == ()


def test_the_deeper_of_two_with_one_number_is_somebody_elses(begin_session, monkeypatch):
    numbers = {10: [10, 7], 11: [11, 4, 7]}
    monkeypatch.setattr("prism.agent.ssh_sessions._pids_inside", numbers.get)
    process, sessions = SshSession(is_command=True), SshSessions()
    process.pid = 7
    sessions.begin(process)
    ours = life(10, "ours")
    for order in ([ours, life(11, "theirs")], [life(11, "theirs"), ours]):
        assert sessions.observed(order)[0] == ("`ours` runs over SSH",)


def life(pid, name):
    return ProcessSample(pid, name, "", pid, pid, 0, 0, 0.0, 0.0, 0)


def test_terminals_and_copies_are_no_work_and_login_bytes_and_logout_are_a_touch():
    sessions, copies = SshSessions(), SshSession(is_command=False)
    assert sessions.observed(()) == ((), ())
    for does, word in (
        (lambda: sessions.begin(copies), "logged in"),
        (sessions.touch, "bytes"),
        (lambda: sessions.end(copies), "logged out"),
    ):
        before = sessions.last
        does()
        work, [(at, touch)] = sessions.observed(())
        assert work == ()
        assert word in touch
        assert at == sessions.last > before
    before = sessions.last
    sessions.end(copies)
    assert sessions.last == before, "once"
