"""Watches one machine for idleness, and decides when it should hibernate or stop.

`idle.json` is the rule; without one nothing is measured. `seen.json` gets the verdict, the
measurements, and the last action. The watch works without the daemon. After any start, a machine
counts as not idle.
"""

import os
import socket
import time
from collections.abc import Callable, Generator, Iterable
from math import inf
from pathlib import Path
from typing import Protocol, cast

from prism.agent.idle import gpus, jupyter
from prism.agent.idle.samples import SystemSample, figures, look, wanting
from prism.agent.idle.ssh_sessions import SessionReader, SshSessions
from prism.agent.idle.terminals import observed
from prism.agent.idle.verdict import Sample, Verdict, due_in, is_due, judge
from prism.agent.machine.folder import Folder, read
from prism.agent.machine.machine_config import MachineConfig
from prism.agent.network import ports
from prism.agent.network.namespace import WorkspaceNetwork
from prism.agent.network.sockets import TcpConnections, diagnosis
from prism.agent.protocol import (
    IDLE_RULE,
    IdleReport,
    IdleSettings,
    ReportedIdleAct,
    SleepAction,
    Stamp,
    State,
    stamp,
)

MAX_INTERVAL = 30.0  # seconds between two samples, at most
SHARE = 4  # the fewest samples within the time until it counts as idle
ON, DOWN_PHASES = "on", {"asleep", "off"}
GOALS: dict[SleepAction, State] = {"hibernate": "asleep", "stop": "off"}
TakeSample = Callable[[Iterable[str], TcpConnections], SystemSample]


class WatchedService(Protocol):
    """A service that the watch can ask."""

    @property
    def name(self) -> str:
        """The name of the service on its machine."""

    @property
    def port(self) -> int | None:
        """The port on which the service listens."""

    @property
    def answered(self) -> bool:
        """Whether the service can be asked."""


class IdleWatch:
    """Measures one machine's idleness and remembers the verdict."""

    def __init__(
        self,
        config: MachineConfig,
        before: IdleReport | None,
        take_sample: TakeSample | None = None,
        *,
        sessions: SessionReader | None = None,
        network: Callable[[], WorkspaceNetwork | None] = lambda: None,
        uid: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`take_sample` samples a whole machine, not only descendants of this process.

        `network` returns the network of the machine's programs, or None if it is this computer's;
        `uid` their uid, if no other program of this computer has it.
        """
        self._network, self._uid = network, uid
        self._sessions: SessionReader = sessions or SshSessions()
        self._folder: Folder = config.folder
        self._take_sample = take_sample or self._sample
        self._is_alone = take_sample is not None
        self._config = config
        self._rule: IdleSettings | None = None
        self._read: Stamp | None = None
        self._known: Verdict | None = None
        self._figures: dict[str, float | None] = {}
        self._before: SystemSample | None = None
        self._connections = TcpConnections(self._diagnosis, uid)
        self._looking: Generator[None, None, None] | None = None
        self._next = 0.0
        self._phase = ""
        self._going: ReportedIdleAct | None = None
        self._acted: ReportedIdleAct | None = (before or {}).get("acted")

    @property
    def asking(self) -> bool:
        """Whether an answer is expected soon."""
        return self._looking is not None

    def step(self, services: Iterable[WatchedService]) -> None:
        """Take a sample, if one is due."""
        if (rule := self._current_rule()) is None:
            self._start_over()
            return
        if self._looking is None and time.monotonic() >= self._next:
            self._next = time.monotonic() + max(min(rule["seconds"] / SHARE, MAX_INTERVAL), 0.2)
            self._looking = self._look(rule, [service for service in services if service.answered])
        if self._looking is not None:
            try:
                next(self._looking)
            except StopIteration:
                self._looking = None

    def until_next(self, phase: str) -> float:
        """Seconds until the next step has something to do."""
        if phase != ON or self._rule is None:
            return inf
        sample = self._next - time.monotonic()
        return min(sample, due_in(self._known, self._rule, time.time()))

    def goal(self) -> str:
        """The state that the machine should reach because it is idle; empty for no change."""
        if self._going:
            return GOALS[self._going["action"]]
        if self._rule is None or self._known is None:
            return ""
        now = time.time()
        if not is_due(self._known, self._rule, now) or self._sessions.last > self._known.until:
            return ""  # the next sample shows a session that has begun since
        self._going = {
            "at": now,
            "action": self._rule["action"],
            "seconds": now - self._known.since,
            "profile": self._rule["profile"],
            "note": None,
        }
        return GOALS[self._rule["action"]]

    def notice(self, phase: str) -> None:
        """Note the present phase of the machine."""
        if phase == self._phase:
            return
        was, self._phase = self._phase, phase
        if phase == ON and was == "stopping" and self._going:  # it could not be put to sleep
            self._going["action"] = "stop"
            self._going["note"] = "it could not be put to sleep, so it was stopped"
        elif phase == ON:
            self._start_over()
        elif phase in DOWN_PHASES and self._going:
            self._acted, self._going = self._going, None

    def report(self) -> IdleReport | None:
        """The report; None without a rule and an action."""
        if self._rule is None and self._acted is None:
            return None
        known = self._known
        return {
            "state": known.state if known else None,
            "since": known.since if known else None,
            "until": known.until if known else None,
            "because": known.because if known else (),
            "figures": self._figures,
            "profile": self._rule["profile"] if self._rule else None,
            "acted": self._acted,
        }

    def _look(
        self, rule: IdleSettings, services: list[WatchedService]
    ) -> Generator[None, None, None]:
        """Take one sample, and update the verdict."""
        # First, because a server that answers us uses the CPU.
        limits = rule.get("limits") or {}
        before, now = self._before, self._take_sample(limits, self._connections)
        self._before = now
        if before is None:
            return
        servers = [
            service
            for service in services
            if service.port and "jupyter" in str(self._config.services[service.name]["command"])
        ]
        work: list[str] = []
        touches, doubts = [], list[str]()
        for service in servers:
            secret = self._config.secret(service.name)
            home, make = self._folder.home, self._tcp_socket
            kernels = yield from jupyter.kernels(
                service.port or 0, secret, home, self._is_ours, make
            )
            work += kernels.work
            touches += kernels.touches
            doubts += kernels.doubts
        granted = self._config.spec.get("gpus")
        gpu = (yield from gpus.used(granted=granted)) if "gpu" in limits else None
        processes = now.processes.values()
        ssh_work, ssh_touches = self._sessions.observed(processes)
        terminal_work, terminal_touches = observed(processes)
        measured = {**figures(before, now, self._memory()), "gpu": gpu}
        reported = {*limits, "cpu", "resident"}  # these two cost nothing, and show how big it is
        self._figures = {name: figure for name, figure in measured.items() if name in reported}
        if "cpu" in limits:
            work += [f"`{name}` waits for a processor or a disk" for name in wanting(before, now)]
        work += (*terminal_work, *ssh_work)
        marks = tuple(work), tuple(doubts), (*touches, *terminal_touches, *ssh_touches)
        sample = Sample(before.wall, now.wall, measured, *marks)
        self._known = judge(self._known, sample, limits)

    def _current_rule(self) -> IdleSettings | None:
        """The current rule; if its limits have changed, earlier measurements are discarded."""
        path = self._folder.path / IDLE_RULE
        if (now := stamp(path)) != self._read:
            before, self._rule, self._read = self._rule, _settings(path), now
            self._next = 0.0
            if before and self._rule and before.get("limits") != self._rule.get("limits"):
                self._start_over()
        return self._rule

    def _is_ours(self, port: int) -> bool:
        """Whether the machine's own programs listen on the port."""
        is_apart = self._is_alone or self._network() is not None
        return is_apart or ports.is_ours(port, self._uid())

    def _tcp_socket(self) -> socket.socket:
        return network.tcp_socket() if (network := self._network()) else socket.socket()

    def _diagnosis(self) -> socket.socket:
        return network.diagnosis() if (network := self._network()) else diagnosis()

    def _sample(self, figure_names: Iterable[str], connections: TcpConnections) -> SystemSample:
        network = self._network()
        return look(os.getpid(), figure_names, connections, network.pids if network else ())

    def _memory(self) -> int:
        """How many bytes the machine may use."""
        megabytes = self._config.spec.get("limits", {}).get("memory_mb")
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return min(int(megabytes) << 20, total) if megabytes else total

    def _start_over(self) -> None:
        self._known = self._before = self._looking = self._going = None
        self._figures, self._next = {}, 0.0


def _settings(path: Path) -> IdleSettings | None:
    """The rule in a file; None if it has no profile."""
    settings = cast(IdleSettings, read(path))
    return settings if settings.get("profile") else None
