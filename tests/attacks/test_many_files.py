"""A workspace that opens very many files does not slow down the search for a socket's owner."""

import os
import shutil
import subprocess
import sys

import psutil
import pytest

from prism.kit.network import workspace_peers
from tests.waiting import eventually

APART = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
OWN_NETWORK = (*APART, "--net")


def can_be_apart():
    """Whether namespaces can be made here."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    return subprocess.run([*OWN_NETWORK, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_be_apart(), reason="needs namespaces")


@pytest.fixture(params=[(OWN_NETWORK, False), (APART, True)], ids=["own network", "shared"])
def supervisor_process(request):
    """A supervisor, the first process of its workspace, and whether it shares our network."""
    command, is_ours = request.param
    with subprocess.Popen([*command, "sleep", "infinity"]) as supervisor:
        try:
            yield supervisor.pid, _first_process(supervisor.pid), is_ours
        finally:
            supervisor.kill()


def test_search_that_takes_too_long_refuses_the_socket(supervisor_process, monkeypatch):
    supervisor, _, _ = supervisor_process
    monkeypatch.setattr(workspace_peers, "SEARCH_SECONDS", -1)
    monkeypatch.setattr(workspace_peers, "_holds", lambda pid, link: pytest.fail("it searches"))
    peers = workspace_peers.WorkspacePeers(lambda: True, lambda: {supervisor}, lambda: True)
    assert peers.of_a_workspace(1)


def _first_process(supervisor):
    def found():
        below = psutil.Process(supervisor).children()
        return [process.pid for process in below if process.name() == "sleep"]

    return eventually(found)[0]


def test_socket_is_searched_only_in_processes_that_share_the_network(
    supervisor_process, monkeypatch
):
    supervisor, inside, is_ours = supervisor_process
    searched = set()
    monkeypatch.setattr(workspace_peers, "_holds", lambda pid, link: searched.add(pid))
    peers = workspace_peers.WorkspacePeers(
        lambda: True, lambda: {supervisor}, lambda: False
    ).of_a_workspace(1)
    assert peers, "no process holds the socket"
    assert (inside in searched) == is_ours
    assert os.getpid() in searched
