"""One machine of a supervisor: its phase, its goal, and the steps from one to the other."""

import os
import sys
import time
from collections.abc import Callable
from functools import cache
from math import inf
from pathlib import Path
from typing import cast

from prism.agent.idle.idle_watch import IdleWatch
from prism.agent.idle.ssh_sessions import SshSessions
from prism.agent.machine.event_log import EventLog
from prism.agent.machine.exec_socket import ExecSocket
from prism.agent.machine.folder import Folder
from prism.agent.machine.machine_config import MachineConfig
from prism.agent.machine.mounts import VolumeLinks
from prism.agent.machine.output_logs import OutputLog, Selector, last_words
from prism.agent.machine.pause import Pause
from prism.agent.machine.process_group import ProcessGroup, ProgramFailed, Work
from prism.agent.machine.services import ManagedServices
from prism.agent.machine.slots import GpuClaims
from prism.agent.network.namespace import WorkspaceNetwork
from prism.agent.packages.setup import Setup
from prism.agent.protocol import (
    ALIVE,
    DISK_FULL_ERRORS,
    PROTOCOL_VERSION,
    MachineFailure,
    ObservedMachine,
    ObservedService,
    Phase,
)
from prism.agent.system.freezer import CannotFreeze

ENDED_PHASES = {"off", "failed", "gone"}
UP = {"on", "starting"}
NOTHING_LEFT = object()
BUSY_INTERVAL = 0.05
GPU_TAKEN = "another user of this computer was given its GPU ({gpu}) at the same moment"
# Requests come with a signal. So this is for what tells nobody: that this computer has another
# name server or name, that somebody removed the folder, and signals that were lost.
IDLE_INTERVAL = 5.0


class SupervisedMachine:
    """The state of one machine, and what its supervisor does next."""

    def __init__(self, folder: Folder, selector: Selector) -> None:
        self.folder = folder
        self._before = folder.last_report()
        self._config = MachineConfig(folder.spec(), folder)
        self._mounts = VolumeLinks(folder)
        self.process_group = ProcessGroup(
            folder.path, self._config.spec, selector, self._mounts.paths
        )
        self._pause = Pause(folder.path, lambda: self.process_group.freezer)
        self._services = self._fresh_services(self._before.get("services", {}))
        sessions = SshSessions()
        self._exec_socket = ExecSocket(
            self._config, self.process_group, selector, lambda: self._phase == "on", sessions
        )
        self._watch = IdleWatch(
            *(self._config, self._before.get("idle")),
            sessions=sessions,
            network=self._network,
            uid=lambda: self.process_group.uid,
        )
        self._event_log = EventLog(folder.logs)
        self._claims = GpuClaims()
        self._work: Work | None = None
        self._goal = ""  # the goal of the work
        self._for_later: Work | None = None  # what is done while it runs, for later workspaces
        self._fresh = False  # whether the work has just begun
        self._reported = cast(ObservedMachine, {})
        self._run = int(self._before.get("run", 0))
        self._expired: float | None = self._before.get("expired")
        self._is_expiring = False  # whether the work began because the machine expired
        self._phase: Phase = self._before.get("phase", "off")
        self._since = self._before.get("since") or time.time()
        self._up: float | None = self._before.get("up")
        self._stage: str | None = None
        self._progress = self._before.get("progress") or 0
        self._failure: MachineFailure | None = self._before.get("failure")
        self._is_shutting_down = False

    def take_over(self) -> None:
        """Clean up after a supervisor that died while its machine was running."""
        if self._phase in ALIVE:
            self.process_group.kill_leftovers(self._before.get("uid"))
            self._failure = self._supervisor_died()
            self._phase = "off"

    def shut_down(self) -> None:
        """Stop the machine soon: this process is being ended, as at a shutdown of the computer."""
        self._is_shutting_down = True

    def write_report(self) -> None:
        """Write the report of the machine if it has changed."""
        if self._phase != self._reported.get("phase", self._before.get("phase")):
            self._since = time.time()
            self._up = self._since if self._phase == "on" else self._up
        self._watch.notice(self._phase)
        observed: ObservedMachine = {
            "protocol": PROTOCOL_VERSION,
            "key": self._config.spec.get("key") or self._before.get("key"),
            "name": self._config.name,
            "phase": self._phase,
            "since": self._since,
            "up": self._up,  # when it was last on; kept after it stops
            "run": self._run,
            "boot": boot(),
            "stage": self._stage,
            "progress": self._progress,
            "failure": self._failure,
            "expired": self._expired,
            "services": self._services.report(),
            **self.process_group.kinds,
            "let_in": self.process_group.reachable_volumes,
            "notes": self._notes(),
            "idle": self._watch.report(),
        }
        if observed != self._reported:
            try:
                if self._phase != "gone":  # a broken folder is known as one whose supervisor died
                    self.folder.logs.mkdir(exist_ok=True)
                is_new_phase = observed["phase"] != self._reported.get("phase")
                self.folder.write_report(observed, durable=is_new_phase)
            except OSError as error:
                if error.errno not in DISK_FULL_ERRORS:
                    raise
                return  # the machine continues, and the next round writes it
            if _news(observed) != _news(self._reported):
                self.folder.announce_report()
            self._event_log.note(self._reported or self._before, observed)
            self._reported = observed

    def _network(self) -> WorkspaceNetwork | None:
        return self.process_group.network

    def _notes(self) -> list[str]:
        late = "a volume was attached while it ran; its content appears after a stop and a start"
        trouble = [self._mounts.trouble] if self._mounts.trouble else []
        return [
            *self.process_group.notes,
            *trouble,
            *([late] if self.process_group.hidden_volumes else []),
        ]

    def step(self) -> None:
        """Read the intent, and do one step towards it."""
        try:
            if self._mounts.step() or self.process_group.reaches_removed_volumes:
                self.process_group.update_volumes()
            self.process_group.restart_network()
            self.process_group.refresh_names()
            goal = self._wanted_goal()
            at_rest = self._phase == "on" and not goal and self._work is None
            if self._pause.step(allowed=at_rest):
                return
            # Work is completed, except that a stop interrupts a start, and removal interrupts all.
            goes_down = goal == "gone" or (self._goal == "on" and goal == "off")
            self._fresh = bool(goal) and (self._work is None or goes_down)
            if self._fresh:
                self._begin(goal)
            if self._work:
                next(self._work)
            elif self._phase == "on":
                self._prepare_for_later()
                self._services.tick()
                self._watch.step(self._services)
                if self._services.finished:
                    self._begin("off")
        except StopIteration:
            self._work, self._goal = None, ""
        except ProgramFailed as broken:
            self._fail(broken.code, broken.message)
        except OSError as error:
            again = f"correct that, then `prism workspace start {self._config.name}`"
            code = "DISK_FULL" if error.errno in DISK_FULL_ERRORS else "MACHINE_FAILED"
            self._fail(code, f"{error}; {again}")

    def _prepare_for_later(self) -> None:
        if self._for_later is not None and next(self._for_later, NOTHING_LEFT) is NOTHING_LEFT:
            self._for_later = None

    @property
    def pause(self) -> float:
        """How many seconds to wait for events."""
        if self._fresh:
            return 0
        unsettled = self._watch.asking or self._for_later or not self._services.settled
        waiting = self._phase == "on" and (unsettled or self._pause.is_on)
        if self._work or waiting:
            return BUSY_INTERVAL
        due = (IDLE_INTERVAL, self._until_expiry(), self.process_group.until_network_restart())
        return max(BUSY_INTERVAL, min(*due, self._watch.until_next(self._phase)))

    def _until_expiry(self) -> float:
        at = self.folder.intent().get("expires_at")
        if self._phase != "on" or at is None or at == self._expired:
            return inf
        return at - time.time()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to supervise."""
        return self._work is None and self._phase in ENDED_PHASES and not self._wanted_goal()

    def _wanted_goal(self) -> str:
        """The next goal; empty to stay. Each intent is carried out once."""
        intent = self.folder.intent()
        state, run = str(intent.get("state", "")), int(intent.get("run", 0))
        if state == "gone":
            return "" if self._phase == "gone" or self._goal == "gone" else "gone"
        if self._is_shutting_down:
            return "" if self._phase in ENDED_PHASES or self._goal == "off" else "off"
        if run > self._run:
            return "" if self._is_outdated() else state
        at = intent.get("expires_at")
        if self._phase != "on":
            return ""
        if at is None or at == self._expired or time.time() < at:
            return self._watch.goal()
        return "off" if intent.get("expire_action") == "stop" else "asleep"

    def _is_outdated(self) -> bool:
        """Whether the machine is down and has a new spec, which its next supervisor reads."""
        resting = self._work is None and self._phase in ENDED_PHASES
        return resting and self.folder.spec() != self._config.spec

    def _begin(self, goal: str) -> None:
        for work in filter(None, (self._work, self._for_later)):
            work.close()
        self._for_later = None
        intent = self.folder.intent()
        self._run = max(self._run, int(intent.get("run", 0)))
        at = intent.get("expires_at")
        due = at if at is not None and time.time() >= at else self._expired
        self._is_expiring = due != self._expired  # each expiry is carried out once
        self._expired = due
        workflows: dict[str, Callable[[], Work]] = {
            "on": self._go_up,
            "off": self._go_down,
            "asleep": self._go_to_sleep,
            "gone": self._remove,
        }
        self._work, self._goal = workflows[goal](), goal

    def _go_up(self) -> Work:
        if self._phase == "on":
            return
        if self._phase == "asleep":
            self.process_group.freezer.thaw()
            self._phase, self._failure = "on", None
            return
        self._phase, self._failure, self._progress = "starting", self._memory_loss(), 0
        self._services = self._fresh_services(self._services.report())
        if gpu := self._claims.take(self._config.spec.get("gpus", [])):
            raise OSError(GPU_TAKEN.format(gpu=gpu))
        yield
        setup = Setup(self._config, self.process_group, self._set_stage)
        yield from setup.work()
        self._set_stage("services", 85)
        for _ in self._services.bring_up():
            done = 14 * self._services.answered // len(self._config.services)
            self._set_stage(self._services.stage, 85 + done)
            yield
        self.process_group.open_sandbox()
        self._exec_socket.listen()
        self._set_stage("ready", 100)
        self._phase, self._for_later = "on", setup.choose_next()

    def _go_down(self) -> Work:
        if self._phase in ENDED_PHASES:
            return
        before, self._phase, self._stage = self._phase, "stopping", None
        yield
        yield from self.process_group.end(self._config.grace, before == "asleep")
        self._services.ended()
        self._claims.release()
        self._phase = "off"
        if self._is_shutting_down:
            self._failure = self._shutdown_failure(before)

    def _go_to_sleep(self) -> Work:
        if self._phase != "on":
            return
        self._phase = "stopping"
        yield
        try:
            self.process_group.freezer.freeze()
        except CannotFreeze as why:
            self._phase, name = "on", self._config.name
            message = f"{why}; it continues to run. Stop it instead: `prism workspace stop {name}`"
            if self._is_expiring:  # no person may be there to stop it
                message = f"{why}, and it has expired, so it was stopped; what was in its memory "
                message += f"is lost. Start it again with `prism workspace start {name}`"
            self._failure = {"code": "CANNOT_HIBERNATE", "message": message}
            if self._is_expiring:
                yield from self._go_down()
        else:
            self._phase = "asleep"

    def _remove(self) -> Work:
        self._phase, self._stage = "stopping", None
        self.process_group.kill()
        self._services.ended()
        self._claims.release()
        yield
        while True:
            try:
                self.folder.empty()
            except OSError as error:  # a part of it is in use: try again until it is not
                message = f"its folder cannot be removed yet: {error}"
                self._failure = {"code": "CANNOT_REMOVE", "message": message}
                until = time.monotonic() + 5
                while time.monotonic() < until:
                    yield
            else:
                break
        self._phase, self._failure = "gone", None

    def _fail(self, code: str, message: str) -> None:
        """Record a failed start, and leave no program running."""
        if self._work:
            self._work.close()
        self._work, self._goal = None, ""
        self.process_group.kill()
        self._services.ended()
        self._claims.release()
        self._phase = "failed"
        self._failure = {"code": code, "message": message}

    def _set_stage(self, stage: str, progress: int) -> None:
        self._stage, self._progress = stage, progress

    def _fresh_services(self, before: dict[str, ObservedService]) -> ManagedServices:
        return ManagedServices(self._config, self.process_group, before)

    def _shutdown_failure(self, before: str) -> MachineFailure:
        lost = "; what was in its memory is lost" if before == "asleep" else ""
        again = f"Start it again with `prism workspace start {self._config.name}`"
        how = "it was shut down from outside, as when the computer goes down"
        return _machine_died(how, f"{how}{lost}. {again}", before)

    def _memory_loss(self) -> MachineFailure | None:
        """The failure if memory was lost during hibernation; shown until the next stop."""
        if not self._failure or not (how := self._failure.get("lost")):
            return None
        message = f"its memory is lost, its disk is kept: {how} while it slept"
        return {"code": "MEMORY_LOST", "message": message}

    def _supervisor_died(self) -> MachineFailure:
        restarted = self._before.get("boot") != boot()
        how = "the computer was restarted" if restarted else "its supervisor was killed"
        lost = "; what was in its memory is lost" if self._phase == "asleep" else ""
        again = f"Start it again with `prism workspace start {self._config.name}`"
        output = self._services.last_words() or last_words(
            OutputLog(self.folder.logs / "setup.log").last
        )
        words = f" Its last output: {output}" if output else ""
        message = f"{how}{lost}. {again}.{words}"
        return _machine_died(how, message, self._phase)


def _news(report: ObservedMachine) -> tuple[object, ...]:
    """What somebody may be waiting for."""
    names = ("phase", "run", "stage", "failure", "expired", "services", "notes")
    idle = report.get("idle") or {}
    return (*map(report.get, names), idle.get("state"), idle.get("acted"))


def _machine_died(how: str, message: str, before: str) -> MachineFailure:
    died: MachineFailure = {"code": "MACHINE_DIED", "message": message, "ran": before in UP}
    if before == "asleep":
        died["lost"] = how
    return died


@cache
def boot() -> str:
    """An id of the present boot of this computer."""
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with os.popen("/usr/sbin/sysctl -n kern.bootsessionuuid") as out:
        return out.read().strip()
