"""A thousand readers of the event stream in one process: their delay and what they miss."""

import os
import re
import resource
import select
import signal
import socket
import time
from statistics import median, quantiles

from living import Daemon
from page import Report

READERS, EVENTS = 1000, 1000
SENT = re.compile(rb'"sent": ?(\d+)')
PATIENCE = 60.0


def listeners(daemon: Daemon, report: Report) -> None:
    """Open the readers, let the daemon record events, and count what arrives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, READERS + 500)), hard))
    readers = [_subscribe(daemon.port) for _ in range(READERS)]
    try:
        os.kill(daemon.process.pid, signal.SIGUSR1)
        late, heard = _receive(readers)
    finally:
        for reader in readers:
            reader.close()
    lost = READERS * EVENTS - heard
    worst = quantiles(late, n=100)[98]
    rate = "100 events/s"
    report.say(
        f"SSE, {READERS:,} readers, {rate}: from commit to reader, p50", f"{median(late):.0f} ms"
    )
    report.say("… p99", f"{worst:.0f} ms", "≤ 250 ms", worst <= 250)
    report.say(f"… lost of {READERS * EVENTS:,}", f"{lost:,}", "0", lost == 0)


def _subscribe(port: int) -> socket.socket:
    reader = socket.create_connection(("127.0.0.1", port))
    reader.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
    received = b""
    while b"\nid: " not in received:  # the stream starts with its position
        received += reader.recv(65536)
    reader.setblocking(False)
    return reader


def _receive(readers: list[socket.socket]) -> tuple[list[float], int]:
    """The delay of each event in milliseconds, and how many arrived."""
    poll, rests = select.epoll(), dict[int, bytes]()
    by_number = {reader.fileno(): reader for reader in readers}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
        rests[number] = b""
    late: list[float] = []
    until = time.monotonic() + PATIENCE
    while len(late) < READERS * EVENTS and time.monotonic() < until:
        for number, _ in poll.poll(1):
            received = rests[number] + by_number[number].recv(1 << 20)
            now = time.monotonic_ns()
            whole, _, rests[number] = received.rpartition(b"\n\n")
            late += [(now - int(sent)) / 1e6 for sent in SENT.findall(whole)]
    return late, len(late)
