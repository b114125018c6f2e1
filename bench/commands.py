"""The time of whole `prism` processes, in turns with `python -c pass`."""

import subprocess
import sys
import time
from statistics import median

from living import BIN, Daemon
from page import Report

RUNS = 60


def commands(daemon: Daemon, report: Report) -> None:
    """Compare medians as ratios: other work on the machine slows all of them alike."""
    prism = str(BIN / "prism")
    lines = {
        "pass": (sys.executable, "-c", "pass"),
        "help": (prism, "--help"),
        "list": (prism, "workspace", "list"),
    }
    took: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(RUNS):
        for name, words in lines.items():
            began = time.perf_counter()
            subprocess.run(words, env=daemon.environ, check=True, capture_output=True)
            took[name].append((time.perf_counter() - began) * 1000)
    middle = {name: median(times) for name, times in took.items()}
    report.say("`python -c pass`", f"{middle['pass']:.1f} ms")
    _ratio(report, "`prism --help`", middle["help"], middle["pass"], 2.0)
    _ratio(report, "`prism workspace list` of 1,000", middle["list"], middle["pass"], 4.2)


def _ratio(report: Report, label: str, took: float, empty: float, aim: float) -> None:
    ratio = took / empty
    report.say(label, f"{took:.1f} ms, {ratio:.2f} ×", f"≤ {aim:g} ×", ratio <= aim)
