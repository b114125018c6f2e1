"""Idleness and SSH without a terminal: a real daemon, a real machine, OpenSSH's own clients.

The rule is written into the machine's folder, as the daemon does it, with seconds for minutes.
"""

import contextlib
import json
import subprocess
import time

import pytest

from prism.errors import Problem
from tests.project.living import Home
from tests.providers.local.test_ssh import TEMPLATE, SshDaemon
from tests.waiting import eventually

IDLE = 4.0  # seconds after which it goes to sleep
# What VS Code leaves when a window is open: its server in the background, and a loop or a
# shell that waits for more on the open connection.
SERVER = "(exec -a server sleep 1000) >/dev/null 2>&1 & echo begun\n"
LOOP = "while true; do sleep 180; done\n"


class Watched(SshDaemon):
    """A site whose one machine is watched, and told so without a daemon."""

    @property
    def folder(self):
        """The machine's."""
        [order] = self.home.folder.glob("workspaces/*/order.json")
        return order.parent

    def watch(self, on=True):
        """By a rule that judges kernels, terminals and visits alone."""
        rule = {"profile": "t", "seconds": IDLE, "action": "hibernate", "limits": {}}
        draft = self.folder / "idle.new"
        draft.write_text(json.dumps(rule if on else {}))
        draft.replace(self.folder / "idle.json")

    def seen(self):
        """What the machine's supervisor says."""
        return json.loads((self.folder / "seen.json").read_text())

    def stays_up(self, doing=lambda: None, times=2.0):
        """It does so for longer than it would take to go down; the last verdict."""
        until, next_ = time.monotonic() + times * IDLE, 0.0

        def over():
            nonlocal next_
            assert self.seen()["phase"] == "on", self.seen()["idle"]
            if time.monotonic() >= next_:
                doing()
                next_ = time.monotonic() + IDLE / 8
            return time.monotonic() > until

        eventually(over, times * IDLE + 5)
        return self.seen()["idle"]

    def goes_to_sleep(self):
        """By itself."""
        eventually(lambda: self.seen()["phase"] == "asleep", 4 * IDLE)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("ssh") / "home")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "page.yml").write_text(TEMPLATE)
    site = Watched(home)
    try:
        site.start()
        home.client.workspaces.launch("Page", "mine")
        yield site
    finally:
        site.daemon.close()
        home.clear()


@pytest.fixture
def running_daemon(daemon):
    def awake():
        if daemon.home.states() == ["hibernated"]:
            daemon.home.client.workspaces.resume("mine")
        return daemon.home.states() == ["running"] and daemon.seen()["phase"] == "on"

    eventually(lambda: awake() and daemon.port(), 60, passing=(Problem,))
    yield daemon
    daemon.watch(on=False)


@pytest.fixture
def begin_client(running_daemon):
    """Begin a client that does not end by itself."""
    with contextlib.ExitStack() as all_:

        def begin(argv):
            pipe = subprocess.PIPE
            client = all_.enter_context(subprocess.Popen(argv, stdin=pipe, stdout=pipe))
            all_.callback(client.kill)
            return client

        yield begin


def said(client, text):
    """What is written into a client's input."""
    client.stdin.write(text.encode())
    client.stdin.flush()


def test_a_silent_command_is_work_while_it_runs(running_daemon, begin_client):
    client = begin_client(running_daemon.argv("sh -c 'echo begun; sleep 600; true'"))
    assert client.stdout.readline() == b"begun\n"
    running_daemon.watch()
    verdict = running_daemon.stays_up()
    assert (verdict["state"], verdict["because"]) == ("active", ["`sleep` runs over SSH"])
    client.kill()
    running_daemon.goes_to_sleep()


@pytest.mark.parametrize("more", [pytest.param("", marks=pytest.mark.slow), LOOP])
def test_a_forgotten_window_of_vs_code_does_not_keep_it_up(running_daemon, begin_client, more):
    client = begin_client(running_daemon.argv("bash", more=["-T"]))
    said(client, SERVER + more)
    assert client.stdout.readline() == b"begun\n"
    running_daemon.watch()
    running_daemon.goes_to_sleep()


@pytest.mark.slow
def test_a_job_that_a_shell_was_sent_is_work(running_daemon, begin_client):
    client = begin_client(running_daemon.argv("bash -s", more=["-T"]))
    said(client, "echo begun\ntimeout --foreground 600 sleep 600\n")
    client.stdin.close()
    assert client.stdout.readline() == b"begun\n"
    running_daemon.watch()
    assert running_daemon.stays_up()["because"] == ["`timeout` runs over SSH"]
    client.kill()
    running_daemon.goes_to_sleep()


@pytest.mark.slow
def test_what_is_sent_to_a_shell_is_a_touch(running_daemon, begin_client):
    client = begin_client(running_daemon.argv(more=["-T"]))
    running_daemon.watch()
    verdict = running_daemon.stays_up(lambda: said(client, ":\n"))
    assert (verdict["state"], verdict["because"]) == ("idle", ["bytes came over SSH"])
    running_daemon.goes_to_sleep()


@pytest.mark.slow
def test_a_copy_keeps_it_up_while_it_moves_and_not_a_moment_longer(running_daemon, begin_client):
    client = begin_client(
        ["sftp", *running_daemon.options(running_daemon.port()), "-b", "-", "mine@127.0.0.1"]
    )
    said(client, "pwd\n")
    assert client.stdout.readline() == b"sftp> pwd\n"
    assert client.stdout.readline()  # it is connected, however long that took
    running_daemon.watch()
    assert running_daemon.stays_up(lambda: said(client, "ls\n"))["because"] == [
        "bytes came over SSH"
    ]
    running_daemon.goes_to_sleep()


@pytest.mark.slow
def test_a_visit_is_a_touch_however_short(running_daemon):
    running_daemon.watch()
    running_daemon.stays_up(lambda: running_daemon.ssh("true"))
    running_daemon.goes_to_sleep()
