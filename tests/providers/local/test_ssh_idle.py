"""Idleness and SSH without a terminal: a real daemon, a real machine, OpenSSH's own clients.

The rule is written into the machine's folder, as the daemon does it, with seconds for minutes.
"""

import contextlib
import json
import subprocess
import time

import pytest

from prism.errors import Problem
from tests.project.home import Home
from tests.providers.local.test_ssh import TEMPLATE, SshDaemon
from tests.waiting import eventually

pytestmark = pytest.mark.needs("ssh")

IDLE = 4.0  # seconds after which an idle machine hibernates
# What VS Code leaves when a window is open: its server in the background, and a loop or a
# shell that waits for more on the open connection.
SERVER = "(exec -a server sleep 1000) >/dev/null 2>&1 & echo begun\n"
LOOP = "while true; do sleep 180; done\n"


class Watched(SshDaemon):
    """A daemon with one machine, whose idle rule the test writes itself."""

    @property
    def folder(self):
        """The machine's folder."""
        [order] = self.home.folder.glob("workspaces/*/order.json")
        return order.parent

    def watch(self, on=True):
        """Write a rule that only considers kernels, terminals and SSH sessions."""
        rule = {"profile": "t", "seconds": IDLE, "action": "hibernate", "limits": {}}
        draft = self.folder / "idle.new"
        draft.write_text(json.dumps(rule if on else {}))
        draft.replace(self.folder / "idle.json")

    def seen(self):
        """The report of the machine's supervisor."""
        return json.loads((self.folder / "seen.json").read_text())

    def wait_while_on(self, doing=lambda: None, times=2.0):
        """Wait for longer than an idle machine would stay on; return the last verdict."""
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

    def wait_until_asleep(self):
        """Wait until the machine hibernates by itself."""
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


def send(client, text):
    """Write into the input of a client."""
    client.stdin.write(text.encode())
    client.stdin.flush()


def test_silent_ssh_command_keeps_the_machine_active_while_it_runs(running_daemon, begin_client):
    client = begin_client(running_daemon.argv("sh -c 'echo begun; sleep 600; true'"))
    assert client.stdout.readline() == b"begun\n"
    running_daemon.watch()
    verdict = running_daemon.wait_while_on()
    assert (verdict["state"], verdict["because"]) == ("active", ["`sleep` runs over SSH"])
    client.kill()
    running_daemon.wait_until_asleep()


@pytest.mark.parametrize("more", [pytest.param("", marks=pytest.mark.slow), LOOP])
def test_background_server_of_vs_code_does_not_keep_the_machine_on(
    running_daemon, begin_client, more
):
    client = begin_client(running_daemon.argv("bash", more=["-T"]))
    send(client, SERVER + more)
    assert client.stdout.readline() == b"begun\n"
    running_daemon.watch()
    running_daemon.wait_until_asleep()


@pytest.mark.slow
def test_job_sent_to_an_ssh_shell_keeps_the_machine_active(running_daemon, begin_client):
    client = begin_client(running_daemon.argv("bash -s", more=["-T"]))
    send(client, "echo begun\ntimeout --foreground 600 sleep 600\n")
    client.stdin.close()
    assert client.stdout.readline() == b"begun\n"
    running_daemon.watch()
    assert running_daemon.wait_while_on()["because"] == ["`timeout` runs over SSH"]
    client.kill()
    running_daemon.wait_until_asleep()


@pytest.mark.slow
def test_input_to_an_ssh_shell_delays_hibernation(running_daemon, begin_client):
    client = begin_client(running_daemon.argv(more=["-T"]))
    running_daemon.watch()
    verdict = running_daemon.wait_while_on(lambda: send(client, ":\n"))
    assert (verdict["state"], verdict["because"]) == ("idle", ["bytes came over SSH"])
    running_daemon.wait_until_asleep()


@pytest.mark.slow
def test_sftp_session_delays_hibernation_only_while_it_transfers(running_daemon, begin_client):
    client = begin_client(
        ["sftp", *running_daemon.options(running_daemon.port()), "-b", "-", "mine@127.0.0.1"]
    )
    send(client, "pwd\n")
    assert client.stdout.readline() == b"sftp> pwd\n"
    assert client.stdout.readline()  # it is connected, however long that took
    running_daemon.watch()
    assert running_daemon.wait_while_on(lambda: send(client, "ls\n"))["because"] == [
        "bytes came over SSH"
    ]
    running_daemon.wait_until_asleep()


@pytest.mark.slow
def test_short_ssh_sessions_delay_hibernation(running_daemon):
    running_daemon.watch()
    running_daemon.wait_while_on(lambda: running_daemon.ssh("true"))
    running_daemon.wait_until_asleep()
