"""Sends HTTP/1.1 requests over a Unix socket, TCP or TLS.

It uses only `socket` and `json`, since importing `http.client` takes 20 ms. Each request has its
own connection, so threads can share a `Wire`, and a restart of the daemon between requests is no
error.
"""

from __future__ import annotations

import json
import os
import socket

from prism.annotations import TYPE_CHECKING, Callable, Generator, Iterator, Mapping
from prism.client.errors import DaemonUnreachable, ProxyFailed, parsed_json, problem_of
from prism.client.transport.address import DaemonAddress
from prism.client.transport.request import Noun
from prism.client.transport.trust import check_folder, check_server
from prism.home import environment

if TYPE_CHECKING:
    from io import BufferedReader
    from typing import Any, Concatenate, ParamSpec, Self, TypeVar

    P = ParamSpec("P")
    Answer = TypeVar("Answer")

API, JSON = "/api/v1", "application/json"
CONNECT, ANSWER_TIMEOUT, PATIENT_TIMEOUT = 5.0, 30.0, 1800.0  # seconds until we give up
SILENCE = 60.0  # seconds; a stream sends a sign of life every 15
LONGEST_LINE = 65536
LONGEST_HEAD = 4 * LONGEST_LINE
MAX_ANSWER_BYTES = 1 << 29  # bytes of an answer that is kept whole
READ_CHUNK = 1 << 20  # bytes of a longer one that are read at a time
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class HttpAnswer:
    """An answer: status, headers by lower-case name, and the body."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.status, self.headers, self.content = status, headers, content

    def json(self) -> Any:
        """The body, parsed; `None` when there is none."""
        return parsed_json(self.content) if self.content else None


class Wire:
    """Sends requests to a daemon, and raises the `Problem` that the daemon raised."""

    def __init__(self, address: DaemonAddress, timeout: float = ANSWER_TIMEOUT) -> None:
        self.address, self.timeout = address, timeout
        self.holds = True
        """Whether the daemon is known to answer reads late on request; an older one refuses."""
        self._endpoint, self._host, self._prefix, self._secure = _parts(address.url)

    def ask(self, method: str, path: str, body: object = None, *, wait: float = 0) -> Any:
        """Send `body` as JSON to `path` below `/api/v1`; the answer, parsed."""
        content = None if body is None else json.dumps(body).encode()
        return self._parsed(self.send(method, path, content, wait=wait))

    def call(
        self, method: Callable[Concatenate[Any, P], object], *args: P.args, **kwargs: P.kwargs
    ) -> Any:
        """The answer to a method of the client, such as `Budgets.show`, as JSON."""
        return method(Noun(self), *args, **kwargs)

    def decoded(self, answer: HttpAnswer, kind: type[Answer], path: str) -> Answer:
        """The body of an answer: JSON here, a struct of that kind in the typed client."""
        return self.converted(self._parsed(answer), kind, path)

    def converted(self, value: Any, kind: type[Answer], path: str) -> Answer:
        """Convert JSON to what `decoded` would return."""
        unchanged: Answer = value
        return unchanged

    def send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        wait: float = 0,
        media_type: str = JSON,
    ) -> HttpAnswer:
        """Send bytes; the raw answer. `wait` is how many seconds the daemon may hold it."""
        if wait:
            path += f"{'&' if '?' in path else '?'}wait={wait:g}"
        with self.reach(self.timeout + wait) as connection:
            try:
                with self._send_request(
                    connection, method, path, content, headers, media_type=media_type
                ) as file:
                    status, received = _head(file)
                    answer = HttpAnswer(status, received, _whole(_body(file, status, received)))
            except (OSError, ValueError) as error:
                raise self.unreachable(error) from error
        if answer.status >= 300 and answer.status != 304:
            raise problem_of(answer.status, answer.content)
        return answer

    def stream(
        self, path: str, headers: Mapping[str, str], silence: float | None = SILENCE
    ) -> Generator[bytes]:
        """Yield the body of an endless GET: an empty piece when it is open, then each piece.

        `silence` is the timeout between pieces; None for streams without signs of life.
        """
        with self.reach(silence) as connection:
            try:
                with self._send_request(connection, "GET", path, None, headers) as file:
                    status, received = _head(file)
                    if status >= 300:
                        raise problem_of(status, _whole(_body(file, status, received)))
                    yield b""  # it is open
                    yield from _body(file, status, received)
            except (OSError, ValueError) as error:
                raise self.unreachable(error) from error

    def patient(self) -> Self:
        """A copy with a longer timeout, for requests that make the daemon ask others."""
        return type(self)(self.address, PATIENT_TIMEOUT)

    @property
    def is_secure(self) -> bool:
        """Whether the daemon is reached by TLS."""
        return self._secure

    def websocket_url(self, path: str) -> str:
        """The address of a WebSocket below `/api/v1`."""
        return f"{'wss' if self._secure else 'ws'}://{self._host}{self._prefix}{API}{path}"

    def connect(self) -> socket.socket:
        """An open connection; raises `OSError` if there is no daemon."""
        connection = self.dial()
        return self._start_tls(connection) if self._secure else connection

    def dial(self) -> socket.socket:
        """An open connection, before TLS; raises `OSError` if there is no daemon."""
        if not self.address.url:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(CONNECT)
                path = self.address.socket
                check_folder(path, self.address.home)
                connection.connect(path)
                check_server(connection, path, self.address.home)
            except BaseException:
                connection.close()
                raise
            return connection
        connection = self._dial_by_proxy()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.address.token and not self._secure:  # else its certificate says who it is
            self.check_listener(connection)
        return connection

    def _dial_by_proxy(self) -> socket.socket:
        if self._secure:
            from prism.client.transport.proxy import proxy_of, tunnel  # noqa: PLC0415  cold start: only for TLS

            if proxy := proxy_of(environment(os.environ), self._endpoint[0]):
                return tunnel(proxy, *self._endpoint, CONNECT)
        return socket.create_connection(self._endpoint, CONNECT)

    def check_listener(self, connection: socket.socket) -> None:
        """Refuse a listener of another user of this computer."""
        from prism.client.transport.listener import check_listener  # noqa: PLC0415  cold start: with a token only

        try:
            check_listener(connection, self.address.daemon_user)
        except BaseException:
            connection.close()
            raise

    def _parsed(self, answer: HttpAnswer) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise self.unreachable(error) from error

    def _start_tls(self, connection: socket.socket) -> socket.socket:
        from prism.certificates import client_context  # noqa: PLC0415  cold start: only for TLS

        context = client_context(environment(os.environ))
        try:
            return context.wrap_socket(connection, server_hostname=self._endpoint[0])
        except OSError:
            connection.close()
            raise

    def reach(self, timeout: float | None) -> socket.socket:
        """An open connection; raises `DaemonUnreachable` if there is no daemon."""
        try:
            connection = self.connect()
        except OSError as error:
            raise self.unreachable(error) from error
        connection.settimeout(timeout)
        return connection

    def _send_request(
        self,
        connection: socket.socket,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str] | None,
        *,
        media_type: str = JSON,
    ) -> BufferedReader:
        lines = [f"{method} {self._prefix}{API}{path} HTTP/1.1", f"Host: {self._host}"]
        lines += ["Connection: close", "Accept: application/json, text/event-stream"]
        if self.address.token:
            lines.append(f"Authorization: Bearer {self.address.token}")
        if content is not None:
            lines += [f"Content-Type: {media_type}", f"Content-Length: {len(content)}"]
        elif method != "GET":
            lines.append("Content-Length: 0")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line break in a header")
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + (content or b""))
        return connection.makefile("rb")

    def unreachable(self, error: Exception) -> DaemonUnreachable:
        """The problem if the daemon cannot be reached, or its answer cannot be read."""
        if isinstance(error, TimeoutError):
            return DaemonUnreachable(
                f"The daemon at {self.address} did not answer in time",
                remediation="See what it does: `prism daemon logs`",
            )
        if certificate := getattr(error, "verify_message", None):
            from prism.certificates import certificate_advice  # noqa: PLC0415  only after a failure

            return DaemonUnreachable(
                f"The certificate of {self.address} is not trusted",
                details=str(certificate),
                remediation=f"If your network inspects TLS, {certificate_advice()}",
            )
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            details = "Nobody answers there"
        else:
            details = f"{error}" or type(error).__name__
        remedy = "Start it: `prism daemon start`"
        if self.address.url:
            remedy = f"Check {self.address.named_by}"
        if isinstance(error, ProxyFailed):
            remedy = "Check HTTPS_PROXY; hosts in NO_PROXY are reached without the proxy"
        message = f"No daemon at {self.address}"
        return DaemonUnreachable(message, details=details, remediation=remedy)


def quoted(text: str) -> str:
    """One segment of a path, or one value of a query (`urllib` costs a cold start 5 ms)."""
    return "".join(chr(b) if b in UNRESERVED else f"%{b:02X}" for b in text.encode())


def query(**fields: object) -> str:
    """`?name=value&…` of the given values; empty if there are none."""
    pairs = [f"{name}={quoted(str(value))}" for name, value in fields.items() if value is not None]
    return f"?{'&'.join(pairs)}" if pairs else ""


def _parts(url: str) -> tuple[tuple[str, int], str, str, bool]:
    """The address to connect to, the `Host`, the path prefix, and whether it is TLS."""
    if not url:
        return ("", 0), "localhost", "", False
    from urllib.parse import urlsplit  # noqa: PLC0415  cold start: only for PRISM_URL

    try:
        parts = urlsplit(url)
        name, port, secure = parts.hostname, parts.port, parts.scheme == "https"
    except ValueError:
        name = None
    if not name or parts.scheme not in {"http", "https"}:
        raise DaemonUnreachable(
            f"PRISM_URL is not an address: {url}",
            remediation="Write it like http://localhost:8947",
        )
    endpoint = (name, port or (443 if secure else 80))
    return endpoint, parts.netloc.rpartition("@")[2], parts.path, secure


def _head(file: BufferedReader) -> tuple[int, dict[str, str]]:
    """The status and the headers."""
    words = _read_line(file).split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1."):
        raise ValueError("the program that answers there does not use HTTP")
    return int(words[1]), _headers(file)


def _headers(file: BufferedReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    size = 0
    while line := _read_line(file):
        if (size := size + len(line)) > LONGEST_HEAD:
            raise ValueError("the head of its answer does not end")
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _body(file: BufferedReader, status: int, headers: dict[str, str]) -> Iterator[bytes]:
    """The body, piece by piece."""
    if status in {204, 304}:
        return
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int(_read_line(file).partition(";")[0], 16):
            yield _read_exactly(file, size)
            _read_line(file)
        _headers(file)  # trailers
    elif "content-length" in headers:
        left = int(headers["content-length"])
        while left > READ_CHUNK:
            yield _read_exactly(file, READ_CHUNK)
            left -= READ_CHUNK
        yield _read_exactly(file, left)
    else:
        while piece := file.read1():
            yield piece


def _whole(pieces: Iterator[bytes]) -> bytes:
    """The body in one piece; raises if it is too large."""
    parts, size = [], 0
    for piece in pieces:
        if (size := size + len(piece)) > MAX_ANSWER_BYTES:
            raise ValueError("its answer does not end")
        parts.append(piece)
    return b"".join(parts)


def _read_line(file: BufferedReader) -> str:
    line = file.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ConnectionError("the connection was cut in the middle of an answer")
    return line.decode("latin-1").rstrip("\r\n")


def _read_exactly(file: BufferedReader, size: int) -> bytes:
    if not 0 <= size <= MAX_ANSWER_BYTES:
        raise ValueError(f"the size of its answer is {size} bytes, which is not allowed")
    content = file.read(size)
    if len(content) < size:
        raise ConnectionError("the connection was cut in the middle of an answer")
    return content
