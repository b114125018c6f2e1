"""Fifty real launches at once on this machine, and how fast the daemon answers meanwhile."""

import json
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import cycle
from statistics import median, quantiles

from living import BIN, REAL, daemon, home
from load import Connection
from page import Report

API = "/api/v1"
PATIENCE = 900.0
PAUSE = 0.02
CROWDS = (
    ("Plain Shell", 50, 0),
    ("Plain Shell", 40, 10),
)
OTHER = "Data Science (pip)"
ASKED = ("/instances", "/templates", "/daemon/status", "/instances/w0")
UNDER_WAY = {"launching", "starting"}


def crowds(report: Report) -> None:
    """Launch many small workspaces, then a mix with some that install packages."""
    for template, many, more in CROWDS:
        with home() as folder, daemon(folder, REAL) as server:
            orders = [template] * many + [OTHER] * more
            try:
                _crowd(server.port, orders, report, f", {more} of them {OTHER}" if more else "")
            finally:
                end(server.port, [f"w{number}" for number in range(len(orders))])
            command = (BIN / "prism", "daemon", "status")
            subprocess.run(command, env=server.environ, check=True, capture_output=True)


def _crowd(port: int, orders: list[str], report: Report, kind: str) -> None:
    over = threading.Event()
    took: list[float] = []
    late: list[float] = []
    asking = threading.Thread(target=_ask, args=[port, over, took, late])
    began = time.monotonic()
    asking.start()
    try:
        launch(port, {f"w{number}": template for number, template in enumerate(orders)})
        states = settled(port)
    finally:
        over.set()
        asking.join()
    ready = time.monotonic() - began
    running = states.count("running")
    worst = quantiles(took, n=100)[98]
    row = f"{len(orders)} launches at once{kind}"
    report.say(f"{row}: running", f"{running} after {ready:.0f} s", "all", running == len(orders))
    report.say("… other requests in that time, p50", f"{median(took):.1f} ms")
    report.say("… p99", f"{worst:.0f} ms, of {len(took):,} requests", "< 100 ms", worst < 100)
    woken = quantiles(late, n=100)[98]
    report.say("… delay of a program that only sleeps, p99", f"{woken:.0f} ms")


def launch(port: int, orders: Mapping[str, str]) -> None:
    """Launch all of these at the same moment: the template of each name."""
    threads = [threading.Thread(target=_launch, args=[port, *order]) for order in orders.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _launch(port: int, name: str, template: str) -> None:
    order = json.dumps({"name": name, "template": template}).encode()
    with closing(Connection(port)) as to:
        answer = to.ask(f"{API}/instances/launch", "POST", order)
        if answer.status != 201:
            print(name, answer.status, answer.body[:300])


def _ask(port: int, over: threading.Event, took: list[float], late: list[float]) -> None:
    """Send other requests fifty times a second; note how long each takes and how late it is."""
    with closing(Connection(port)) as to:
        for path in cycle(ASKED):
            due = time.perf_counter() + PAUSE
            if over.wait(PAUSE):
                return
            began = time.perf_counter()
            late.append((began - due) * 1000)
            to.ask(API + path)
            took.append((time.perf_counter() - began) * 1000)


def settled(port: int) -> list[str]:
    """The states, once no workspace is being launched or started."""
    until = time.monotonic() + PATIENCE
    with closing(Connection(port)) as to:
        while True:
            workspaces = json.loads(to.ask(f"{API}/instances").body)
            states = [workspace["state"] for workspace in workspaces]
            if not UNDER_WAY & set(states) or time.monotonic() > until:
                return states
            time.sleep(0.25)


def end(port: int, names: Iterable[str]) -> None:
    """Terminate these, and wait until all are."""
    with closing(Connection(port)) as to:
        for name in names:
            body = json.dumps({"confirm": "DELETE"}).encode()
            to.ask(f"{API}/instances/{name}/terminate", "POST", body)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            workspaces = json.loads(to.ask(f"{API}/instances").body)
            if all(workspace["state"] == "terminated" for workspace in workspaces):
                return
            time.sleep(0.25)
    raise RuntimeError("some were not terminated")
