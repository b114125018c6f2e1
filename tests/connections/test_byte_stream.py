"""TCP connections into workspaces, in WebSockets."""

import asyncio
import hashlib
import os

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from prism.connections.byte_stream import BUFFER_BYTES, STREAM_CHUNK_BYTES, join
from prism.kit.network.tcp_pair import tcp_pair

SOON = 60.0


class WebSocketDouble:
    """The daemon's side of a WebSocket: what the client sends, and what it gets."""

    def __init__(self):
        self.sent: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.received: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.sent.put_nowait({"type": "websocket.connect"})

    def send(self, data):
        self.sent.put_nowait({"type": "websocket.receive", "bytes": data})

    async def next(self):
        return await asyncio.wait_for(self.received.get(), SOON)


async def joined(socket_double):
    """A join that has been accepted, and the workspace's end of its connection."""
    ours, theirs = tcp_pair()
    work = asyncio.create_task(join(socket_double.sent.get, socket_double.received.put, ours))
    assert await socket_double.next() == {"type": "websocket.accept"}
    return work, await asyncio.open_connection(sock=theirs)


async def ended(work):
    await asyncio.wait_for(work, SOON)


def test_bytes_arrive_in_both_directions_and_each_can_end_before_the_other():
    async def run():
        client = WebSocketDouble()
        work, (reader, writer) = await joined(client)
        client.send(b"to the workspace")
        assert await reader.readexactly(16) == b"to the workspace"
        client.send(b"")
        assert await reader.read() == b""
        writer.write(b"still here")
        assert await client.next() == {"type": "websocket.send", "bytes": b"still here"}
        writer.close()
        assert await client.next() == {"type": "websocket.send", "bytes": b""}
        await ended(work)
        assert await client.next() == {"type": "websocket.close", "code": 1000}

    asyncio.run(run())


def test_workspace_that_has_sent_everything_still_reads():
    async def run():
        client = WebSocketDouble()
        work, (reader, writer) = await joined(client)
        writer.write_eof()
        assert await client.next() == {"type": "websocket.send", "bytes": b""}
        client.send(b"late")
        assert await reader.readexactly(4) == b"late"
        client.send(b"")
        await ended(work)
        writer.close()

    asyncio.run(run())


def test_connection_is_cut_when_the_client_has_gone():
    async def run():
        client = WebSocketDouble()
        work, (reader, writer) = await joined(client)
        client.sent.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await ended(work)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), SOON)
        assert client.received.empty(), "nothing is sent to who has gone"
        writer.close()

    asyncio.run(run())


def test_text_is_refused():
    async def run():
        client = WebSocketDouble()
        work, (_, writer) = await joined(client)
        client.sent.put_nowait({"type": "websocket.receive", "text": "x"})
        await ended(work)
        assert await client.next() == {"type": "websocket.close", "code": 1003}
        writer.close()

    asyncio.run(run())


def test_client_that_does_not_read_stops_the_workspace_and_fills_no_memory():
    async def run():
        client = WebSocketDouble()
        client.received = asyncio.Queue(maxsize=2)
        work, (_, writer) = await joined(client)
        writer.transport.set_write_buffer_limits(high=0)
        written = 0

        async def flood():
            nonlocal written
            while True:
                writer.write(b"x" * STREAM_CHUNK_BYTES)
                await writer.drain()
                written += STREAM_CHUNK_BYTES

        flooding = asyncio.create_task(flood())
        last = -1
        while written > last:  # until the kernel's buffers are full
            last = written
            await asyncio.wait({flooding}, timeout=1)
        assert client.received.qsize() == 2
        flooding.cancel()
        work.cancel()
        await asyncio.wait({flooding, work})
        writer.transport.abort()

    asyncio.run(run())


def test_workspace_that_does_not_read_stops_the_client():
    async def run():
        client = WebSocketDouble()
        work, (_, writer) = await joined(client)
        for _ in range(400):
            client.send(b"x" * STREAM_CHUNK_BYTES)
        waiting = -1
        while client.sent.qsize() != waiting:  # until the kernel's buffers are full
            waiting = client.sent.qsize()
            await asyncio.wait({work}, timeout=1)
        assert waiting * STREAM_CHUNK_BYTES > BUFFER_BYTES, "the rest waits for the workspace"
        work.cancel()
        await asyncio.wait({work})
        writer.transport.abort()

    asyncio.run(run())


def stream(site, query="", **more):
    return connect(
        f"ws://127.0.0.1:{site.port}/api/v1/instances/mine/stream{query}", proxy=None, **more
    )


def test_stream_reaches_a_port_of_a_workspace(served_daemon):
    with stream(served_daemon, "?port=8501", max_size=None) as way:
        way.send(b"GET /download?size=20000000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        received = b""
        while message := way.recv(SOON):
            received += message
        way.send(b"")
        with pytest.raises(ConnectionClosed):
            way.recv(SOON)
    _, _, body = received.partition(b"\r\n\r\n")
    direct = httpx.get(f"{served_daemon.base}/web-proxy/mine/download?port=8501&size=20000000")
    assert hashlib.sha256(body).digest() == hashlib.sha256(direct.content).digest()


def test_stream_without_a_port_is_ssh(served_daemon):
    with stream(served_daemon) as way:
        assert way.recv(SOON).startswith(b"SSH-2.0-")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?port=9", 503, b"PORT_SILENT"),
        ("?port=x", 400, b"INVALID_PORT"),
        ("?port=8501&port=22", 422, b"VALIDATION_FAILED"),
        ("?user=root", 422, b"VALIDATION_FAILED"),
    ],
)
def test_refused_stream_says_why(served_daemon, query, status, code):
    with pytest.raises(InvalidStatus) as raised, stream(served_daemon, query):
        pass
    response = raised.value.response
    assert (response.status_code, code in response.body) == (status, True), response.body


def test_stream_never_reaches_a_port_of_the_daemons_computer(served_daemon):
    """Its own port is one of them."""
    with pytest.raises(InvalidStatus), stream(served_daemon, f"?port={served_daemon.port}"):
        pass


def test_path_of_streams_says_that_it_needs_a_websocket(served_daemon):
    answer = served_daemon.http.get("/api/v1/instances/mine/stream")
    assert answer.json()["error"]["code"] == "UPGRADE_REQUIRED"
    assert os.fspath(served_daemon.home.folder) not in answer.text
