"""Servers that get mails and webhooks, and behave badly on request."""

import base64
import email
import hmac
import json
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.policy import default
from typing import Any, NamedTuple, Self

from aiosmtpd.controller import Controller

from tests.conftest import free_port


class MailReceiver:
    """A mail server that keeps the mails that it accepts, or refuses them with `refuse`."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []  # the same mails, as they came
        self.refuse: str | None = None
        self.port = free_port()
        self._controller = Controller(self, "127.0.0.1", self.port, server_hostname="mail")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuse:
            return self.refuse
        self.raw.append(bytes(envelope.content))
        self.mails.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    def texts(self) -> list[str]:
        """The plain text of each mail."""
        bodies = [mail.get_body(["plain"]) for mail in self.mails]
        return [body.get_content().replace("\r\n", "\n") for body in bodies if body is not None]

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


class Received(NamedTuple):
    """A request that a webhook got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The notice in it."""
        return json.loads(self.body)["data"]

    def is_signed_with(self, secret: str) -> bool:
        """Checks the signature as the specification of Standard Webhooks says."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        words = [self.headers["webhook-id"], self.headers["webhook-timestamp"]]
        content = ".".join(words).encode() + b"." + self.body
        mac = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
        return self.headers["webhook-signature"] == f"v1,{mac}"


class WebhookReceiver:
    """An HTTP server on loopback; `behave` says how it answers.

    `ok`, a status such as `503`, `redirect`, `hang` (no answer), `drip` (one byte now and then,
    for ever), `endless` (an answer without an end), `garbage`.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.behave = "ok"
        self._context, self._ended = context, threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/secret-path?key=secret-query"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._handle, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self.requests.append(self._read(connection))
            self._answer(connection)

    def _read(self, connection: socket.socket) -> Received:
        with connection.makefile("rb") as file:
            if not (line := file.readline().decode()):
                raise ConnectionResetError("it was closed before the request")
            _, path, _ = line.split()
            headers: dict[str, str] = {}
            while line := file.readline().strip().decode():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = file.read(length := int(headers["content-length"]))
            if len(body) < length:
                raise ConnectionResetError("it was closed in the middle of the request")
            return Received(path, headers, body)

    def _answer(self, connection: socket.socket) -> None:
        if self.behave == "hang":
            self._ended.wait()
        elif self.behave == "drip":
            while not self._ended.wait(0.05):
                connection.sendall(b"H")
        elif self.behave == "endless":
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self._ended.is_set():
                connection.sendall(b"x" * 65536)
        elif self.behave == "garbage":
            connection.sendall(b"\x00\xff garbage\r\n\r\n")
        elif self.behave == "redirect":
            location = f"Location: http://127.0.0.1:{self.port}/elsewhere"
            connection.sendall(f"HTTP/1.1 307 Go\r\n{location}\r\n\r\n".encode())
        else:
            status = "200 OK" if self.behave == "ok" else f"{self.behave} No"
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


def faults_of_webhook(inbox: Mapping[str, str], requests: Iterable[Received]) -> Iterator[str]:
    """What a webhook lacks, or has twice in different words, as a sentence."""
    bodies = defaultdict(set)
    for request in requests:
        bodies[request.headers["webhook-id"]].add(request.body)
    if bodies.keys() != inbox.keys() or any(len(each) > 1 for each in bodies.values()):
        yield f"a webhook got {dict(bodies)}"


def faults_of_mails(titles: Collection[str], mails: MailReceiver) -> Iterator[str]:
    """What the mails lack, or have twice in different words, as sentences."""
    by_id = defaultdict(set)
    for mail, raw in zip(mails.mails, mails.raw, strict=True):
        by_id[mail["Message-ID"]].add(raw)
    if any(len(each) > 1 for each in by_id.values()):
        yield f"the same Message-ID has other bytes: {by_id}"
    text = b"".join(next(iter(each)) for each in by_id.values()).decode()
    for title in titles:
        if (count := text.count(f"* {title} (")) != 1:
            yield f"{count} different mails have {title!r}"
