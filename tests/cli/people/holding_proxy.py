"""A proxy that holds a request at a known point, so that a client can be killed there."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_HEADERS = {"connection", "host", "keep-alive", "transfer-encoding", "content-length"}


class HoldingProxy:
    """Passes requests on to a daemon; after `count` to `path`, the next one gets no answer."""

    def __init__(self, port: int, path: str, count: int) -> None:
        self.passed, self.holds, self._released = 0, threading.Event(), threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path == path:
                    if proxy.passed == count:
                        proxy.holds.set()
                        proxy._released.wait()
                        self.close_connection = True
                        return
                    proxy.passed += 1
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_HEADERS}
                to = http.client.HTTPConnection("localhost", port, timeout=120)
                to.request(self.command, self.path, body, headers)
                answer = to.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_HEADERS:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                to.close()

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Ends it, and drops the request that it holds."""
        self._released.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()
