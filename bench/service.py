"""The service of a workspace while the proxy is measured, as fast as Python allows.

    python service.py PORT

`/small` is 100 bytes, `/big/BYTES` that many, `/terminal` a WebSocket with a terminal: `cat`,
or with `?busy` a program that prints a line twenty times a second.
"""

import asyncio
import os
import pty
import sys

import uvloop
from aiohttp import web

PIECE = memoryview(bytes(1 << 20))
SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
BUSY = "while :; do echo 'epoch 12 loss 0.0031 acc 0.981'; sleep 0.05; done"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests as they arrive."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        path = head.split(b" ", 2)[1]
        if not path.startswith(b"/big/"):
            writer.write(SMALL)
            continue
        left = int(path[5:])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
        while left:
            piece = PIECE[: min(left, len(PIECE))]
            writer.write(piece)
            await writer.drain()
            left -= len(piece)


async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve until the client closes the connection."""
    try:
        await serve(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def terminal(request: web.Request) -> web.WebSocketResponse:
    """Run a program on its own terminal."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    near, far = pty.openpty()
    words = ("sh", "-c", BUSY) if "busy" in request.query else ("cat",)
    program = await asyncio.create_subprocess_exec(
        *words, stdin=far, stdout=far, stderr=far, start_new_session=True
    )
    os.close(far)
    loop = asyncio.get_running_loop()
    output: asyncio.Queue[bytes] = asyncio.Queue()
    loop.add_reader(near, lambda: output.put_nowait(os.read(near, 65536)))

    async def show() -> None:
        while True:
            await socket.send_bytes(await output.get())

    showing = asyncio.create_task(show())
    try:
        async for message in socket:
            os.write(near, message.data)
    finally:
        showing.cancel()
        loop.remove_reader(near)
        program.kill()
        await program.wait()
        os.close(near)
    return socket


async def main(port: int) -> None:
    """Serve HTTP on `port`, and terminals on `port + 1`."""
    app = web.Application()
    app.router.add_get("/terminal", terminal)
    runner = web.AppRunner(app)
    await runner.setup()
    server = await asyncio.start_server(quietly, "127.0.0.1", port)
    await web.TCPSite(runner, "127.0.0.1", port + 1).start()  # the bench waits for this port
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
