"""Connections that flood the SSH gate without a login do not lock out the owner."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

import asyncssh
import pytest

from prism.providers.local.ssh import gate as gates
from prism.providers.local.ssh import serving
from prism.providers.local.ssh.gate import (
    MOST_KNOCKING,
    MOST_OF_ONE_PEER,
    SshGate,
    SshSource,
)
from prism.providers.local.ssh.session import Session
from tests.optional import not_none
from tests.waiting import eventually

ID = "local-" + "0" * 17
# Each user opens the maximum of connections, and another when one is closed, but sends nothing.
FLOOD = """
import os, selectors, socket, sys
port, most, users = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
socket.getaddrinfo("localhost", port)  # it imports a module, which other users may not read
for user in users:
    if not os.fork():
        if int(user):
            os.setresuid(int(user), int(user), int(user))
        held = selectors.DefaultSelector()
        opened = 0
        def another():
            global opened
            connection = socket.create_connection(("127.0.0.1", port), timeout=120)
            held.register(connection, selectors.EVENT_READ)
            opened += 1
        while True:
            while len(held.get_map()) < most:
                another()
                if opened == 3 * most:
                    print("flooded\\n", end="", flush=True)  # in a single write
            for key, _ in held.select(0.05):
                said = b""
                try:
                    said = key.fileobj.recv(4096)
                except OSError:
                    pass
                if not said:
                    held.unregister(key.fileobj)
                    key.fileobj.close()
sys.stdin.read()
"""


@contextlib.asynccontextmanager
async def open_gate(home):
    """The SSH gate of a machine that is on, and its port."""
    (home / "workspaces" / ID).mkdir(parents=True)
    source = SshSource(
        running=lambda: {ID: "mine"},
        may_reach=lambda *_: None,
        folder=home / "workspaces",
        session=lambda id: Session(home / "workspaces" / id),
    )
    gate = SshGate(home, source)
    async with gate.open():
        await asyncio.to_thread(eventually, lambda: gate.port_of(ID))
        yield gate, gate.port_of(ID)


@contextlib.asynccontextmanager
async def flooded(port, *users, most=2 * MOST_KNOCKING):
    """Flood the port as these users until the block ends."""
    words = [sys.executable, "-c", FLOOD, str(port), str(most), *map(str, users)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    flood = await asyncio.create_subprocess_exec(*words, start_new_session=True, **pipes)
    try:
        async with asyncio.timeout(120):  # the others would keep the pipe open if one ended
            for _ in users:
                assert await not_none(flood.stdout).readline() == b"flooded\n"
        yield
    finally:
        os.killpg(flood.pid, signal.SIGKILL)
        await flood.wait()


async def login_name(gate, port):
    """The user name of a login with the owner's key."""
    keys = gate.keys
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username="mine",
        client_keys=[str(keys.client)],
        known_hosts=str(keys.known_hosts),
        config=None,
        login_timeout=60,
    ) as owner:
        return owner.get_extra_info("username")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: only root can be several users")
def test_ssh_gate_accepts_the_owner_while_another_user_floods_it(tmp_path):
    async def attack():
        async with open_gate(tmp_path) as (gate, port), flooded(port, 65533):
            assert await login_name(gate, port) == "mine"
            assert waiting(gate).count("uid 65533") <= MOST_OF_ONE_PEER

    asyncio.run(attack())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: only root can be several users")
def test_ssh_gate_accepts_the_owner_while_many_users_flood_it(tmp_path):
    async def attack():
        many = range(65500, 65500 + MOST_KNOCKING // MOST_OF_ONE_PEER + 2)
        async with open_gate(tmp_path) as (gate, port), flooded(port, *many, most=20):
            assert await login_name(gate, port) == "mine"
            assert MOST_OF_ONE_PEER < len(waiting(gate)) <= MOST_KNOCKING

    asyncio.run(attack())


def test_silent_ssh_connection_is_closed_after_the_login_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "LOGIN_SECONDS", 0.2)
    serving.options.cache_clear()

    async def silent():
        async with open_gate(tmp_path) as (gate, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(60):
                assert (await reader.readline()).startswith(b"SSH-2.0-")
                while await reader.read(4096):
                    pass
            writer.close()
            await asyncio.to_thread(eventually, lambda: not waiting(gate))

    try:
        asyncio.run(silent())
    finally:
        serving.options.cache_clear()


def waiting(gate):
    return list(gate.waiting)


@pytest.mark.parametrize(
    ("peers", "newcomer", "gone"),
    [
        ("", "a", None),
        ("abc", "a", None),
        ("abaca", "a", 0),
        ("babaca", "a", 1),
        ("abbccd", "d", 1),
        ("abcdef", "g", 0),
        ("abccde", "g", 2),
    ],
)
def test_ssh_gate_closes_the_oldest_connection_of_the_busiest_peer(
    monkeypatch, peers, newcomer, gone
):
    monkeypatch.setattr(gates, "MOST_OF_ONE_PEER", 3)
    monkeypatch.setattr(gates, "MOST_KNOCKING", 6)
    assert gates.index_to_evict(peers, newcomer) == gone
