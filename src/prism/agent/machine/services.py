"""A machine's services: starts them, watches them, and restarts or gives them up."""

import signal
import time
from collections.abc import Iterator
from typing import Any

from prism.agent.machine.machine_config import MachineConfig
from prism.agent.machine.output_logs import OutputLog, last_words, without_notes
from prism.agent.machine.process_group import ProcessGroup, Program, ProgramFailed, Work
from prism.agent.network import ports
from prism.agent.protocol import ObservedService

CRASHES, WITHIN = 3, 60.0
RESTART_DELAY, DOUBT = 0.5, 1.0
SAY_AFTER, SAY_EVERY = 5.0, 5.0  # seconds until a silent service is named, and named again
SHORT = 160  # characters of its last output


class ManagedService:
    """One program that is kept running."""

    def __init__(
        self, name: str, config: MachineConfig, process_group: ProcessGroup, port: int | None
    ) -> None:
        self.name, self._config, self._process_group = name, config, process_group
        self._spec = config.services[name]
        self.port = port
        self.program: Program | None = None
        self.answered = self.done = False
        self.exit: int | None = None
        self.log = OutputLog(config.folder.logs / f"{name}.log")
        self._token = config.folder.token(make=False)
        self._crashes: list[float] = []
        self._again_at = 0.0
        self._foreign_since: float | None = None
        self._asking: Any = None

    def report(self) -> ObservedService:
        """The report about the service."""
        report: ObservedService = {
            "port": self.port,
            "running": self.program is not None,
            "answered": self.answered,
            "exit": self.exit,
            "crashes": len(self._crashes),
            "token": self._config.tells_token(self.name),
        }
        if self.exit:
            report["last_words"] = self.last_words()
        return report

    def last_words(self) -> str:
        """The end of its output, as people may see it."""
        return last_words(without_notes(self.log.last), (self._token,))

    def start(self) -> None:
        """Start it, on a port that is free now."""
        self._token = self._config.folder.token()
        self._check()
        self._process_group.open_sandbox()
        network = self._process_group.network
        self.port = network.publish(self.port) if network else ports.free_port(self.port)
        own = self._spec.get("environment", {})
        environment = self._config.program_environment(own, self.port, self._token)
        command = self._config.command(self.name, self.port, self._token)
        program = self._config.find_program(command[0])
        if program is None:
            raise self._error("COMMAND_NOT_FOUND", f"there is no program `{command[0]}`")
        argv = [program, *command[1:]]
        self.program = self._process_group.start(
            argv, environment, self._config.folder.home, self.log
        )
        self._asking = None

    def tick(self) -> None:
        """Check the service once."""
        if self.program is None:
            if not self.done and time.monotonic() >= self._again_at:
                self.start()
        elif self.program.exit is not None:
            self._ended(self.program.exit)
        elif not self.answered:
            self._ask()

    def _ask(self) -> None:
        """Do one step of asking the service whether it answers."""
        assert self.port is not None, "a service that runs has a port"
        if self._asking is None:
            health, process_group = self._spec.get("health"), self._process_group
            self._asking = ports.answers(self.port, health, tcp_socket=process_group.tcp_socket)
        try:
            next(self._asking)
        except StopIteration as stop:
            self._asking = None
            group = self._process_group
            is_ours = group.network is not None or ports.is_ours(self.port, group.uid)
            foreign = stop.value and not is_ours
            self._note_foreign(bool(foreign))
            # A service without a health path need not listen at once, or ever.
            self.answered = not foreign and (stop.value or not self._spec.get("health"))

    def _note_foreign(self, foreign: bool) -> None:
        """Fail if another program answers for long; at first it may be the service's old one."""
        now = time.monotonic()
        self._foreign_since = (self._foreign_since or now) if foreign else None
        if self._foreign_since and now - self._foreign_since > DOUBT:
            raise self._error(
                "PORT_TAKEN", f"another program on this computer has taken its port {self.port}"
            )

    def _ended(self, code: int) -> None:
        self._process_group.selector.drain(self.log)
        self.program, self.exit = None, code
        if code == 0 and self.answered:
            self.done, self.answered = True, False
            return
        self.answered = False
        now = time.monotonic()
        self._crashes = [at for at in self._crashes if now - at < WITHIN] + [now]
        if len(self._crashes) >= CRASHES:
            raise self._error("SERVICE_FAILED", f"it {_ending(code)} {CRASHES} times in a minute")
        self._again_at = now + RESTART_DELAY * 2 ** (len(self._crashes) - 1)

    def waited_for(self) -> str:
        """A text that it has not answered yet, with the end of its output."""
        words = last_words(self.log.last, (self._token,), SHORT)
        return f"{self.name} has not answered on port {self.port} yet" + (
            f"; its last output: {words}" if words else "; it has printed nothing"
        )

    def silent(self, seconds: float) -> ProgramFailed:
        """The failure of a service that never answered."""
        health = self._spec.get("health")
        return self._error(
            "SERVICE_SILENT",
            f"it runs, but `{health}` on port {self.port} gave no answer in {seconds:.0f} s",
        )

    def _check(self) -> None:
        if "{token}" in self._spec["command"]:
            why = "its command holds {token}, which everybody can read in the process list"
            raise self._error("TEMPLATE_INVALID", f"{why}; pass it in `environment`")
        for program in self._spec.get("requires", ()):
            if self._config.find_program(program) is None:
                raise self._error("COMMAND_NOT_FOUND", f"it needs `{program}`, which is missing")

    def _error(self, code: str, why: str) -> ProgramFailed:
        words = self.last_words()
        suffix = f" Its last output: {words}" if words else ""
        again = f"`prism workspace start {self._config.name}`"
        return ProgramFailed(code, f"service {self.name}: {why}. Try again with {again}.{suffix}")


class ManagedServices:
    """All services of one machine."""

    def __init__(
        self,
        config: MachineConfig,
        process_group: ProcessGroup,
        before: dict[str, ObservedService],
    ) -> None:
        had = {name: service.get("port") for name, service in before.items()}
        self._all = [
            ManagedService(name, config, process_group, had.get(name)) for name in config.services
        ]
        self._patience = config.patience
        self.stage = "services"
        """The present stage as text: which service does not answer yet, and its last output."""
        self._say_at = 0.0

    def __iter__(self) -> Iterator[ManagedService]:
        return iter(self._all)

    def report(self) -> dict[str, ObservedService]:
        """The report about each service."""
        return {managed_service.name: managed_service.report() for managed_service in self._all}

    def bring_up(self) -> Work:
        """Start all, and wait until each has answered once."""
        for managed_service in self._all:
            managed_service.start()
        until = time.monotonic() + self._patience
        self._say_at = time.monotonic() + SAY_AFTER
        while silent := [
            service for service in self._all if not service.answered and not service.done
        ]:
            yield
            self.tick()
            self._name_silent(silent[0])
            if time.monotonic() > until:
                raise silent[0].silent(self._patience)

    def _name_silent(self, silent: ManagedService) -> None:
        """Name the service that is waited for, but not often: each change is written to a file."""
        if time.monotonic() >= self._say_at:
            self._say_at = time.monotonic() + SAY_EVERY
            self.stage = f"services: {silent.waited_for()}"

    def tick(self) -> None:
        """Check each service once."""
        for managed_service in self._all:
            managed_service.tick()

    def ended(self) -> None:
        """Record that no service runs any more."""
        for managed_service in self._all:
            managed_service.program, managed_service.answered = None, False

    def last_words(self) -> str:
        """The end of the output of the first service with any."""
        return next(
            (words for managed_service in self._all if (words := managed_service.last_words())), ""
        )

    @property
    def settled(self) -> bool:
        """Whether no service is starting."""
        return all(
            managed_service.answered or managed_service.done for managed_service in self._all
        )

    @property
    def answered(self) -> int:
        """How many services have answered."""
        return sum(managed_service.answered for managed_service in self._all)

    @property
    def finished(self) -> bool:
        """Whether all services have ended without an error: somebody shut them down."""
        return bool(self._all) and all(managed_service.done for managed_service in self._all)


def _ending(code: int) -> str:
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # it ended by itself
        return f"ended with exit code {code}"
