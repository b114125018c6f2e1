"""EC2's metadata service, version 2, with only its tags, by HTTP on loopback."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def imds(tags):
    """The service, with these tags; `served.asked` lists the requested paths."""
    served = TagServer(tags)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


class TagServer(http.server.ThreadingHTTPServer):
    def __init__(self, tags):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tags = tags
        self.asked: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    TOKEN = "AQAEAA-a-token=="
    PLACE = "/latest/meta-data/tags/instance"
    server: TagServer

    def do_PUT(self):
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        ok = self.path == "/latest/api/token" and lifetime.isdigit()
        self.answer(200 if ok else 400, self.TOKEN)

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.headers.get("X-aws-ec2-metadata-token") != self.TOKEN:
            return self.answer(401, "")
        tags = self.server.tags
        name = self.path.removeprefix(self.PLACE).strip("/")
        if tags is None or not self.path.startswith(self.PLACE) or (name and name not in tags):
            return self.answer(404, "not found")
        return self.answer(200, tags[name] if name else "\n".join(tags))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Logs nothing."""
