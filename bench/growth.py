"""How each cost grows with the fleet: the same requests with 100, 1,000 and 10,000 workspaces.

The fleet has what a real one has: 200 projects, each with an allocation from one of 20 budget
pools, workspaces with prices in all of them and an idle profile for every second one. The
exponent is the slope of the logarithms from the first size to the last: 0 is flat, 1 grows as the
fleet does. The curves are drawn into `docs/growth.svg`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from math import log
from pathlib import Path
from statistics import median

import psutil
from curves import draw
from living import BIN, Daemon, daemon, home
from load import Connection, at_once, load
from page import Report

API = "/api/v1"
PICTURE = Path(__file__).parents[1] / "docs" / "growth.svg"
SIZES = (100, 1_000, 10_000)
PROJECTS, POOLS = 200, 20
CALM, SETTLES, TRIES, ASKS, SECONDS = 60.0, 90.0, 30, 400, 2.0
DOCTORS = 5  # the best of them, since other work can only slow them down
LOOKED = "bench-looked"  # in the home, see `daemon.py`
PRICED = {"PRISM_LOCAL_PRICES": "aws"}
ASKED = {
    "`GET /instances/w7`": "/instances/w7",
    "`GET /instances?limit=50`": "/instances?limit=50",
    "`GET /instances?state=stopped&limit=50`": "/instances?state=stopped&limit=50",
    "`GET /instances?project=p7&limit=50`": "/instances?project=p7&limit=50",
    "`GET /costs/current`": "/costs/current",
    "`GET /projects` (200)": "/projects",
    "`GET /budgets` (20)": "/budgets",
}
Curves = dict[str, list[float]]


def growth(report: Report) -> None:
    """One fleet that grows, measured at each size."""
    curves: Curves = {}
    with home() as folder:
        have = 0
        for size in SIZES:
            with daemon(folder, **PRICED) as server:
                if not have:
                    _create_projects(server.port)
                settled = _launch(server.port, range(have, size))
                curves.setdefault("settled, after the last launch", []).append(settled)
                have = size
                _measure(server, curves)
            with daemon(folder, **PRICED) as server:
                curves.setdefault("start, processor", []).append(server.spent)
    draw(PICTURE, SIZES, curves)
    for label, took in curves.items():
        slope = log(took[-1] / took[0]) / log(SIZES[-1] / SIZES[0]) if min(took) > 0 else 0.0
        unit = "%" if label.startswith("calm") else "ms"
        values = ", ".join(f"{value:.2f}" for value in took)
        report.say(f"{label} with {', '.join(f'{size:,}' for size in SIZES)}", f"{values} {unit}")
        report.say("… exponent", f"{slope:.2f}")


def _measure(server: Daemon, curves: Curves) -> None:
    def say(label: str, took: float) -> None:
        curves.setdefault(label, []).append(took)
        print(f"  {label:<60} {took:.2f}", file=sys.stderr, flush=True)

    time.sleep(SETTLES)  # new workspaces are surveyed once more
    with closing(Connection(server.port)) as to:
        for label, path in ASKED.items():
            say(label, _median_time(lambda path=path: to.ask(f"{API}{path}")))
        for verb in ("stop", "start"):
            took = []
            for number in range(TRIES):
                began = time.perf_counter()
                answer = to.ask(f"{API}/instances/w{number}/{verb}", "POST")
                if answer.status != 200:
                    raise RuntimeError(f"{verb}: {answer.status} {answer.body[:200]!r}")
                took.append((time.perf_counter() - began) * 1000)
            say(f"`POST /instances/NAME/{verb}`", median(took))
            _wait(lambda: _settled(to))
        for verb in ("stop", "start"):
            say(f"`POST /instances/NAME/{verb}`, 16 connections, each", _burst(server.port, verb))
            _wait(lambda: _settled(to))
    for connections in (16, 64):
        loaded = load(server.port, f"{API}/instances/w7", SECONDS, connections)
        say(f"`GET /instances/w7`, {connections} connections, p99", loaded.p99)
    say("calm daemon, CPU", _idle_load(server))
    say("`prism doctor`", min(_doctor_time(server) for _ in range(DOCTORS)))


def _doctor_time(server: Daemon) -> float:
    """Milliseconds of one `prism doctor` on the daemon's computer."""
    began = time.perf_counter()
    subprocess.run([BIN / "prism", "doctor"], env=server.environ, check=False, capture_output=True)
    return (time.perf_counter() - began) * 1000


def _burst(port: int, verb: str) -> float:
    """Milliseconds for each of a hundred requests that come over 16 connections."""

    def ask(to: Connection, number: int) -> None:
        answer = to.ask(f"{API}/instances/w{number}/{verb}", "POST")
        if answer.status != 200:
            raise RuntimeError(f"{verb}: {answer.status} {answer.body[:200]!r}")

    began = time.perf_counter()
    at_once(port, range(SIZES[0]), ask, 16)
    return (time.perf_counter() - began) * 1000 / SIZES[0]


def _median_time(ask: Callable[[], object]) -> float:
    took = []
    for _ in range(ASKS):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


def _idle_load(server: Daemon) -> float:
    """Percent of a core without requests, less the surveys of the bench's machines."""
    process = psutil.Process(server.process.pid)
    looked = Path(server.environ["PRISM_HOME"], LOOKED)

    def computed() -> float:
        return sum(process.cpu_times()[:2]) - float(looked.read_text())

    time.sleep(SETTLES)  # restarted workspaces are surveyed once more
    before = computed()
    time.sleep(CALM)
    return (computed() - before) / CALM * 100


def _create_projects(port: int) -> None:
    with closing(Connection(port)) as to:
        pools = [
            _create(to, "/budgets", name=f"grant {number}", total_amount=1e6, period="project",
                    start_date="2026-01-01T00:00:00Z", created_by="bench")["id"]
            for number in range(POOLS)
        ]  # fmt: skip
        for number in range(PROJECTS):
            project = _create(to, "/projects", name=f"p{number}")["id"]
            _create(to, "/allocations", budget_id=pools[number % POOLS], project_id=project,
                    allocated_amount=10_000.0, allocated_by="bench")  # fmt: skip


def _launch(port: int, names: range) -> float:
    """Milliseconds from the last answer until all of them run."""

    def launch(to: Connection, number: int) -> None:
        profile = {"idle_profile": "batch"} if number % 2 else {}
        order = {"template": "Plain Shell", "project": f"p{number % PROJECTS}", **profile}
        _create(to, "/instances/launch", name=f"w{number}", **order)

    at_once(port, names, launch)
    began = time.perf_counter()
    with closing(Connection(port)) as to:
        _wait(lambda: _settled(to))
    return (time.perf_counter() - began) * 1000


def _settled(to: Connection) -> bool:
    changing = ("launching", "starting", "stopping")
    paths = [f"{API}/instances?state={state}&limit=1" for state in changing]
    return not any(json.loads(to.ask(path).body) for path in paths)


def _wait(fact: Callable[[], bool]) -> None:
    until = time.monotonic() + 1800
    while not fact():
        if time.monotonic() > until:
            raise RuntimeError("it did not become so")
        time.sleep(0.2)


def _create(to: Connection, path: str, **fields: object) -> dict[str, str]:
    answer = to.ask(f"{API}{path}", "POST", json.dumps(fields).encode())
    if answer.status not in (200, 201):
        raise RuntimeError(f"{path}: {answer.status} {answer.body[:300]!r}")
    created: dict[str, str] = json.loads(answer.body)
    return created
