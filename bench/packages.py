"""Launches of real JupyterLabs with cached packages: one by one, and many at once."""

import subprocess
import time
from pathlib import Path
from statistics import median

from crowd import end, launch, settled
from living import BIN, REAL, daemon, home
from page import Report

TEMPLATE, ONE_BY_ONE, AT_ONCE = "JupyterLab", 5, 20


def packages(report: Report) -> None:
    """The first launch fills the cache and makes the tree; it is measured too."""
    with home() as folder, daemon(folder, REAL) as server:
        names = [f"w{number}" for number in range(1 + ONE_BY_ONE + AT_ONCE)]
        try:
            _measure(server.port, folder, names, report)
        finally:
            end(server.port, names)
        command = (BIN / "prism", "daemon", "status")
        subprocess.run(command, env=server.environ, check=True, capture_output=True)


def _measure(port: int, folder: Path, names: list[str], report: Report) -> None:
    took = []
    for name in names[: 1 + ONE_BY_ONE]:
        began = time.monotonic()
        launch(port, {name: TEMPLATE})
        _all_run(settled(port))
        took.append(time.monotonic() - began)
    report.say("JupyterLab, first launch, cold cache", f"{took[0]:.1f} s")
    best = f"{min(took[1:]):.1f} s, median {median(took[1:]):.1f} s"
    report.say("… later launch, packages in the cache", best, "≤ 5.5 s", min(took[1:]) <= 5.5)
    sizes = [_megabytes(path) for path in (folder / "workspaces").glob("local-*")]
    report.say("… disk space of each", f"{max(sizes)} MB", "≤ 15 MB", max(sizes) <= 15)
    report.say("… of the packages that they share", f"{_megabytes(folder / 'cache' / 'trees')} MB")
    began = time.monotonic()
    launch(port, dict.fromkeys(names[1 + ONE_BY_ONE :], TEMPLATE))
    _all_run(settled(port))
    ready = time.monotonic() - began
    report.say(f"{AT_ONCE} JupyterLabs at once: running", f"{ready:.0f} s", "≤ 30 s", ready <= 30)


def _all_run(states: list[str]) -> None:
    if set(states) != {"running"}:
        raise RuntimeError(f"not all of them run: {states}")


def _megabytes(folder: Path) -> int:
    command = ("du", "-sm", folder)
    return int(subprocess.run(command, capture_output=True, check=True).stdout.split()[0])
