"""Starts, reads, reaps and ends all programs of a supervisor.

A long operation is a generator that yields whenever it has to wait; the supervisor resumes it in
its loop, so nothing here blocks the loop.
"""

import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from prism.agent.machine.output_logs import OutputLog, Selector
from prism.agent.network.namespace import WorkspaceNetwork
from prism.agent.protocol import IsolationKinds, LocalMachineSpec
from prism.agent.sandbox.host_user import end_leftovers
from prism.agent.sandbox.identity import processes_allowed
from prism.agent.sandbox.sandbox_process import SandboxProcess
from prism.agent.system.freezer import Cgroup, Freezer, freezer, memory_refusal, set_limit
from prism.agent.system.processes import Start, descendants, marked, send, spawn

Work = Generator[None, None, None]
OnEvent = Callable[[dict[str, Any], list[int]], None]
SPARE = 16  # processes


class ProgramFailed(Exception):
    """A start failed; `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class Program:
    """A started program; `exit` is its exit code after the end, `on_event` gets its events."""

    def __init__(self, on_event: OnEvent | None = None) -> None:
        self.exit: int | None = None
        self.on_event = on_event or (lambda event, fds: None)


class ProcessGroup:
    """The programs of one machine."""

    def __init__(
        self,
        folder: Path,
        spec: LocalMachineSpec,
        selector: Selector,
        volumes: Callable[[], list[str]] = list,
    ) -> None:
        self.folder, self.selector, self._volumes = folder, selector, volumes
        self.notes: list[str] = []
        self._limits: Mapping[str, int] = spec.get("limits", {})
        self._spec = spec
        self._freezer: Freezer | None = None
        self._sandbox: SandboxProcess | None = None
        self._numbers = itertools.count(1)
        self._programs: dict[int, Program] = {}  # of the workspace, by number
        self._tools: dict[int, Program] = {}  # of Prism, by pid
        self._callers = set[int]()  # sockets at which callers of a resting gateway are seen

    @property
    def freezer(self) -> Freezer:
        """The freezer of the programs; made when the first program of the workspace starts."""
        if self._freezer is None:
            self._freezer = freezer(self.folder)
            if isinstance(self._freezer, Cgroup):
                # The sandbox's own processes do not count: they must continue at the limit.
                set_limit(self._freezer.path, "pids", processes_allowed() + SPARE)
            megabytes = self._limits.get("memory_mb")
            if megabytes and (refusal := memory_refusal(self._freezer, megabytes << 20)):
                self.notes.append(f"its memory is not limited: {refusal}")
        return self._freezer

    @property
    def network(self) -> WorkspaceNetwork | None:
        """The programs' own network; None if they use this computer's."""
        return self._sandbox.network if self._sandbox else None

    def tcp_socket(self, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        """A socket that can connect to the programs' ports."""
        return self.network.tcp_socket(family) if self.network else socket.socket(family)

    def refresh_names(self) -> None:
        """Show the sandbox what has changed in this computer's hosts and name servers."""
        if self._sandbox:
            self._sandbox.refresh_names()

    def restart_network(self) -> None:
        """Restart the network's processes that have ended by themselves."""
        if (network := self.network) is None:
            return
        if network.restart_ended() and self._sandbox:
            self.selector.listen(network.output_pipe, self._sandbox.log)
        if (device := network.rest()) is not None:
            self.selector.attend(device, self._wake_network)
        self._attend_callers(network.sources)

    def _attend_callers(self, sources: set[int]) -> None:
        """Wait for callers of the network's gateway at these sockets only."""
        for source in self._callers - sources:
            self.selector.ignore(source)
        for source in sources - self._callers:
            self.selector.attend(source, self._start_gateway)
        self._callers = sources

    def _start_gateway(self) -> bool:
        if self.network:
            with suppress(OSError):  # as with too many processes: a later round tries again
                self.network.start_gateway()
        return True

    def _wake_network(self) -> bool:
        """Handle packets of a network that rests; false when it is awake."""
        if not self._sandbox or not self._sandbox.network or not self._sandbox.network.wake():
            return True
        if (pipe := self._sandbox.network.output_pipe) >= 0:
            self.selector.listen(pipe, self._sandbox.log)
        return False

    def until_network_restart(self) -> float:
        """Seconds until an ended process of the network is due to be restarted."""
        return self.network.until_restart() if self.network else inf

    @property
    def kinds(self) -> IsolationKinds:
        """How programs are frozen and isolated; all fields are None before the first one runs."""
        return {
            "freezer": self._freezer.kind if self._freezer else None,
            "sandbox": self._sandbox.kind if self._sandbox else None,
            "network": self._sandbox.network_kind if self._sandbox else None,
            "uid": self.uid,
        }

    @property
    def uid(self) -> int | None:
        """The uid of the programs, if only they have it on this computer; else None."""
        return self._sandbox.uid if self._sandbox else None

    def give(self, path: Path) -> None:
        """Make a new tree the programs' own, if they have a uid of this computer."""
        if self._sandbox is not None:
            self._sandbox.give(path)

    def update_volumes(self) -> None:
        """Show new volumes in the sandbox, and hide removed ones."""
        if self._sandbox is not None:
            self._sandbox.update_volumes(self._volumes())

    @property
    def reachable_volumes(self) -> list[str]:
        """The volumes that programs in the sandbox can reach, even if they should be removed."""
        if self._sandbox is None or self._sandbox.kind != "bubblewrap":
            return []
        return sorted(self._sandbox.volumes)

    @property
    def reaches_removed_volumes(self) -> bool:
        """Whether programs can still reach a volume that should be removed."""
        return not {*self.reachable_volumes} <= {*self._volumes()}

    @property
    def hidden_volumes(self) -> list[str]:
        """The volumes that become visible only at the next start."""
        if self._sandbox is None or self._sandbox.kind != "bubblewrap":
            return []
        return [path for path in self._volumes() if path not in self._sandbox.volumes]

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], home: Path, log: OutputLog
    ) -> Program:
        """Start a program of the workspace, with its output in a log."""
        read_end, write_end = os.pipe()
        with open(os.devnull, "rb") as nothing:
            request = {"argv": list(argv), "environment": environment, "folder": str(home)}
            program = self.enter(request, [nothing.fileno(), write_end, write_end])
        os.close(write_end)
        os.set_blocking(read_end, False)
        self.selector.listen(read_end, log)
        return program

    def enter(
        self,
        request: Mapping[str, Any],
        fds: list[int],
        on_event: OnEvent | None = None,
    ) -> Program:
        """Start a program inside: with the limits, in the sandbox, frozen with the others."""
        program, number = Program(on_event), next(self._numbers)
        self._programs[number] = program
        try:
            self.open_sandbox().ask({**request, "id": number}, fds)
        except OSError as error:  # the sandbox has ended; the next start opens another one
            del self._programs[number]
            raise ProgramFailed(
                "MACHINE_FAILED", f"nothing can be started inside: {error}"
            ) from error
        return program

    def send_signal(
        self, program: Program, number: signal.Signals, *, group: bool = False
    ) -> None:
        """Signal a program inside, or all of its group, if it is still running."""
        for key, running in self._programs.items():
            if running is program and self._sandbox:
                with suppress(OSError):  # the sandbox has ended, or does not read
                    self._sandbox.ask({"id": key, "signal": int(number), "group": group}, [])

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        log: OutputLog,
        prepare: Callable[[], object] = lambda: os.nice(5),
    ) -> Generator[None, None, int]:
        """Run one of our tools outside of the sandbox, at low priority; returns its exit code."""
        try:
            pid, pipe = spawn(Start(argv, environment, self.folder, prepare))
        except OSError as error:
            raise ProgramFailed("COMMAND_FAILED", f"cannot run {argv[0]}: {error}") from error
        self._tools[pid] = program = Program()
        self.selector.listen(pipe, log)
        return (yield from self.until_ended(program, log))

    def until_ended(self, program: Program, log: OutputLog) -> Generator[None, None, int]:
        """Wait for a program; its exit code."""
        while program.exit is None:
            yield
        self.selector.drain(log)
        return program.exit

    def reap(self) -> None:
        """Reap children that have ended, including adopted ones."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if tool := self._tools.pop(pid, None):
                tool.exit = os.waitstatus_to_exitcode(status)
            elif self.network:
                self.network.reaped(pid)

    def end(self, grace: float, asleep: bool = False) -> Work:
        """Send SIGTERM to all, leaders first, and SIGKILL after the grace period."""
        until = time.monotonic() + grace
        for program in list(self._programs.values()):
            self.send_signal(program, signal.SIGTERM)
        send(signal.SIGTERM, list(self._tools))
        if asleep:  # they handle the signal when they continue
            self.freezer.thaw()
        while (self._programs or self._tools) and time.monotonic() < until:
            yield
        if rest := self._workspace_pids():
            send(signal.SIGTERM, rest)
            while time.monotonic() < until and self._workspace_pids():
                yield
        self.kill()

    def kill(self) -> None:
        """End all descendants, also frozen ones, until none is left."""
        if self._freezer:
            self._freezer.kill()
        while left := [descendant.pid for descendant in descendants(os.getpid())]:
            send(signal.SIGKILL, left)
            time.sleep(0.001)
            self.reap()
        self.reap()
        self._close()
        if self._freezer:
            self._freezer.close()
            self._freezer = None
        self.notes.clear()  # they are about this run
        self._tools.clear()

    def kill_leftovers(self, uid: int | None = None) -> None:
        """End the processes that an earlier supervisor left, whose programs had this uid."""
        if uid is not None:  # root may not be allowed to read their environment
            end_leftovers(uid)
        self.freezer  # noqa: B018 - it kills the processes in the cgroup of that supervisor
        while left := marked(self.folder):
            send(signal.SIGKILL, left)
            time.sleep(0.002)
        self.kill()

    def open_sandbox(self) -> SandboxProcess:
        """The sandbox; opened if it is not open yet."""
        if self._sandbox is None:
            join = self.freezer.join

            def prepare() -> None:
                join()
                self._limit_cpus()
                if sys.platform == "linux":  # the kernel kills programs before the supervisor
                    Path("/proc/self/oom_score_adj").write_text("300")

            sandbox = SandboxProcess(self.folder, self._spec, self._volumes(), prepare)
            self._sandbox = sandbox
            self.notes += [note for note in sandbox.notes if note not in self.notes]
            self.selector.attend(sandbox.fileno(), self._receive)
            self.selector.listen(sandbox.output_pipe, sandbox.log)
            if sandbox.network:
                self.selector.listen(sandbox.network.output_pipe, sandbox.log)
        return self._sandbox

    def _receive(self) -> bool:
        """Handle an answer from inside; false at the end."""
        received = self._sandbox.answers() if self._sandbox else None
        if received is None:
            self._close()
            return False
        answers, fds = received
        for event in answers:
            number = event.get("id", 0)
            if program := self._programs.get(number):
                if "exit" in event:
                    program.exit = event["exit"]
                    del self._programs[number]
                program.on_event(event, fds)
        for descriptor in fds:
            os.close(descriptor)
        return True

    def _close(self) -> None:
        """Forget the sandbox, which has ended together with its programs."""
        if self._sandbox:
            self.selector.ignore(self._sandbox.fileno())
            self._attend_callers(set())
            if self._sandbox.network:
                self.selector.ignore(self._sandbox.network.resting_device)
            self._sandbox.close()
            self._sandbox = None
        for program in list(self._programs.values()):
            program.exit = -signal.SIGKILL
            program.on_event({"exit": program.exit}, [])
        self._programs.clear()

    def _workspace_pids(self) -> list[int]:
        """All descendants except the sandbox's own processes."""
        everybody = descendants(os.getpid())
        own = {self._sandbox.pid} if self._sandbox else set()
        if self._sandbox and self._sandbox.kind == "bubblewrap":
            below = [descendant for descendant in everybody if descendant.parent in own]
            own |= {
                descendant.pid for descendant in sorted(below, key=lambda it: int(it.began))[:1]
            }  # ours
        if self.network:
            own |= self.network.pids
        return [descendant.pid for descendant in everybody if descendant.pid not in own]

    def _limit_cpus(self) -> None:
        if (cpus := self._limits.get("cpus")) and sys.platform == "linux":
            every = sorted(os.sched_getaffinity(0))
            first = sum(self.folder.name.encode()) % len(every)
            chosen = {every[(first + n) % len(every)] for n in range(min(cpus, len(every)))}
            os.sched_setaffinity(0, chosen)
