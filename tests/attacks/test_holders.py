"""Whether a local connection comes from a workspace, if workspaces have their own networks."""

import array
import os
import shutil
import socket
import sys

import pytest

from prism.kit.network import workspace_peers
from prism.kit.network.workspace_peers import WorkspacePeers
from tests.attacks.holding import socket_holder

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("setsid"), reason="it takes Linux and setsid"
)
# A supervisor whose child holds the socket and is named like the packet forwarder pasta.
HOLD_AS_PASTA = """
import os, signal, socket, sys
supervisor = os.getpid()
if os.fork():
    signal.pause()
open("/proc/self/comm", "w").write("pasta.avx2")
to = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(supervisor, os.fstat(to.fileno()).st_ino, flush=True)
signal.pause()
"""
# Hides its socket in a message, then prints its pid.
HIDE = """
import os, signal, socket, sys
to = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
inode = os.fstat(to.fileno()).st_ino
one, two = socket.socketpair()
socket.send_fds(one, [b"x"], [to.fileno()])
to.close()
print(os.getpid(), inode, flush=True)
signal.pause()
"""


def peers(*supervisors, own_network=True):
    return WorkspacePeers(lambda: True, lambda: {*supervisors}, lambda: own_network)


@pytest.fixture
def table_reads(monkeypatch):
    """One entry for each time that the table of all processes was read."""
    times = array.array("i")
    whole = workspace_peers.descendants

    def counted(of):
        times.append(1)
        return whole(of)

    monkeypatch.setattr(workspace_peers, "descendants", counted)
    return times


def test_outside_program_is_recognized_without_reading_the_process_table(table_reads):
    with socket_holder() as (_, inode):
        assert not peers(1 << 22).of_a_workspace(inode)
    assert not table_reads


def test_process_table_is_read_when_a_workspace_may_share_the_network(table_reads):
    with socket_holder() as (_, inode):
        assert not peers(1 << 22, own_network=False).of_a_workspace(inode)
    assert table_reads


def test_packet_forwarder_of_a_workspace_counts_as_the_workspace(table_reads):
    with socket_holder(HOLD_AS_PASTA) as (supervisor, inode):
        assert peers(supervisor).of_a_workspace(inode)
    assert table_reads


def test_supervisor_counts_as_the_workspace(table_reads):
    with socket_holder() as (pid, inode):
        assert peers(pid).of_a_workspace(inode)
    assert table_reads


def test_hidden_socket_counts_as_a_workspace(table_reads):
    with socket_holder(HIDE) as (_, inode):
        assert peers(1 << 22).of_a_workspace(inode)
    assert table_reads


def test_socket_handed_to_another_process_during_the_search_is_found(monkeypatch):
    holds, pids = workspace_peers._holds, array.array("i")

    with socket_holder() as (holder, inode):

        def holds_at_the_second_look(pid, link):
            pids.append(pid)
            return holds(pid, link) and pids.count(holder) > 1

        monkeypatch.setattr(workspace_peers, "_holds", holds_at_the_second_look)
        assert not peers(1 << 22, own_network=False).of_a_workspace(inode)


def test_socket_of_the_daemon_counts_as_a_workspace_unless_it_dials_itself(table_reads):
    with socket.socket() as own:
        inode = os.fstat(own.fileno()).st_ino
        assert peers(1 << 22).of_a_workspace(inode)
        assert table_reads.pop()
        assert not peers(1 << 22).of_a_workspace(inode, daemon_dials=True)
    assert not table_reads


def test_known_holder_is_checked_first(table_reads, monkeypatch):
    known = peers(1 << 22)
    with socket_holder() as (pid, inode):
        assert not known.of_a_workspace(inode)
        monkeypatch.setattr(os, "listdir", lambda path: pytest.fail(f"{path} was listed"))
        monkeypatch.setattr(workspace_peers, "_holds", lambda candidate, link: candidate == pid)
        assert not known.of_a_workspace(inode)
