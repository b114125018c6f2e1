"""The cost of the proxy to a workspace, beside a direct connection and nginx.

Every figure of a comparison comes from one run, one after the other, on one machine.
`python bench/measure.py proxy`.
"""

import asyncio
import base64
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles

import psutil
from living import REAL, Daemon, daemon, home
from load import Load, load
from page import Report

from prism.client import Client

SERVICE = Path(__file__).with_name("service.py")
BROUGHT = base64.b64encode(SERVICE.read_bytes()).decode()
TEMPLATE = f"""
name: Measured
packages: {{pip: []}}
ports: [8888]
post_install: ['echo {BROUGHT} | base64 -d >"$HOME/service.py"']
services:
  page:
    command: "{sys.executable} {{home}}/service.py {{port}}"
    port: 8888
    health: /small
"""
BIG = 1 << 30
CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
ROUNDS, SECONDS = 5, 3.0
IDLE, BUSY, KEYS = 1000, 50, 400
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  upstream service {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{front};
    location / {{
      proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Route:
    """A route to the service: a port of this machine, and the value of `Host`."""

    def __init__(self, name: str, port: int, host: str) -> None:
        self.name, self.port, self.host = name, port, host


def proxied(report: Report) -> None:
    """Run every measurement of the proxy."""
    with ExitStack() as stack:
        folder = stack.enter_context(home())
        (folder / "templates").mkdir(mode=0o700)
        (folder / "templates" / "measured.yml").write_text(TEMPLATE)
        server = stack.enter_context(daemon(folder, REAL))
        client = Client(home=str(folder))
        client.workspaces.launch("Measured", "mine", wait=120)
        stack.callback(terminate, client)
        real = int(client.workspaces.connect("mine").services["page"].url.rpartition(":")[2])
        plain = stack.enter_context(plain_service())
        ways = [
            Route("direct", plain, f"127.0.0.1:{plain}"),
            Route("through Prism", server.port, f"mine.localhost:{server.port}"),
            Route("through the service's own port", real, f"127.0.0.1:{real}"),
        ]
        if shutil.which("nginx"):
            ways.append(stack.enter_context(through_nginx(folder, plain)))
        bulk(report, ways, server)
        small(report, ways)
        terminals(report, server, plain + 1, real + 1)
        idle(report, server, real + 1)


def bulk(report: Report, ways: list[Route], server: Daemon) -> None:
    """Time downloads of a gigabyte, in turns, and the processor time of the daemon."""
    best = dict.fromkeys(ways, 0.0)
    prism = psutil.Process(server.process.pid)
    spent = -sum(prism.cpu_times()[:2])
    for _ in range(ROUNDS):
        for way in ways:
            best[way] = max(best[way], megabytes(way))
    direct = best[ways[0]]
    report.say("the system's congestion control for TCP", CONGESTION_CONTROL.read_text().strip())
    for way, rate in best.items():
        share = rate / direct
        ours = way is ways[1]
        value = f"{rate:,.0f} MB/s" + ("" if way is ways[0] else f", {share:.0%} of direct")
        aim = ("≥ 50 % of direct", share >= 0.5) if ours else ()
        report.say(f"download of 1 GiB, {way.name}", value, *aim)
    each = (spent + sum(prism.cpu_times()[:2])) / ROUNDS
    report.say("… CPU time of the daemon for it", f"{each:.2f} s")


def small(report: Report, ways: list[Route]) -> None:
    """Time answers of 100 bytes on one kept-alive connection, and on eight."""
    halves: dict[Route, list[Load]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            halves[way].append(load(way.port, "/small", SECONDS / ROUNDS, Host=way.host))
    direct = median(half.p50 for half in halves[ways[0]])
    for way, loads in halves.items():
        p50, p99 = median(half.p50 for half in loads), median(half.p99 for half in loads)
        value = f"{median(half.rate for half in loads):,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        report.say(f"small request, {way.name}", value)
        if way is not ways[0]:
            added = p50 - direct
            aim = ("≤ 0.5 ms", added <= 0.5) if way is ways[1] else ()
            report.say(f"… added to the p50, {way.name}", f"{added:.2f} ms", *aim)
    for way in ways:
        eight = load(way.port, "/small", SECONDS, 8, Host=way.host)
        report.say(f"small requests, eight at once, {way.name}", str(eight))


def terminals(report: Report, server: Daemon, plain: int, port: int) -> None:
    """Time from a key to its echo, while other terminals are busy."""
    for name, at, host in (
        ("direct", plain, f"127.0.0.1:{plain}"),
        ("through Prism", server.port, f"{port}--mine.localhost:{server.port}"),
    ):
        took = asyncio.run(_echo_times(at, host))
        p50, p99 = median(took), quantiles(took, n=100)[98]
        aim = ("p99 ≤ 5 ms", p99 <= 5) if at == server.port else ()
        value = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        report.say(f"echo of a key beside {BUSY} busy terminals, {name}", value, *aim)


def idle(report: Report, server: Daemon, port: int) -> None:
    """The memory of idle WebSockets."""
    with ExitStack() as stack:
        host = f"{port}--mine.localhost:{server.port}"
        stack.enter_context(_websocket(server.port, host))
        before = server.rss
        for _ in range(IDLE):
            stack.enter_context(_websocket(server.port, host))
        each = (server.rss - before) * 1024 / IDLE
        value = f"{server.rss - before:.0f} MiB, {each:.1f} KiB each"
        report.say(f"memory of {IDLE:,} idle WebSockets", value)


def megabytes(way: Route) -> float:
    with socket.create_connection(("127.0.0.1", way.port)) as to:
        buffer = bytearray(1 << 20)
        to.sendall(f"GET /big/{BIG} HTTP/1.1\r\nHost: {way.host}\r\n\r\n".encode())
        began, got = time.perf_counter(), 0
        while got < BIG:
            read = to.recv_into(buffer)
            if not read:
                raise RuntimeError(f"{way.name}: it ended after {got} bytes")
            got += read
        return BIG / 1e6 / (time.perf_counter() - began)


@contextmanager
def _websocket(port: int, host: str, query: str = "") -> Iterator[socket.socket]:
    """Open a WebSocket to the terminal."""
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    with socket.create_connection(("127.0.0.1", port)) as to:
        to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        to.sendall(
            f"GET /terminal{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += to.recv(1)
        if b" 101 " not in head:
            raise RuntimeError(head.decode("latin-1"))
        yield to


async def _echo_times(port: int, host: str) -> list[float]:
    """Milliseconds from each key to its echo; output of busy terminals is discarded."""
    with ExitStack() as stack:
        busy = [stack.enter_context(_websocket(port, host, "?busy")) for _ in range(BUSY)]
        mine = stack.enter_context(_websocket(port, host))
        reading = [asyncio.create_task(_discard(await _stream(websocket))) for websocket in busy]
        reader, writer = await _stream(mine)
        took = []
        for _ in range(KEYS):
            began = time.perf_counter()
            writer.write(_frame(b"k"))
            await reader.read(64)
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.005)
        for task in reading:
            task.cancel()
        return took


async def _stream(websocket: socket.socket) -> Streams:
    return await asyncio.open_connection(sock=websocket.dup())


async def _discard(streams: Streams) -> None:
    while await streams[0].read(1 << 16):
        pass


def _frame(text: bytes) -> bytes:
    mask = secrets.token_bytes(4)
    masked = bytes(b ^ mask[n % 4] for n, b in enumerate(text))
    return bytes((0x82, 0x80 | len(text))) + mask + masked


@contextmanager
def plain_service() -> Iterator[int]:
    """Run the service without Prism; yields its port. The next port serves its terminals."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, SERVICE, str(port)])
    try:
        while not is_open(port + 1):
            if process.poll() is not None:
                raise RuntimeError(f"the service ended: {process.returncode}")
            time.sleep(0.02)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextmanager
def through_nginx(folder: Path, port: int) -> Iterator[Route]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        front = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, front=front))
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(["nginx", "-p", folder, "-c", config], stderr=quiet)
    try:
        while not is_open(front):
            time.sleep(0.02)
        yield Route("through nginx", front, f"127.0.0.1:{front}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def terminate(client: Client) -> None:
    client.workspaces.terminate("mine", wait=60)
