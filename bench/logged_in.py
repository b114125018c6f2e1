"""A lab of 200 people: each is logged in with a browser that has an event stream open."""

import json
import select
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from statistics import median, quantiles

import psutil
from living import Daemon, daemon, home
from load import Connection, load
from page import Report

from prism.client import Client
from prism.kit.cookies import SESSION_COOKIE

PEOPLE, CHANGES, A_SECOND = 200, 200, 10
IDLE_SECONDS = 10.0
PAUSE = 0.05  # seconds between the requests of one person
LAST_CHUNK = b"0\r\n\r\n"  # of an answer
CHANGED = b"event: project_"
PATIENCE = 60.0
SETTINGS = {
    "PRISM_AUTH": "tokens",
    "PRISM_USER": "ada@example.org",
    "PRISM_PUBLIC_URL": "http://prism.localhost:{port}",
}


def logged_in(report: Report) -> None:
    """People log in one after the other; then all of them have a page open."""
    with home() as folder, daemon(folder, **SETTINGS) as server, ExitStack() as stack:
        operator = Client(home=folder)
        project = operator.projects.create("reef")
        cookies = _log_in(server, operator, project.id, report)
        token = operator.tokens.create("bench", user="p0@example.org").token
        _requests(server, cookies[0], str(token), report)
        process = psutil.Process(server.process.pid)
        before = server.rss
        readers = [_subscribe(server.port, cookie) for cookie in cookies]
        for reader in readers:
            stack.enter_context(closing(reader))
        each = (server.rss - before) * 1024 / PEOPLE
        report.say(
            f"memory with {PEOPLE} people logged in with event streams",
            f"{server.rss:.0f} MiB, {each:.0f} KiB for each stream",
        )
        spent = _spent(process)
        time.sleep(IDLE_SECONDS)
        idle = (_spent(process) - spent) / IDLE_SECONDS
        report.say("… CPU while nothing happens", f"{idle * 100:.1f} % of one core")
        _changes(server, operator, project.id, readers, cookies[0], report)
        _end(operator, readers[-1], report)


def _log_in(server: Daemon, operator: Client, project: str, report: Report) -> list[str]:
    """The cookie of each person, who comes with a one-time link."""
    people = [f"p{number}@example.org" for number in range(PEOPLE)]
    for person in people:
        operator.members.add(project, person)
    links = [str(operator.sessions.create_link(person).url).partition("#")[2] for person in people]
    took, cookies = [], []
    origin = {"Origin": f"http://prism.localhost:{server.port}", "Sec_Fetch_Site": "same-origin"}
    for link in links:
        with closing(Connection(server.port)) as to:
            began = time.perf_counter()
            body = json.dumps({"link": link}).encode()
            answer = to.ask("/api/v1/login", "POST", body, **_at(server.port), **origin)
            took.append((time.perf_counter() - began) * 1000)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        assert answer.status == 200 and cookie.startswith(SESSION_COOKIE)
        cookies.append(cookie)
    row = f"{PEOPLE} people log in, each"
    report.say(row, f"p50 {median(took):.1f} ms, max {max(took):.0f} ms")
    return cookies


def _requests(server: Daemon, cookie: str, token: str, report: Report) -> None:
    """A request of a browser beside the same one of a program with a token, alternately."""
    ratios, by_session = [], []
    for _ in range(3):
        program = load(server.port, "/api/v1/projects", 1.0, Authorization=f"Bearer {token}")
        browser = load(server.port, "/api/v1/projects", 1.0, 1, Cookie=cookie, **_at(server.port))
        ratios.append(browser.p50 / program.p50)
        by_session.append(browser.p50)
    report.say(
        "`GET /projects` with a session",
        f"p50 {min(by_session):.2f} ms, {median(ratios):.2f} × of that with a token",
    )


def _at(port: int) -> dict[str, str]:
    """The public address, at which cookies count."""
    return {"Host": f"prism.localhost:{port}"}


def _subscribe(port: int, cookie: str) -> socket.socket:
    reader = socket.create_connection(("127.0.0.1", port))
    head = f"Host: prism.localhost:{port}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"
    reader.sendall(f"GET /api/v1/events HTTP/1.1\r\n{head}\r\n".encode())
    received = b""
    while b"\nid: " not in received:  # the stream starts with its position
        received += reader.recv(65536)
    reader.setblocking(False)
    return reader


def _spent(process: psutil.Process) -> float:
    """Seconds of CPU time."""
    return float(sum(process.cpu_times()[:2]))


def _changes(
    server: Daemon,
    operator: Client,
    project: str,
    readers: list[socket.socket],
    cookie: str,
    report: Report,
) -> None:
    """Change something that all of them see, while one of them works."""
    sent: list[float] = []
    took: list[float] = []
    over = threading.Event()

    def change() -> None:
        begun = time.monotonic()
        for number in range(CHANGES):
            time.sleep(max(0.0, begun + number / A_SECOND - time.monotonic()))
            sent.append(time.monotonic())
            operator.projects.update(project, description=f"change {number}")

    def work() -> None:
        with closing(Connection(server.port)) as to:
            while not over.wait(PAUSE):
                began = time.perf_counter()
                to.ask("/api/v1/projects", Cookie=cookie, **_at(server.port))
                took.append((time.perf_counter() - began) * 1000)

    process = psutil.Process(server.process.pid)
    spent, began = _spent(process), time.monotonic()
    threads = [threading.Thread(target=change), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    late = _receive(readers, sent)
    over.set()
    for thread in threads:
        thread.join()
    busy = (_spent(process) - spent) / (time.monotonic() - began)
    worst = quantiles(late, n=100)[98]
    report.say(
        f"{A_SECOND} changes/s that all {PEOPLE} see: from the request to the browser, p50",
        f"{median(late):.0f} ms",
    )
    report.say("… p99", f"{worst:.0f} ms", "≤ 250 ms", worst <= 250)
    lost = PEOPLE * CHANGES - len(late)
    report.say(f"… lost of {PEOPLE * CHANGES:,}", f"{lost:,}", "0", lost == 0)
    report.say("… CPU meanwhile", f"{busy * 100:.0f} % of one core")
    slow = quantiles(took, n=100)[98]
    report.say(
        "… `GET /projects` of one of them meanwhile",
        f"p50 {median(took):.1f} ms, p99 {slow:.0f} ms, of {len(took):,} requests",
    )


def _receive(readers: list[socket.socket], sent: list[float]) -> list[float]:
    """The delay of each change at each reader, in milliseconds."""
    poll, rests, seen = select.epoll(), dict[int, bytes](), Counter[int]()
    by_number = {reader.fileno(): reader for reader in readers}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
        rests[number] = b""
    late: list[float] = []
    until = time.monotonic() + PATIENCE + CHANGES / A_SECOND
    while len(late) < len(readers) * CHANGES and time.monotonic() < until:
        for number, _ in poll.poll(1):
            received = rests[number] + by_number[number].recv(1 << 20)
            now = time.monotonic()
            whole, _, rests[number] = received.rpartition(b"\n\n")
            for _ in range(whole.count(CHANGED)):
                late.append((now - sent[seen[number]]) * 1000)
                seen[number] += 1
    return late


def _end(operator: Client, reader: socket.socket, report: Report) -> None:
    """How soon the stream of somebody ends whose session is ended; the connection may stay."""
    began, received = time.monotonic(), b""
    operator.sessions.end_all(f"p{PEOPLE - 1}@example.org")
    while not received.endswith(LAST_CHUNK) and time.monotonic() - began < PATIENCE:
        if select.select([reader], [], [], 1)[0]:
            received += reader.recv(1 << 20)
    took = time.monotonic() - began
    row = "… the stream of somebody whose session is ended, ends after"
    report.say(row, f"{took:.2f} s", "≤ 2 s", took <= 2)
