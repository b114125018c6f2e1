"""The idle watch of an EC2 machine: it measures, decides, and stops the machine.

It is shipped as one file and runs as root under systemd. In its folder, `idle.json` is the rule,
which the daemon writes, and `seen.json` the report. Each action is also written to the console,
which the daemon can still read when the machine is off.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from prism.agent.ec2.ec2_host import INIT_PID, HostProcesses, HostView, Logins
from prism.agent.ec2.metadata import METADATA_ADDRESS, Metadata
from prism.agent.ec2.power import CannotSleep, PowerControl
from prism.agent.idle.idle_watch import IdleWatch
from prism.agent.machine.folder import read, write
from prism.agent.protocol import IDLE_ACT, OBSERVED, IdleReport, ReportedIdleAct

SAMPLE_INTERVAL, ASKED_INTERVAL = (
    2.0,
    0.05,
)  # seconds between two steps, and while an answer is awaited
SLEEPS_WITHIN = 900.0  # seconds that EC2 may take to hibernate a machine
JUMP = 30.0  # a jump of the clock, in seconds, that shows a hibernation


class IdleDaemon:
    """Runs the watch, and stops or hibernates the machine."""

    def __init__(
        self, folder: Path, etc: Path, power: PowerControl, *, console: Path, of: int, build: str
    ) -> None:
        self._folder, self._etc, self._power, self._console = folder, etc, power, console
        self._build = build
        self._host = HostView(etc, folder)
        self._looks = HostProcesses(of)
        self._watch = self._new_watch(self._last_report())
        self._reported: dict[str, Any] = {}

    def run(self) -> None:
        """Run until this process or the machine ends."""
        self._watch.notice("on")
        while True:
            self.step()
            time.sleep(ASKED_INTERVAL if self._watch.asking else SAMPLE_INTERVAL)

    def step(self) -> None:
        """Measure if that is due, and act."""
        self._watch.step(list(self._host.serving()))
        _reap()
        if goal := self._watch.goal():
            self._write_report()
            self._go_down(goal)
        self._write_report()

    def _go_down(self, goal: str) -> None:
        self._watch.notice("stopping")
        if goal == "asleep":
            self._sleep()
        else:
            self._stop()

    def _sleep(self) -> None:
        try:
            self._power.sleep()
        except CannotSleep as why:
            _log(f"cannot be put to sleep: {why}")
            self._watch.notice("on")  # then the watch requests a stop instead, and reports that
            return
        self._watch.notice("asleep")
        self._announce()
        if not _wait_for_sleep(SLEEPS_WITHIN):
            _log("EC2 should have hibernated it, and did not")
        self._watch.notice("on")

    def _stop(self) -> None:
        before = self._last_report()
        self._watch.notice("off")
        self._announce()
        if self._power.off():
            signal.pause()  # until the shutdown ends this process
        _log("could not be powered off")
        self._print_act(None)
        self._watch = self._new_watch(before)
        self._watch.notice("on")

    def _last_report(self) -> IdleReport:
        return cast(IdleReport, read(self._folder / OBSERVED))

    def _new_watch(self, before: IdleReport) -> IdleWatch:
        return IdleWatch(self._host, before, self._looks, sessions=Logins())

    def _announce(self) -> None:
        self._write_report(durable=True)
        self._print_act((self._watch.report() or {}).get("acted"))

    def _print_act(self, acted: ReportedIdleAct | None) -> None:
        """Write an action to the console; readers use the last one."""
        line = f"{IDLE_ACT} {json.dumps(acted or {}, separators=(',', ':'))}"
        _log(line)
        try:
            with open(self._console, "a") as console:
                console.write(f"\n{line}\n")
        except OSError as error:
            _log(f"no console: {error}")

    def _write_report(self, *, durable: bool = False) -> None:
        report = {**(self._watch.report() or {}), "build": self._build}
        if report != self._reported or durable:
            write(self._folder / OBSERVED, report, durable)
            self._reported = report


def _log(line: str) -> None:
    """Write a line into the journal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _reap() -> None:
    """Reap programs that have ended, such as `nvidia-smi`."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _wait_for_sleep(within: float) -> bool:
    """Wait until the machine has hibernated and resumed; False if it does not hibernate."""
    wall, steady = time.time(), time.monotonic()
    while time.monotonic() - steady < within:
        time.sleep(1)
        if (time.time() - wall) - (time.monotonic() - steady) > JUMP:
            return True
    return False


def main() -> None:
    """Run the watch; only tests pass arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--build", default="")
    parser.add_argument("--etc", type=Path, default=Path("/etc/prism"))
    parser.add_argument("--console", type=Path, default=Path("/dev/console"))
    parser.add_argument("--metadata", default=METADATA_ADDRESS)
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--of", type=int, default=INIT_PID, help="the process to watch")
    options = parser.parse_args()
    os.umask(0o022)
    options.folder.mkdir(parents=True, exist_ok=True)
    power = PowerControl(Metadata(options.metadata), endpoint=options.endpoint)
    how = {"console": options.console, "of": options.of, "build": options.build}
    IdleDaemon(options.folder, options.etc, power, **how).run()


if __name__ == "__main__":
    main()
