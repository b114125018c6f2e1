"""Who is let in beside workspaces that all have networks of their own, and who is not."""

import array
import os
import shutil
import socket
import sys

import pytest

from prism.providers.local import workspace_peers
from prism.providers.local.workspace_peers import WorkspacePeers
from tests.attacks.holding import held

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("setsid"), reason="it takes Linux and setsid"
)
# A supervisor, whose child holds the socket under the name of what passes on packets.
PASSES_ON = """
import os, signal, socket, sys
supervisor = os.getpid()
if os.fork():
    signal.pause()
open("/proc/self/comm", "w").write("pasta.avx2")
to = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(supervisor, os.fstat(to.fileno()).st_ino, flush=True)
signal.pause()
"""
# It says so only when it has hidden it.
HIDES = """
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
    """How often the table of all processes was read."""
    times = array.array("i")
    whole = workspace_peers.descendants

    def counted(of):
        times.append(1)
        return whole(of)

    monkeypatch.setattr(workspace_peers, "descendants", counted)
    return times


def test_a_program_outside_is_let_in_without_a_look_at_everybody(table_reads):
    with held() as (_, inode):
        assert not peers(1 << 22).of_a_workspace(inode)
    assert not table_reads


def test_everybody_is_looked_at_where_a_workspace_may_be_in_our_network(table_reads):
    with held() as (_, inode):
        assert not peers(1 << 22, own_network=False).of_a_workspace(inode)
    assert table_reads


def test_what_passes_on_packets_of_a_workspace_is_not_let_in(table_reads):
    with held(PASSES_ON) as (supervisor, inode):
        assert peers(supervisor).of_a_workspace(inode)
    assert table_reads


def test_nor_a_supervisor(table_reads):
    with held() as (pid, inode):
        assert peers(pid).of_a_workspace(inode)
    assert table_reads


def test_nor_a_socket_that_nobody_is_seen_to_hold(table_reads):
    with held(HIDES) as (_, inode):
        assert peers(1 << 22).of_a_workspace(inode)
    assert table_reads


def test_one_that_is_handed_on_while_we_look_is_let_in(monkeypatch):
    holds, pids = workspace_peers._holds, array.array("i")

    with held() as (holder, inode):

        def handed_on(pid, link):
            pids.append(pid)
            return holds(pid, link) and pids.count(holder) > 1

        monkeypatch.setattr(workspace_peers, "_holds", handed_on)
        assert not peers(1 << 22, own_network=False).of_a_workspace(inode)


def test_nor_the_daemon_but_where_it_dials_itself(table_reads):
    with socket.socket() as own:
        inode = os.fstat(own.fileno()).st_ino
        assert peers(1 << 22).of_a_workspace(inode)
        assert table_reads.pop()
        assert not peers(1 << 22).of_a_workspace(inode, daemon_dials=True)
    assert not table_reads


def test_who_was_let_in_is_asked_first_the_next_time(table_reads, monkeypatch):
    known = peers(1 << 22)
    with held() as (pid, inode):
        assert not known.of_a_workspace(inode)
        monkeypatch.setattr(os, "listdir", lambda path: pytest.fail(f"{path} was listed"))
        monkeypatch.setattr(workspace_peers, "_holds", lambda candidate, link: candidate == pid)
        assert not known.of_a_workspace(inode)
