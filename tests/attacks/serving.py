"""A real server with the limits of a test, and clients that send raw bytes."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import uvicorn

from prism.kit.clock import StoppedClock
from prism.kit.limits import RequestLimits
from prism.kit.network.http_protocol import NORMAL, http_protocol
from prism.kit.network.peer_credentials import SocketDiagnostics
from prism.kit.network.websocket_upgrade import WebSockets
from tests.waiting import eventually

V4 = "127.0.0.1"
CLOCK = StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))


@contextlib.contextmanager
def serving(
    app: Any,
    limits: RequestLimits = NORMAL,
    loop: Literal["uvloop", "asyncio"] = "uvloop",
    diagnosis: SocketDiagnostics | None = None,
    unix: Path | None = None,
) -> Iterator[tuple[uvicorn.Server, int]]:
    """The server and its port; it ends with the block."""
    listeners = [socket.create_server((V4, 0))]
    # Bytes in the kernel's buffer do not count as read; accepted sockets inherit its size.
    listeners[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    if unix:
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[1].bind(str(unix))
        listeners[1].listen()
    config = uvicorn.Config(
        app,
        http=http_protocol(None, CLOCK, limits, diagnosis),
        log_config=None,
        loop=loop,
        lifespan="off",
        ws=WebSockets,
        ws_max_size=1024 * 1024,
    )
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        thread = Thread(target=lambda: runner.run(server.serve(listeners)))
        thread.start()
        eventually(lambda: server.started)
        try:
            yield server, listeners[0].getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def connected(port: int, wait: float = 20) -> Iterator[socket.socket]:
    """A connection whose reads end with the test at the latest."""
    with socket.create_connection((V4, port), timeout=wait) as client:
        yield client


def receive_all(client: socket.socket) -> bytes:
    """Everything that is received until the other side closes the connection."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            answer += piece
    return answer


def send_flood(client: socket.socket, first: bytes, more: bytes, most: int) -> tuple[int, bytes]:
    """Send `first`, then `more` repeatedly; how many bytes were sent, and what was received."""
    sent, answer = 0, b""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    with contextlib.suppress(ConnectionError):
        client.sendall(first)
        client.setblocking(False)
        while sent < most:
            with contextlib.suppress(BlockingIOError):
                sent += client.send(more)
            with contextlib.suppress(BlockingIOError):
                piece = client.recv(65536)
                answer += piece
                if not piece:
                    break
    client.settimeout(20)
    return sent, answer + receive_all(client)
