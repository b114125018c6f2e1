"""Prism beside JupyterHub, dstack, SkyPilot, configurable-http-proxy and nginx: one run, in turns.

    make bench-peers

Writes its tables into docs/bench.md. If a program is not installed or does not start, its column
says so, and everything else is still measured.
"""

import json
import os
import platform
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Generic, TypeVar

import psutil
from living import IN_MEMORY, REAL, daemon, home
from load import Connection, alone, crowd
from page import PAGE, Report
from peer_programs import (
    TOKEN,
    TOOLS,
    Dstack,
    JupyterHub,
    Missing,
    Peer,
    Prism,
    SkyPilot,
    clean,
    free_ports,
    nginx_program,
    proxy_program,
    started,
)
from proxy import BIG, NGINX, TEMPLATE, Route, megabytes, plain_service, terminate
from reads import launched

from prism.client import Client

TABLE = re.compile(r"(<!-- peers -->\n).*(<!-- end of peers -->)", re.DOTALL)
FAILURES = (OSError, RuntimeError, ValueError, LookupError, subprocess.SubprocessError)
STARTS, COMMANDS, LISTS, ROUNDS, SECONDS = 3, 5, 5, 5, 2.0
CROWD = 64
SETTLED = 10  # seconds until the processes that a server starts after its first answer are there
MANY = 1000
NO_ACCOUNT = "not without a cloud account"
EMPTY = b"{}"
LISTED = "`workspace list`, `ps -a`, `status`"
Column = TypeVar("Column", bound="Peer | Proxy")
Result = TypeVar("Result")


class Table:
    """Rows and columns; a cell without a measurement says why."""

    def __init__(self, columns):
        self.columns, self.cells = list(columns), {}

    def say(self, row, column, text):
        """Set a cell and print it."""
        self.cells.setdefault(row, {})[column] = text
        print(f"{row:<56} {column:<32} {text}", flush=True)

    def __str__(self):
        lines = [f"| | {' | '.join(self.columns)} |", "|---" * (len(self.columns) + 1) + "|"]
        for row, cells in self.cells.items():
            texts = (cells.get(column, "") for column in self.columns)
            lines.append(f"| {row} | {' | '.join(texts)} |")
        return "\n".join(lines)


class Turns(Generic[Column]):
    """Measures columns in turns; a column that fails has no further turn."""

    def __init__(self, table: Table, columns: Iterable[Column]) -> None:
        self.table, self.left = table, list(columns)

    def each(
        self, times: int, row: str, measure: Callable[[Column], Result]
    ) -> dict[Column, list[Result]]:
        """Measure every column `times` times; the results, by column."""
        took: dict[Column, list[Result]] = {column: [] for column in self.left}
        for _ in range(times):
            for column in list(took):
                try:
                    took[column].append(measure(column))
                except (Missing, *FAILURES) as error:
                    del took[column]
                    why = "not installed" if isinstance(error, Missing) else "failed"
                    self.table.say(row, column.name, why)
                    print(f"  {type(error).__name__}: {error}", file=sys.stderr)
        return took


def commands(table, peers, servers):
    """Whole processes of the command lines: their help, and a list of what their server has."""
    lines: dict[str, dict[Peer, tuple[str, ...]]] = {
        "`--help`": {peer: ("--help",) for peer in peers}
    }
    prism, hub, dstack, sky = peers
    lines[LISTED] = {prism: ("workspace", "list"), dstack: ("ps", "-a"), sky: ("status",)}
    notes = {prism: f"{MANY:,} of them", dstack: "the newest 100", sky: "none of them"}
    table.say(LISTED, hub.name, "has no such command")
    for row, words in lines.items():

        def measure(peer, words=words):
            environ = servers[peer].environ if peer in servers else clean()
            spent, began = computed(), time.perf_counter()
            subprocess.run(
                peer.words(*words[peer]), env=environ, check=True, capture_output=True, timeout=120
            )
            return (time.perf_counter() - began) * 1000, (computed() - spent) * 1000

        for peer, took in Turns(table, words).each(COMMANDS, row, measure).items():
            note = notes[peer] if row == LISTED else ""
            wall, spent = (median(run[number] for run in took) for number in (0, 1))
            text = f"{wall:,.0f} ms, CPU {spent:,.0f}"
            table.say(row, peer.name, f"{text} ({note})" if note else text)


def computed():
    """Seconds of processor of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def starts(table, peers, folders):
    """Start each server in a used home: the time until its first answer, and its memory."""

    def measure(peer):
        words = peer.server(folders[peer])
        with started(*words) as running:
            spent = running.spent
            time.sleep(SETTLED if measured.get(peer, 0) == STARTS else 0)
            measured[peer] = measured.get(peer, 0) + 1
            return running.took, spent, running.mebibytes, len(running.processes)

    measured = {}
    row = "server, from its start to its first answer"
    by_peer = Turns(table, peers).each(STARTS + 1, row, measure)
    for peer, results in by_peer.items():
        took = min(start[0] for start in results[1:])
        spent = min(start[1] for start in results[1:])
        memory, processes = results[-1][2:]
        table.say(row, peer.name, f"{took:.1f} s")
        table.say("… CPU time of that", peer.name, f"{spent:.1f} s")
        several = f", {processes} processes" if processes > 1 else ""
        text = f"{memory:,.0f} MiB{several}"
        table.say(f"… memory, {SETTLED} s later", peer.name, text)


def lists(table, peers, servers):
    """Read the whole list of a thousand, in as many pages as it needs."""
    prism, hub, dstack, sky = peers
    ways = {prism: list_prism, hub: list_hub, dstack: list_dstack}
    row = f"the list of {MANY:,}"

    def measure(peer):
        running = servers[peer]
        with closing(Connection(running.port)) as to:
            ways[peer](to)
            began = time.perf_counter()
            count, size = ways[peer](to)
            took = time.perf_counter() - began
            if count != MANY:
                raise RuntimeError(f"{peer.name} lists {count}")
            return took * 1000, size / 1024

    columns = [peer for peer in ways if peer in servers]
    for peer, results in Turns(table, columns).each(LISTS, row, measure).items():
        took = median(listing[0] for listing in results)
        contents = {
            prism: "workspaces that run",
            hub: "people without a server, 5 pages",
            dstack: "runs that ended, 10 pages",
        }
        text = f"{took:,.1f} ms, {results[0][1]:,.0f} KiB ({contents[peer]})"
        table.say(row, peer.name, text)
    table.say(row, sky.name, NO_ACCOUNT)


def list_prism(to):
    """`GET /instances`."""
    body = to.ask("/api/v1/instances").body
    return body.count(b'"state":'), len(body)


def list_hub(to):
    """`GET /users`, 200 a page, its maximum."""
    count = size = 0
    accept = "application/jupyterhub-pagination+json"
    for offset in range(0, MANY, 200):
        path = f"/hub/api/users?limit=200&offset={offset}"
        body = to.ask(path, Authorization=f"token {TOKEN}", Accept=accept).body
        count, size = count + body.count(b'"kind": "user"'), size + len(body)
    return count, size


def list_dstack(to):
    """`POST /api/runs/list`, 100 a page, its maximum."""
    last: dict[str, str] = {}
    count = size = 0
    while True:
        request = json.dumps({"limit": 100} | last).encode()
        body = to.ask("/api/runs/list", "POST", request, Authorization=f"Bearer {TOKEN}").body
        runs = json.loads(body)
        count, size = count + len(runs), size + len(body)
        if len(runs) < 100:
            return count, size
        last = {"prev_submitted_at": runs[-1]["submitted_at"], "prev_run_id": runs[-1]["id"]}


def fill_hub(running, _folder):
    """A thousand users without servers, because each server is a process."""
    with closing(Connection(running.port)) as to:
        for first in range(0, MANY, 100):
            users = [f"w{number}" for number in range(first, first + 100)]
            body = json.dumps({"usernames": users}).encode()
            answer = to.ask("/hub/api/users", "POST", body, Authorization=f"token {TOKEN}")
            if answer.status != 201:
                raise RuntimeError(f"users: {answer.status} {answer.body[:200]!r}")


def fill_dstack(running, folder):
    """A run, which fails at once without a fleet and stays listed; then copies of its rows."""
    configuration = {"type": "task", "name": "w0", "commands": ["true"]}
    spec = {
        "run_name": "w0",
        "configuration": configuration,
        "repo_id": "none",
        "repo_data": {"repo_type": "virtual"},
        "configuration_path": "run.yml",
        "profile": {"name": "default"},
        "ssh_key_pub": "ssh-rsa AAAA",
    }
    body = json.dumps({"plan": {"run_spec": spec, "current_resource": None}, "force": False})
    secret = f"Bearer {TOKEN}"
    with closing(Connection(running.port)) as to:
        path = "/api/project/main/runs/apply"
        answer = to.ask(path, "POST", body.encode(), Authorization=secret)
        if answer.status != 200:
            raise RuntimeError(f"run: {answer.status} {answer.body[:200]!r}")
        until = time.monotonic() + 120
        while (
            b'"status":"failed"'
            not in to.ask("/api/runs/list", "POST", EMPTY, Authorization=secret).body
        ):
            if time.monotonic() > until:
                raise RuntimeError("its run does not end")
            time.sleep(0.5)
    file = folder / ".dstack" / "server" / "data" / "sqlite.db"
    with closing(sqlite3.connect(file, timeout=60)) as database, database:
        database.row_factory = sqlite3.Row
        run = dict(database.execute("SELECT * FROM runs").fetchone())
        jobs = [dict(row) for row in database.execute("SELECT * FROM jobs")]
        for number in range(1, MANY):
            new = {"id": uuid.uuid4().hex, "run_name": f"w{number}"}
            insert(database, "runs", run | new)
            for job in jobs:
                its = {"id": uuid.uuid4().hex, "run_id": new["id"], "run_name": new["run_name"]}
                insert(database, "jobs", job | its)


def insert(database, table, row):
    """Insert a row."""
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", [*row.values()])


def filled(peers, folders, stack):
    """The servers that could be started, each with a thousand entries."""
    prism, hub, dstack, _ = peers
    fill = {
        prism: lambda server, _: launched(server.port, range(MANY), Quiet()),
        hub: fill_hub,
        dstack: fill_dstack,
    }
    servers = {}
    for peer in peers:
        try:
            words, *more = peer.server(folders[peer])
            running = stack.enter_context(started(IN_MEMORY if peer is prism else words, *more))
            if peer in fill:
                fill[peer](running, folders[peer])
            servers[peer] = running
        except (Missing, *FAILURES) as error:
            print(f"{peer.name} is left out of the lists: {error}", file=sys.stderr)
    return servers


class Quiet(Report):
    """A report that discards its rows."""

    def say(self, *_, **__):
        pass


class Proxy(Route):
    """A route to the service, and the processor time of its proxy."""

    def __init__(self, name, port, host, spent):
        super().__init__(name, port, host)
        self.spent = spent


@contextmanager
def through_prism(folder):
    """Prism, with the service in a workspace."""
    (folder / "templates").mkdir(mode=0o700)
    (folder / "templates" / "measured.yml").write_text(TEMPLATE)
    with daemon(folder, REAL) as server, ExitStack() as stack:
        client = Client(home=str(folder))
        client.workspaces.launch("Measured", "mine", wait=120)
        stack.callback(terminate, client)
        process = psutil.Process(server.process.pid)

        def spent():
            return sum(process.cpu_times()[:2])

        yield Proxy("Prism", server.port, f"mine.localhost:{server.port}", spent)


@contextmanager
def through_node(port):
    """JupyterHub's proxy with one route."""
    front, api = free_ports(2)
    listen = ("--ip", "127.0.0.1", "--port", str(front), "--api-ip", "127.0.0.1")
    target = ("--api-port", str(api), "--default-target", f"http://127.0.0.1:{port}")
    words = (str(proxy_program()), *listen, *target, "--log-level", "error")
    environ = clean(CONFIGPROXY_AUTH_TOKEN=TOKEN)
    package = TOOLS / "proxy" / "node_modules" / "configurable-http-proxy" / "package.json"
    version = json.loads(package.read_text())["version"]
    with started(words, environ, front, "/small") as running:
        name = f"configurable-http-proxy {version}"
        yield Proxy(name, front, f"127.0.0.1:{front}", lambda: running.spent)


@contextmanager
def through_nginx(folder, port):
    """nginx with one worker."""
    [front] = free_ports(1)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, front=front))
    completed = subprocess.run([nginx_program(), "-v"], capture_output=True, text=True, check=True)
    words = (nginx_program(), "-p", str(folder), "-c", str(config))
    with started(words, clean(), front, "/small") as running:
        version = completed.stderr.rpartition("/")[2].split()[0]
        yield Proxy(f"nginx {version}", front, f"127.0.0.1:{front}", lambda: running.spent)


def proxies(stack):
    """Measure each route to the service, the direct one first; name those that did not open."""
    plain = stack.enter_context(plain_service())
    ways = [Proxy("direct", plain, f"127.0.0.1:{plain}", lambda: 0.0)]
    folder = stack.enter_context(home())
    for open_way in (
        lambda: through_prism(stack.enter_context(home())),
        lambda: through_node(plain),
        lambda: through_nginx(folder, plain),
    ):
        try:
            ways.append(stack.enter_context(open_way()))
        except Missing:
            print("a proxy is not installed and is left out", file=sys.stderr)
        except FAILURES as error:
            print(f"a proxy did not start and is left out: {error}", file=sys.stderr)
    table = Table(way.name for way in ways)
    for connections in (1, CROWD):
        small(table, ways, connections)
    fresh(table, ways)
    large(table, ways)
    return table


def small(table, ways, connections):
    """Time answers of 100 bytes."""
    many = f"{connections} connections" if connections > 1 else "1 connection"
    row = f"small requests, {many}"

    def measure(way):
        spent = way.spent()
        load = crowd(way.port, "/small", SECONDS, connections, way.host)
        return load, (way.spent() - spent) / (load.rate * SECONDS)

    for way, results in Turns(table, ways).each(ROUNDS, row, measure).items():
        best = max((trial[0] for trial in results), key=lambda load: load.rate)
        table.say(row, way.name, f"{best.rate:,.0f}/s")
        table.say(f"… p50, p99 of {many}", way.name, f"{best.p50:.2f} ms, {best.p99:.2f} ms")
        if way is not ways[0]:
            each = min(trial[1] for trial in results) * 1e6
            table.say(
                f"… the proxy's CPU time for each request, {many}", way.name, f"{each:,.0f} µs"
            )


def fresh(table, ways):
    """Time answers on new connections, for which Prism looks up the process of the client."""
    row = "a small request on a new connection, p50"
    by_way = Turns(table, ways).each(
        ROUNDS, row, lambda way: alone(way.port, "/small", 1, way.host)
    )
    for way, results in by_way.items():
        table.say(row, way.name, f"{min(trial.p50 for trial in results):.2f} ms")


def large(table, ways):
    """Time a download of a gigabyte."""
    row = f"download of {BIG >> 30} GiB"

    def measure(way):
        spent = way.spent()
        return megabytes(way), way.spent() - spent

    results = Turns(table, ways).each(ROUNDS, row, measure)
    direct = max(trial[0] for trial in results[ways[0]])
    for way, trials in results.items():
        best = max(trial[0] for trial in trials)
        share = "" if way is ways[0] else f", {best / direct:.0%} of direct"
        table.say(row, way.name, f"{best:,.0f} MB/s{share}")
        if way is not ways[0]:
            each = min(trial[1] for trial in trials)
            table.say("… the proxy's CPU time for it", way.name, f"{each:.2f} s")


def main():
    """Measure, and write the page."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that every process is ended
    peers = [Prism(), JupyterHub(), Dstack(), SkyPilot()]
    table = Table(peer.name for peer in peers)
    with ExitStack() as stack:
        folders = {peer: stack.enter_context(home()) for peer in peers}
        starts(table, peers, folders)
        with ExitStack() as running:
            folders[peers[0]] = running.enter_context(home())
            servers = filled(peers, folders, running)
            lists(table, peers, servers)
            commands(table, peers, servers)
    with ExitStack() as stack:
        ways = proxies(stack)
    write(table, ways)


def write(table, ways):
    """Put both tables into the page, between their marks."""
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} on "
        f"{platform.machine()}, CPython {platform.python_version()}. The average load of "
        f"the last 15 minutes was {os.getloadavg()[2]:.1f}, which includes the benchmarks."
    )
    text = f"{about}\n\n{table}\n\n{ways}\n"
    PAGE.write_text(TABLE.sub(lambda it: f"{it[1]}{text}{it[2]}", PAGE.read_text()))


if __name__ == "__main__":
    main()
