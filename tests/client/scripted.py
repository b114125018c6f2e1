"""A server with scripted answers: real bytes over a real socket."""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self


@dataclass
class ReceivedRequest:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes
    waits: bool = False
    """Whether it is a GET with `?wait=`, which is not in `path`: the answer comes at once here."""

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None


def http(status: int, body: object = None, **headers: str) -> bytes:
    """The bytes of an ordinary answer."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def problem(status: int, code: str, message: str, **more: Any) -> bytes:
    """The bytes of a refusal."""
    fault = {"code": code, "message": message, "details": "", "remediation": "", **more}
    return http(status, {"error": fault | {"timestamp": "2026-01-01T00:00:00Z"}})


Answer = Any  # bytes, JSON, `(status, body)`, or a function that gives one of these


class Scripted:
    """Answers `method path` from a list, repeats the last answer, and records the requests.

    An answer is bytes, a JSON body, a `(status, body)`, or a function of the request and
    the connection that returns one of these, or `None` when it has answered itself.
    """

    def __init__(self, door: socket.socket) -> None:
        self.asked: list[ReceivedRequest] = []
        self._scripts: dict[str, list[Answer]] = {}
        self._open: set[socket.socket] = set()
        self._door = door
        self._door.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @classmethod
    def on_path(cls, path: Path) -> Self:
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(path))
        return cls(door)

    @classmethod
    def on_port(cls) -> Self:
        return cls(socket.create_server(("127.0.0.1", 0)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._door.getsockname()[1]}"

    def on(self, line: str, *answers: Answer) -> Self:
        self._scripts[line] = list(answers)
        return self

    def asked_for(self, line: str) -> list[ReceivedRequest]:
        return [request for request in self.asked if f"{request.method} {request.path}" == line]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file, contextlib.suppress(OSError):
            if request := self._read(file):
                self.asked.append(request)
                answer = self._next(f"{request.method} {request.path}")
                if callable(answer):
                    answer = answer(request, connection)
                if answer is not None:
                    connection.sendall(self._bytes(answer))
        self._open.discard(connection)

    def _read(self, file: BinaryIO) -> ReceivedRequest | None:
        words = file.readline().decode().split()
        if not words:
            return None
        headers = {}
        while line := file.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        content = file.read(int(headers.get("content-length", 0)))
        method, path = words[0], words[1].removeprefix("/api/v1")
        waits = method == "GET" and "?wait=" in path
        path = path.partition("?wait=")[0] if waits else path
        return ReceivedRequest(method, path, headers, content, waits)

    def _next(self, line: str) -> Answer:
        script = self._scripts.get(line)
        if script is None:
            return problem(404, "ENDPOINT_NOT_FOUND", f"nobody scripted {line}")
        return script.pop(0) if len(script) > 1 else script[0]

    def _bytes(self, answer: Answer) -> bytes:
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, tuple):
            return http(*answer)
        return http(200, answer)
