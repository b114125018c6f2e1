"""The HTTP server of the double: threads, persistent connections, dropped connections."""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from aws_double import signin
from aws_double.control import PREFIX, Control
from aws_double.dispatcher import Dispatcher
from aws_double.protocols import Reply, Request
from aws_double.sessions import PATHS


class Server(ThreadingHTTPServer):
    """Listens on the loopback interface only."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, port: int, dispatcher: Dispatcher, control: Control) -> None:
        self.dispatcher, self.control = dispatcher, control
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.bugs: list[Exception] = []
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        """Remember the connection, so that stopping ends it."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: object) -> None:
        """The connection is over."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep an error of the double, to raise it later: it must not look like a lost reply."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, ConnectionError):
            self.bugs.append(error)

    def end_connections(self) -> None:
        """Close every connection."""
        self.stopping.set()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it is closed already


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def _any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, url.path, url.query, headers, self.rfile.read(length))
        reply = self._answer(request)
        if reply is None:
            self.close_connection = True
            return
        if reply.late:
            self.server.stopping.wait(reply.late)
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _any

    def _answer(self, request: Request) -> Reply | None:
        if request.path.startswith(PREFIX):
            return self.server.control.answer(request)
        if request.path == "/moto-api/reset":
            self.server.dispatcher.reset()
            return Reply(200, b"{}")
        if (request.method, request.path) in PATHS and _is_unsigned(request):
            return self.server.dispatcher.log_in(request)
        if request.path == signin.FEDERATION_PATH:
            return signin.answer(request)
        return self.server.dispatcher.answer(request)

    def _send(self, reply: Reply) -> None:
        try:
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has disconnected


def _is_unsigned(request: Request) -> bool:
    return "authorization" not in request.headers
