"""How each cost grows with the fleet: the same requests with 100, 1,000 and 10,000 workspaces.

The fleet has what a real one has: 200 projects, each with an allocation from one of 20 budget
pools, workspaces with prices in all of them and an idle profile for every second one. The
exponent is the slope of the logarithms from the first size to the last: 0 is flat, 1 grows as the
fleet does. The curves are drawn into `docs/growth.svg`.

How long a small GET takes depends more on where the system lets the two programs run than on the
fleet. So a daemon with 100 stays alive, and is asked in turns with each larger one: exponent and
curve are from the ratio of the two.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
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
CALM, SETTLES, TRIES, SECONDS = 60.0, 90.0, 30, 2.0
TURNS, ASKS = 14, 100  # in each turn, both daemons answer the same GET so often
DOCTORS = 5  # the best of them, since other work can only slow them down
LOOKED = "bench-looked"  # in the home, see `daemon.py`
PRICED = {"PRISM_LOCAL_PRICES": "aws"}
ASKED = {
    "`GET /instances/w7`": "/instances/w7",
    "`GET /instances?limit=50`": "/instances?limit=50",
    "`GET /instances?state=stopped&limit=50`": "/instances?state=stopped&limit=50",
    "`GET /instances?project=p7&limit=50`": "/instances?project=p7&limit=50",
    "`GET /daemon/status`": "/daemon/status",
    "`GET /costs/current`": "/costs/current",
    "`GET /projects` (200)": "/projects",
    "`GET /budgets` (20)": "/budgets",
}
Curves = dict[str, list[float]]


def growth(report: Report) -> None:
    """One fleet that grows, measured at each size."""
    curves: Curves = {}
    small: Curves = {}
    with home() as folder, home() as copied, ExitStack() as stack:
        have, smallest = 0, None
        for size in SIZES:
            with daemon(folder, **PRICED) as server:
                if not have:
                    _create_projects(server.port)
                settled = _launch(server.port, range(have, size))
                curves.setdefault("settled, after the last launch", []).append(settled)
                have = size
                time.sleep(SETTLES)  # new workspaces are surveyed once more
                _get(server.port, (smallest or server).port, curves, small)
                _measure(server, curves)
            with daemon(folder, **PRICED) as server:
                curves.setdefault("start, processor", []).append(server.spent)
            if smallest is None:
                shutil.copytree(folder, copied, dirs_exist_ok=True)
                smallest = stack.enter_context(daemon(copied, **PRICED))
    compared = {
        label: [a * beside[0] / b for a, b in zip(curves[label], beside, strict=True)]
        for label, beside in small.items()
    }
    draw(PICTURE, SIZES, curves | compared)
    for label, took in curves.items():
        unit = "%" if label.startswith("calm") else "ms"
        sizes = ", ".join(f"{size:,}" for size in SIZES)
        report.say(f"{label} with {sizes}", f"{_list(took)} {unit}")
        if label in small:
            report.say("… with 100, in turns with these", f"{_list(small[label])} ms")
        took = compared.get(label, took)
        slope = log(took[-1] / took[0]) / log(SIZES[-1] / SIZES[0]) if min(took) > 0 else 0.0
        report.say("… exponent", f"{slope:.2f}")


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" if value < 1 else f"{value:.2f}" for value in values)


def _say(curves: Curves, label: str, took: float) -> None:
    curves.setdefault(label, []).append(took)
    print(f"  {label:<60} {took:.3f}", file=sys.stderr, flush=True)


def _get(port: int, small_port: int, curves: Curves, small: Curves) -> None:
    """Each GET of a daemon and of the one with 100, in turns: the least of each one's medians."""
    with closing(Connection(port)) as to, closing(Connection(small_port)) as to_small:
        for label, path in ASKED.items():
            medians: list[tuple[float, float]] = []
            for _ in range(TURNS):
                url = f"{API}{path}"
                medians.append((_median_time(to, url), _median_time(to_small, url)))
            took, beside = map(min, zip(*medians, strict=True))
            _say(curves, label, took)
            _say(small, label, beside)


def _measure(server: Daemon, curves: Curves) -> None:
    with closing(Connection(server.port)) as to:
        for verb in ("stop", "start"):
            took = []
            for number in range(TRIES):
                began = time.perf_counter()
                answer = to.ask(f"{API}/instances/w{number}/{verb}", "POST")
                if answer.status != 200:
                    raise RuntimeError(f"{verb}: {answer.status} {answer.body[:200]!r}")
                took.append((time.perf_counter() - began) * 1000)
            _say(curves, f"`POST /instances/NAME/{verb}`", median(took))
            _wait(lambda: _settled(to))
        for verb in ("stop", "start"):
            each = _burst(server.port, verb)
            _say(curves, f"`POST /instances/NAME/{verb}`, 16 connections, each", each)
            _wait(lambda: _settled(to))
    for connections in (16, 64):
        loaded = load(server.port, f"{API}/instances/w7", SECONDS, connections)
        _say(curves, f"`GET /instances/w7`, {connections} connections, p99", loaded.p99)
    _say(curves, "calm daemon, CPU", _idle_load(server))
    _say(curves, "`prism doctor`", min(_doctor_time(server) for _ in range(DOCTORS)))


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


def _median_time(to: Connection, path: str) -> float:
    took = []
    for _ in range(ASKS):
        began = time.perf_counter()
        to.ask(path)
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
