"""The service of a workspace in these tests: returns requests, streams, echoes.

python upstream.py PORT [HOST|tls]
"""

import asyncio
import hashlib
import json
import ssl
import sys
import tempfile
from datetime import UTC, datetime

from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

PIECE = bytes(range(256)) * 1024


class State:
    """The state of the service."""

    def __init__(self):
        self.sent = self.cut = 0
        self.holds, self.log, self.page = [], [], "<h1>here</h1>"


STATE = web.AppKey("state", State)


async def return_request(request):
    """Return the request."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [[k.lower(), v] for k, v in request.headers.items()],
            "body": body.decode("latin-1"),
        }
    )


async def return_requested_answer(request):
    """An answer with the status and the headers of the query."""
    head = json.loads(request.query["head"])
    answer = web.Response(status=int(request.query.get("status", "200")), text="said")
    for name, value in head:
        answer.headers.add(name, value)
    return answer


async def download(request):
    """`size` bytes, with a Content-Length or chunked."""
    size = int(request.query["size"])
    answer = web.StreamResponse()
    if "chunked" not in request.query:
        answer.content_length = size
    await answer.prepare(request)
    request.app[STATE].sent = 0
    try:
        while size:
            piece = PIECE[: min(size, len(PIECE))]
            await answer.write(piece)
            size -= len(piece)
            request.app[STATE].sent += len(piece)
    except (ConnectionError, asyncio.CancelledError):
        request.app[STATE].cut += 1
        raise
    return answer


async def upload(request):
    """Return the size and the hash of the body."""
    digest, size = hashlib.sha256(), 0
    hold = asyncio.Event()
    request.app[STATE].holds.append(hold)
    if "hold" in request.query:
        await hold.wait()
    async for piece in request.content.iter_chunked(1 << 18):
        digest.update(piece)
        size += len(piece)
    return web.json_response({"size": size, "sha256": digest.hexdigest()})


async def release_uploads(request):
    """Let the held uploads be read; return the counts."""
    for hold in request.app[STATE].holds:
        hold.set()
    return web.json_response({"sent": request.app[STATE].sent, "cut": request.app[STATE].cut})


async def events(request):
    """Server-sent events, one every 20 ms, or with `hold` each after a call of `/go-on`."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    try:
        for number in range(int(request.query.get("count", "1000000"))):
            released = asyncio.Event()
            if "hold" in request.query:
                request.app[STATE].holds.append(released)
            await answer.write(f"id: {number}\ndata: tick\n\n".encode())
            if "hold" in request.query:
                await released.wait()
            else:
                await asyncio.sleep(0.02)
    except (ConnectionError, asyncio.CancelledError):
        request.app[STATE].cut += 1
        raise
    return answer


async def broken(request):
    """An answer that stops in the middle."""
    answer = web.StreamResponse(headers={"Content-Length": "1000000"})
    await answer.prepare(request)
    await answer.write(b"x" * 1000)
    request.transport.close()
    return answer


async def echo(request):
    """A WebSocket that echoes messages, and closes on request."""
    socket = web.WebSocketResponse(protocols=("second", "third"), autoping=False, max_msg_size=0)
    await socket.prepare(request)
    headers = [[k.lower(), v] for k, v in request.headers.items()]
    async for message in socket:
        if message.type is WSMsgType.TEXT and message.data.startswith("close "):
            await socket.close(code=int(message.data[6:]), message=b"as you wish")
        elif message.type is WSMsgType.TEXT and message.data == "head":
            await socket.send_json(headers)
        elif message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await socket.pong(b"from the service: " + message.data)
    return socket


async def refused(request):
    """Refuse a WebSocket."""
    return web.Response(status=403, text="no")


async def page(request):
    """The page that `paint` has set, or a script."""
    kind = request.query.get("type", "text/html")
    return web.Response(text=request.app[STATE].page, content_type=kind)


async def set_page(request):
    """Set the HTML of `page`."""
    request.app[STATE].page = await request.text()
    return web.Response()


async def log(request):
    """Every request so far, with its cookies."""
    return web.json_response(request.app[STATE].log)


@web.middleware
async def log_request(request, handler):
    """Log every request."""
    request.app[STATE].log.append(
        f"{request.method} {request.raw_path} {request.headers.get('Cookie')}"
    )
    return await handler(request)


def application():
    """The application with all routes."""
    app = web.Application(client_max_size=1 << 30, middlewares=[log_request])
    app[STATE] = State()
    routes = {
        "/download": download,
        "/events": events,
        "/broken": broken,
        "/answered": return_requested_answer,
        "/go-on": release_uploads,
        "/echo": echo,
        "/refused": refused,
        "/log": log,
        "/page": page,
    }
    for path, handler in routes.items():
        app.router.add_get(path, handler)
    app.router.add_post("/upload", upload)
    app.router.add_put("/page", set_page)
    app.router.add_route("*", "/{rest:.*}", return_request)
    return app


def self_signed_context():
    """TLS with a self-signed certificate, as desktops have."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desktop")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    form, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write(key.private_bytes(Encoding.PEM, form, clear))
        file.write(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        file.flush()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file.name)
    return context


if __name__ == "__main__":
    where = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    secure = self_signed_context() if where == "tls" else None
    host = "127.0.0.1" if secure else where
    web.run_app(application(), host=host, port=int(sys.argv[1]), print=None, ssl_context=secure)
