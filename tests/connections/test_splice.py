"""`splice`: large bodies are moved inside the kernel."""

import asyncio
import os
import socket

import pytest

from prism.connections import splice

MIB = 1 << 20


@pytest.fixture
def connected_pair():
    """A sender, the two sockets between which bytes are moved, and a receiver."""
    sockets: list[socket.socket] = []

    def pair():
        with socket.create_server(("127.0.0.1", 0)) as door:
            first = socket.create_connection(door.getsockname())
            two, _ = door.accept()
        for endpoint in (first, two):
            endpoint.setblocking(False)
        sockets.extend((first, two))
        return first, two

    says, source = pair()
    target, hears = pair()
    yield says, source, target, hears
    for each_socket in sockets:
        each_socket.close()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def run(test):
    async def within():
        async with asyncio.timeout(30):
            await test(asyncio.get_running_loop())

    before = descriptors()
    asyncio.run(within())
    assert descriptors() <= before, "every file descriptor is closed"


async def receive_exactly(loop, hears, size):
    got = bytearray()
    while len(got) < size:
        got += await loop.sock_recv(hears, MIB)
    return bytes(got)


def test_move_transfers_exactly_the_given_number_of_bytes(connected_pair):
    says, source, target, hears = connected_pair
    payload = os.urandom(20 * MIB)

    async def test(loop):
        saying = asyncio.create_task(loop.sock_sendall(says, payload + b"next"))
        moving = asyncio.create_task(splice.move(source.fileno(), target.fileno(), len(payload)))
        assert await receive_exactly(loop, hears, len(payload)) == payload
        await moving
        await saying
        assert source.recv(100) == b"next"
        with pytest.raises(BlockingIOError):
            hears.recv(1)

    run(test)


def test_move_waits_for_a_slow_receiver(connected_pair):
    says, source, target, hears = connected_pair

    async def test(loop):
        sent = 0

        async def say():
            nonlocal sent
            for _ in range(200):
                await loop.sock_sendall(says, bytes(MIB))
                sent += MIB

        saying = asyncio.create_task(say())
        moving = asyncio.create_task(splice.move(source.fileno(), target.fileno(), 200 * MIB))
        await asyncio.wait([saying], timeout=0.5)
        assert not moving.done()
        assert sent < 120 * MIB
        await receive_exactly(loop, hears, 200 * MIB)
        await asyncio.gather(saying, moving)

    run(test)


def test_move_raises_if_the_source_ends_early(connected_pair):
    says, source, target, _ = connected_pair

    async def test(loop):
        await loop.sock_sendall(says, b"half")
        says.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            await splice.move(source.fileno(), target.fileno(), 8)

    run(test)


def test_move_raises_if_the_receiver_closes(connected_pair):
    says, source, target, hears = connected_pair

    async def test(loop):
        hears.close()
        saying = asyncio.create_task(loop.sock_sendall(says, bytes(20 * MIB)))
        with pytest.raises(ConnectionError):
            await splice.move(source.fileno(), target.fileno(), 20 * MIB)
        saying.cancel()

    run(test)


def test_move_can_be_cancelled(connected_pair):
    says, source, target, _ = connected_pair

    async def test(loop):
        await loop.sock_sendall(says, b"some")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await splice.move(source.fileno(), target.fileno(), 100)

    run(test)


def test_move_yields_to_other_tasks(connected_pair):
    says, source, target, hears = connected_pair

    async def test(loop):
        turns = 0

        async def other():
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        saying = asyncio.create_task(loop.sock_sendall(says, bytes(50 * MIB)))
        hearing = asyncio.create_task(receive_exactly(loop, hears, 50 * MIB))
        counting = asyncio.create_task(other())
        await splice.move(source.fileno(), target.fileno(), 50 * MIB)
        await asyncio.gather(saying, hearing)
        counting.cancel()
        assert turns > 25

    run(test)
