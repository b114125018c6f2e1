"""Requests over one connection or many, on plain sockets so that the client costs little."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Load:
    """What a server answered: requests a second, and how long each took, in milliseconds."""

    rate: float
    p50: float
    p99: float
    bytes_each: int

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s, p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms"


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One kept-alive HTTP connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port, self._buffer = port, bytearray(1 << 20)

    def ask(self, path: str, method: str = "GET", body: bytes = b"", /, **headers: str) -> Answer:
        """Send one request and read its answer to the last byte."""
        lines = {"Host": f"localhost:{self._port}", **headers}
        if body:
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return self._read()

    def _read(self) -> Answer:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(1 << 16)
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        left = int(headers.get("content-length", 0)) - len(body)
        parts = [body]
        while left > 0:
            got = self._socket.recv_into(self._buffer, min(left, len(self._buffer)))
            parts.append(bytes(self._buffer[:got]))
            left -= got
        return Answer(int(status.split()[1]), headers, b"".join(parts))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def at_once(
    port: int, numbers: Iterable[int], do: Callable[[Connection, int], None], connections: int = 4
) -> None:
    """Call `do` with each number, over that many connections."""
    left, lock = iter(numbers), threading.Lock()

    def work() -> None:
        with contextlib.closing(Connection(port)) as to:
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                do(to, number)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def load(port: int, path: str, seconds: float, connections: int = 1, **headers: str) -> Load:
    """Ask for `path` over and over; every answer must be a success."""
    took: list[float] = []
    size, failed = [0], []
    until = time.perf_counter() + seconds

    def client() -> None:
        with contextlib.closing(Connection(port)) as to:
            while (began := time.perf_counter()) < until:
                answer = to.ask(path, **headers)
                took.append(time.perf_counter() - began)
                size[0] = len(answer.body)
                if answer.status >= 400:
                    failed.append(answer.status)

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(f"{path}: {len(failed)} answers failed, first {failed[0]}")
    worst = quantiles(took, n=100)[98] if len(took) > 1 else took[0]
    return Load(len(took) / seconds, median(took) * 1000, worst * 1000, size[0])


def crowd(port: int, path: str, seconds: float, connections: int, host: str) -> Load:
    """Ask on many kept-alive connections from one thread, each as soon as it is answered.

    It computes some microseconds for each request, so it is not what limits a proxy. The clock
    starts when every connection has had an answer.
    """
    with contextlib.closing(Connection(port)) as to:
        body = to.ask(path, Host=host).body
    asking = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    took: list[float] = []
    with contextlib.ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        pending: dict[int, tuple[socket.socket, float]] = {}
        for _ in range(connections):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(asking)
            _read_answer(connection, body)
            poll.register(connection, select.EPOLLIN)
            pending[connection.fileno()] = connection, time.perf_counter()
        for connection, _ in pending.values():
            connection.sendall(asking)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for number, _ in poll.poll(1):
                connection, began = pending[number]
                _read_answer(connection, body)
                now = time.perf_counter()
                took.append(now - began)
                pending[number] = connection, now
                connection.sendall(asking)
    return Load(len(took) / seconds, median(took) * 1000, quantiles(took, n=100)[98] * 1000, 0)


def _read_answer(connection: socket.socket, body: bytes) -> None:
    """Read one answer; nearly always it comes as a whole."""
    data = connection.recv(1 << 16)
    while not data.endswith(body):
        piece = connection.recv(1 << 16)
        if not piece:
            raise RuntimeError(f"it ended after {data[:200]!r}")
        data += piece
    if not data.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{data[:200]!r}")


def alone(port: int, path: str, seconds: float, host: str) -> Load:
    """Ask on a new connection each time, one after the other."""
    took: list[float] = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        with contextlib.closing(Connection(port)) as to:
            if to.ask(path, Host=host).status >= 400:
                raise RuntimeError(f"{path} failed")
        took.append(time.perf_counter() - began)
    return Load(len(took) / seconds, median(took) * 1000, quantiles(took, n=100)[98] * 1000, 0)
