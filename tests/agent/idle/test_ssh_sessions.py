"""Which process counts as work of an SSH session without a terminal, with real programs."""

import os
import shlex
import subprocess

import pytest

from prism.agent.idle.samples import ProcessSample, look
from prism.agent.idle.ssh_sessions import SshSession, SshSessions, at_work, takes_commands
from tests.optional import not_none
from tests.waiting import eventually

SLEEPS = "`sleep` runs over SSH"


@pytest.fixture
def begin_session():
    """Starts a program as the exec socket does: in its own session, with a pipe as input."""
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
        for live in [live for live in current_processes() if live.session == process.pid]:
            os.kill(live.pid, 9)
        process.wait()
        not_none(process.stdin).close()
        not_none(process.stdout).close()


def current_processes():
    return look(os.getpid(), ()).processes.values()


def working_name(shell):
    """The name of the process that works for a session."""
    processes = current_processes()
    return at_work(next(process for process in processes if process.pid == shell.pid), processes)


def wait_for_process(process, name):
    """Wait until the session has a process of that name."""
    eventually(
        lambda: [
            live
            for live in current_processes()
            if (live.session, live.name) == (process.pid, name)
        ]
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
def test_ssh_command_counts_as_work_unless_it_only_follows_a_file(begin_session, line, name):
    session = begin_session(*shlex.split(line))
    eventually(lambda: working_name(session) == name)


@pytest.mark.parametrize("shell", ["bash", "sh", "bash -s", "bash -l"])
def test_shell_that_waits_for_input_is_not_work(begin_session, shell):
    session = begin_session(*shlex.split(shell), typed="echo here\n")
    assert session.stdout.readline() == b"here\n"
    eventually(lambda: working_name(session) == "")


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_foreground_command_of_a_shell_is_work(begin_session, shell):
    session = begin_session(shell, typed="timeout --foreground 600 sleep 600\n")
    eventually(lambda: working_name(session) == "timeout")
    wait_for_process(session, "sleep")  # so that it is ended too


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_background_server_and_waiting_loop_of_a_shell_are_not_work(begin_session, shell):
    """VS Code's remote editing leaves such a shell, with and without a loop around `sleep`."""
    session = begin_session(shell, typed="sh -c 'timeout --foreground 600 sleep 600 | cat' &\n")
    for name in ("timeout", "sleep", "cat"):
        wait_for_process(session, name)
    eventually(lambda: working_name(session) == "")
    session.stdin.write(b"while true; do sleep 180; done\n")
    session.stdin.close()
    eventually(
        lambda: [
            live
            for live in current_processes()
            if live.parent == session.pid and live.name == "sleep"
        ]
    )
    assert working_name(session) == ""


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
def test_shell_takes_commands_from_its_input_without_a_script_or_c_option(line, takes):
    assert takes_commands(shlex.split(line)) == takes


def test_ssh_session_is_matched_by_its_pid_in_the_sandbox(begin_session):
    process, sessions = begin_session("sleep", "600"), SshSessions()
    wait_for_process(process, "sleep")
    session = SshSession(is_command=True)
    sessions.begin(session)
    assert sessions.observed(current_processes())[0] == ("a command runs over SSH",), (
        "an unknown pid is work"
    )
    session.pid = process.pid
    assert sessions.observed(current_processes())[0] == (SLEEPS,)
    sessions.end(session)
    assert sessions.observed(current_processes())[0] == ()


def test_ssh_session_ignores_a_process_of_a_deeper_pid_namespace(begin_session, monkeypatch):
    numbers = {10: [10, 7], 11: [11, 4, 7]}
    monkeypatch.setattr("prism.agent.idle.ssh_sessions._pids_inside", numbers.get)
    process, sessions = SshSession(is_command=True), SshSessions()
    process.pid = 7
    sessions.begin(process)
    ours = process_sample(10, "ours")
    for order in ([ours, process_sample(11, "theirs")], [process_sample(11, "theirs"), ours]):
        assert sessions.observed(order)[0] == ("`ours` runs over SSH",)


def process_sample(pid, name):
    return ProcessSample(pid, name, "", pid, pid, 0, 0, 0.0, 0.0, 0)


def test_ssh_session_without_a_command_is_no_work_but_its_traffic_is_input():
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
