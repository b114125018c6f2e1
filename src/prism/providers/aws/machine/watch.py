"""Idleness of machines in the cloud: Prism sends a rule, and the machine applies it.

The idle daemon runs on the machine and needs no connection. Prism reads its report in the
background, at most once a minute, and its last action from the console.
"""

import logging
import re
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from shlex import quote
from typing import Any

import msgspec
from msgspec import structs

from prism.agent.protocol import IDLE_ACT, OBSERVED, IdleDaemonReport
from prism.errors import Problem, Unavailable
from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.machine.agent_bundle import Layout, bundle, install_script, rule_script
from prism.providers.aws.ssh.model import HostKeyUnknown
from prism.providers.aws.ssh.pool import SshPool
from prism.providers.idle_documents import decoded, encoded
from prism.workspaces.idleness import IdleAct, Idleness, IdleRule

log = logging.getLogger(__name__)
READ_EVERY = 60.0  # seconds between two reads of a machine; longer if there are many
SECONDS_PER_MACHINE = 1.0  # seconds between two machines
CONSOLE_AGAIN = (0.0, 60.0, 300.0)  # a console shows the last output late
INSTALL_TIME = 60.0
WATCH_THREADS = 4
NOT_INSTALLED = 7  # the exit code if the machine has another idle daemon, or none
NO_REPORT = 3  # the exit code if there is no report
ACTED = re.compile(rf"{IDLE_ACT} (\{{[^\r\n]*\}})\s")


class AwsWatch:
    """Sends idle rules to machines, and reads their reports."""

    def __init__(
        self,
        pool: SshPool,
        console: Console,
        *,
        layout: Layout | None = None,
        minute: float = 60.0,
        every: float = READ_EVERY,
        executor: Executor | None = None,
    ) -> None:
        """Only tests change `layout`, `minute` (its length in seconds) and `every`."""
        self._pool, self._console, self._minute = pool, console, minute
        self._layout, self._every = layout or Layout(), every
        self._executor = executor or ThreadPoolExecutor(WATCH_THREADS, "aws idle")
        self._lock = threading.Lock()
        self._known: dict[str, Idleness] = {}
        self._due: dict[tuple[str, str], float] = {}  # by machine and boot, if on
        # Machines that are off: the number of reads so far, and when the next is due.
        self._down: dict[tuple[str, str], tuple[int, float]] = {}
        self._asking: set[str] = set()
        self._on: dict[str, str] = {}  # the boots of machines that are on
        self._tried: set[tuple[str, str]] = set()

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Write the rule onto a machine, and install the idle daemon if needed; raises on failure.

        Without a rule, nothing is installed. The caller repeats a failed call until it succeeds,
        so Prism looks for the host key on the console only once per boot.
        """
        self._require_key_known(id)
        settings = encoded(rule, self._minute)
        result = self._pool.run(id, rule_script(self._layout, settings))
        if result.code == NOT_INSTALLED and rule is not None:
            result = self._install(id, settings)
        if result.code not in {0, NOT_INSTALLED}:
            name = self._pool.host(id).name
            raise Unavailable(f"{name} could not get its idle rule", details=result.err)

    def idle(self, id: str) -> Idleness | None:
        """The last report of a machine's idle daemon; makes no call."""
        return self._known.get(id)

    def look(self, instances: Iterable[Ec2Instance]) -> None:
        """Start asking the machines that are due; the next survey shows the answers."""
        now, machines = time.monotonic(), list(instances)
        before = self._on
        self._on = {
            instance.id: instance.boot for instance in machines if instance.state == "running"
        }
        self._tried &= set(self._on.items())
        with self._lock:
            work = [*self._due_on(machines, now), *self._due_down(machines, now)]
            self._known = {
                instance.id: self._known[instance.id]
                for instance in machines
                if instance.id in self._known
            }
            for id in self._known.keys() & dict(self._on.items() - before.items()).keys():
                # The machine was started again: its report is outdated, its last action is not.
                self._known[id] = Idleness(acted=self._known[id].acted)
            self._asking.update(instance.id for _, instance in work)
        with suppress(RuntimeError):  # closed meanwhile: the next daemon asks them
            for ask, instance in work:
                self._executor.submit(self._ask_and_log, ask, instance)

    def close(self) -> None:
        """Make no more calls; the idle daemons keep running."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ which machines are due
    def _due_on(self, instances: list[Ec2Instance], now: float) -> list[tuple[Any, Ec2Instance]]:
        on = [
            instance
            for instance in instances
            if instance.state == "running" and self._pool.keys.known(instance.id)
        ]
        every = max(self._every, len(on) * SECONDS_PER_MACHINE)
        self._due = {
            (instance.id, instance.boot): self._due.get((instance.id, instance.boot), now)
            for instance in on
        }
        due = [
            instance
            for instance in on
            if self._due[instance.id, instance.boot] <= now and instance.id not in self._asking
        ]
        for instance in due:
            self._due[instance.id, instance.boot] = now + every
            self._down[instance.id, instance.boot] = (0, now)  # read when it is off
        return [(self._read_report, instance) for instance in due]

    def _due_down(self, instances: list[Ec2Instance], now: float) -> list[tuple[Any, Ec2Instance]]:
        """Machines that went off, and whose consoles are due to be read for the last action."""
        names = {(instance.id, instance.boot) for instance in instances}
        self._down = {at: tries for at, tries in self._down.items() if at in names}
        work = []
        for instance in instances:
            count, due = self._down.get((instance.id, instance.boot), (len(CONSOLE_AGAIN), 0.0))
            down = instance.state == "stopped" and instance.id not in self._asking
            if not down or count >= len(CONSOLE_AGAIN) or now < due:
                continue
            more = CONSOLE_AGAIN[count + 1] if count + 1 < len(CONSOLE_AGAIN) else 0.0
            self._down[instance.id, instance.boot] = (count + 1, now + more)
            work.append((self._read_last_words, instance))
        return work

    def _ask_and_log(self, ask: Any, instance: Ec2Instance) -> None:
        try:
            ask(instance)
        except (Problem, msgspec.MsgspecError) as problem:
            log.info("the idleness of %s cannot be read: %s", instance.id, problem)
        finally:
            with self._lock:
                self._asking.discard(instance.id)

    def _require_key_known(self, id: str) -> None:
        """Raise if a machine is off, or this boot's console was read in vain for its host key."""
        if (boot := self._on.get(id)) is None:
            raise Unavailable(f"Machine {id} is not on")
        if self._pool.keys.known(id) is None and (id, boot) in self._tried:
            raise HostKeyUnknown(details=f"the console of {id} does not show it yet")
        self._tried.add((id, boot))

    # ------------------------------------------------------------ reports
    def _read_report(self, instance: Ec2Instance) -> None:
        script = f"cat {quote(self._layout.state)}/{OBSERVED} 2>/dev/null || exit {NO_REPORT}"
        result = self._pool.run(instance.id, script)
        if result.code:
            return
        report = msgspec.json.decode(result.out, type=IdleDaemonReport, strict=False)
        with self._lock:  # a survey replaces the dict
            self._known[instance.id] = decoded(report)
        if report.get("build") != bundle().build:
            self._install(instance.id, None)

    def _read_last_words(self, instance: Ec2Instance) -> None:
        acts = ACTED.findall(self._console.read(instance.id) + "\n")
        if not acts or acts[-1] == "{}":  # its action failed
            return
        act = msgspec.json.decode(acts[-1], type=IdleAct, strict=False)
        if act.at >= instance.launched:
            with self._lock:
                known = self._known.get(instance.id, Idleness())
                self._known[instance.id] = structs.replace(known, acted=act)
                self._down.pop((instance.id, instance.boot), None)

    def _install(self, id: str, rule: bytes | None) -> Any:
        return self._pool.run(id, install_script(self._layout, rule), bundle().data, INSTALL_TIME)
