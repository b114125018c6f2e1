"""Two connections joined to one: all bytes, back pressure, and ends of streams."""

import asyncio
import contextlib
import socket

import pytest

from prism.kit.network.byte_pipe import PausedConnection, forward, splice
from tests.conftest import free_port

MIB = 1 << 20


def targets(*addresses):
    """The target of each new connection: the next of these, the last of them repeatedly."""
    left = list(addresses)

    async def where():
        return left.pop(0) if len(left) > 1 else left[0]

    return where


class JoiningProtocol(asyncio.Protocol):
    """Joins each client with the service; reads nothing before."""

    def __init__(self, port, half, ended):
        self.port, self.half, self.ended, self.lost = port, half, ended, 0

    def connection_made(self, transport):
        transport.pause_reading()
        self.work = asyncio.create_task(self.join(transport))

    async def join(self, near):
        loop = asyncio.get_running_loop()
        far, _ = await loop.create_connection(PausedConnection, "127.0.0.1", self.port)
        await splice(near, far, self.count, half=self.half)
        self.ended.set_result(self.lost)

    def count(self):
        self.lost += 1


async def piped(test, *, half):
    """Runs a test with streams at both ends of a pipe."""
    loop, port = asyncio.get_running_loop(), free_port()
    joined, ended = loop.create_future(), loop.create_future()
    service = await asyncio.start_server(lambda *ends: joined.set_result(ends), "127.0.0.1", port)
    front = await loop.create_server(lambda: JoiningProtocol(port, half, ended), "127.0.0.1", 0)
    near = await asyncio.open_connection(*front.sockets[0].getsockname())
    near[1].write(b"first")
    far = await joined
    assert await far[0].readexactly(5) == b"first"
    async with asyncio.timeout(20):
        await test(near, far)
        for _, writer in (near, far):
            writer.close()
        assert await ended == 1, "connection_lost is called once"
    for server in (service, front):
        server.close()


def run(test, *, half=False):
    asyncio.run(piped(test, half=half))


def test_pipe_carries_all_bytes_in_both_directions_at_once():
    async def test(near, far):
        async def through(writer, reader, piece):
            async def write_all():
                for _ in range(50):
                    writer.write(piece)
                    await writer.drain()

            writing = asyncio.create_task(write_all())
            assert await reader.readexactly(50 * MIB) == piece * 50
            await writing

        await asyncio.gather(
            through(near[1], far[0], b"a" * MIB), through(far[1], near[0], b"b" * MIB)
        )

    run(test)


def test_pipe_stops_reading_while_the_other_end_does_not_read():
    async def test(near, far):
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                while sent < 200 * MIB:
                    near[1].write(b"x" * MIB)
                    await near[1].drain()
                    sent += MIB
        assert sent < 120 * MIB, "only the kernel buffers a part"
        near[1].transport.abort()

    run(test)


@pytest.mark.parametrize("half", [False, True])
def test_half_closed_pipe_still_carries_answers_only_if_half_is_set(half):
    async def test(near, far):
        near[1].write_eof()
        assert await far[0].read() == b""
        far[1].write(b"still here")
        far[1].close()
        assert await near[0].read() == (b"still here" if half else b"")

    run(test, half=half)


def test_bytes_sent_before_a_close_arrive():
    async def test(near, far):
        far[1].write(b"x" * 5 * MIB)
        far[1].close()
        assert len(await near[0].read()) == 5 * MIB

    run(test)


def test_aborted_connection_closes_the_other_end():
    async def test(near, far):
        near[1].get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        near[1].transport.abort()
        assert await far[0].read() == b""

    run(test)


def test_forward_connects_to_its_target_or_closes_without_a_target():
    async def greet(_, writer):
        writer.write(b"SSH-2.0-hello")
        writer.close()

    async def test():
        port = free_port()
        service = await asyncio.start_server(greet, "127.0.0.1", port)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with service, await forward(listener, targets(("127.0.0.1", port))):
                for _ in range(50):
                    reader, writer = await asyncio.open_connection(*listener.getsockname())
                    assert await reader.read() == b"SSH-2.0-hello"
                    writer.close()
            # Without a service at the target, the connection is closed.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with await forward(listener, targets(("127.0.0.1", free_port()), None)):
                for _ in range(3):
                    reader, writer = await asyncio.open_connection(*listener.getsockname())
                    assert await reader.read() == b""
                    writer.close()

    asyncio.run(test())


def test_forward_closes_the_connection_if_its_target_cannot_be_determined():
    async def nowhere():
        raise RuntimeError("nobody foresaw this")

    async def test():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # expects the error
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with await forward(listener, nowhere):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 120) == b""
                writer.close()

    asyncio.run(test())


def test_forward_closes_a_connection_that_is_not_admitted():
    connected = []

    async def greet(_, writer):
        connected.append(writer)
        writer.close()

    async def test():
        service = await asyncio.start_server(greet, "127.0.0.1", 0)
        where, seen = targets(service.sockets[0].getsockname()), []

        async def admits(caller):
            seen.append(caller.getpeername())
            return False

        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with service, await forward(listener, where, admits):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
                callers = [writer.get_extra_info("sockname")]
                writer.close()
        assert seen == callers

    asyncio.run(test())
    assert not connected
