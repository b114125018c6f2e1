"""Requests over one connection, each as soon as the last one is answered."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from statistics import median

from load import Connection, Load, at_once, load
from page import Report

API = "/api/v1"
TEMPLATE = "Plain Shell"
ROUNDS, SECONDS = 3, 2.0


def launched(port: int, names: range, report: Report, connections: int = 4) -> None:
    """Launch that many, and wait until all of them run."""
    began = time.perf_counter()

    def launch(to: Connection, number: int) -> None:
        order = json.dumps({"name": f"w{number}", "template": TEMPLATE}).encode()
        answer = to.ask(f"{API}/instances/launch", "POST", order)
        if answer.status != 201:
            raise RuntimeError(f"launch: {answer.status} {answer.body[:200]!r}")

    at_once(port, names, launch, connections)
    took = time.perf_counter() - began
    report.say(f"{len(names):,} launches, {connections} at a time", f"{len(names) / took:,.0f}/s")
    with closing(Connection(port)) as to:
        while True:
            workspaces = json.loads(to.ask(f"{API}/instances").body)
            if [workspace["state"] for workspace in workspaces] == ["running"] * names.stop:
                break
            time.sleep(0.2)
    report.say("… all of them running", f"{time.perf_counter() - began:.1f} s after the first")


def reads(port: int, many: int, report: Report) -> None:
    """Time the most frequent requests."""
    path = f"{API}/instances"
    with closing(Connection(port)) as to:
        answer = to.ask(path)
    tag, kib = answer.headers["etag"], len(answer.body) / 1024
    aimed = many == 1000
    full = best(lambda: load(port, path, SECONDS))
    label = f"`GET /instances` with {many:,} ({kib:,.0f} KiB)"
    if aimed:
        report.say(f"{label}, rate", f"{full.rate:,.0f}/s", "≥ 2,000/s", full.rate >= 2000)
        report.say("… p50, p99", times(full), "p99 ≤ 3 ms", full.p99 <= 3)
    else:
        report.say(label, str(full))
    same = best(lambda: load(port, path, SECONDS, If_None_Match=tag))
    report.say("… unchanged, 304", str(same))
    if aimed:
        for small in (f"{path}/w7", f"{API}/templates", f"{API}/daemon/status"):
            measured = best(partial(load, port, small, SECONDS))
            report.say(f"`GET {small.removeprefix(API)}`", str(measured))


def writes(port: int, report: Report) -> None:
    """Time requests to stop: each is committed to disk before its answer."""
    took = []
    with closing(Connection(port)) as to:
        for number in range(300):
            began = time.perf_counter()
            if to.ask(f"{API}/instances/w{number}/stop", "POST").status != 200:
                raise RuntimeError("stop failed")
            took.append((time.perf_counter() - began) * 1000)
    report.say("`POST /instances/{name}/stop`, p50", f"{median(took):.1f} ms")


def best(measure: Callable[[], Load]) -> Load:
    """The best of a few rounds, because other work on this machine can only slow them down."""
    return min((measure() for _ in range(ROUNDS)), key=lambda it: it.p99)


def times(measured: Load) -> str:
    """The percentiles as text."""
    return f"{measured.p50:.2f} ms, {measured.p99:.2f} ms"
