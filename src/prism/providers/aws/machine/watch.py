"""Idleness of machines in the cloud: told by a rule, judged there, and heard of from here.

The watch is on the machine itself and needs nobody. What it found is read behind the
scenes, once a minute at most; what it did before it went down is on its console.
"""

import logging
import re
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from shlex import quote
from typing import Any

import msgspec
from msgspec import structs

from prism.agent.protocol import IDLE_ACT, OBSERVED, IdleDaemonReport
from prism.errors import Problem, Unavailable
from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.machine.agent_bundle import Layout, parcel, shipped, told
from prism.providers.aws.ssh.model import HostKeyUnknown
from prism.providers.aws.ssh.pool import SshPool
from prism.providers.idle_documents import decoded, encoded
from prism.workspaces.idleness import IdleAct, Idleness, IdleRule

log = logging.getLogger(__name__)
EVERY = 60.0  # seconds between two looks at a machine; more where there are many
EACH = 1.0  # seconds between two machines
CONSOLE_AGAIN = (0.0, 60.0, 300.0)  # a console shows its last words after a while
SHIPPING = 60.0
THREADS = 4
OTHER = 7  # the exit code of a machine that has another watch, or none
NOBODY = 3  # that of one that says nothing
ACTED = re.compile(rf"{IDLE_ACT} (\{{[^\r\n]*\}})\s")


class AwsWatch:
    """Tells machines what to make of idleness, and knows what they made of it."""

    def __init__(
        self,
        pool: SshPool,
        console: Console,
        *,
        layout: Layout | None = None,
        minute: float = 60.0,
        every: float = EVERY,
        executor: Executor | None = None,
    ) -> None:
        """`layout`, `minute` (its seconds) and `every` are others only in tests."""
        self._pool, self._console, self._minute = pool, console, minute
        self._layout, self._every = layout or Layout(), every
        self._executor = executor or ThreadPoolExecutor(THREADS, "aws idle")
        self._lock = threading.Lock()
        self._known: dict[str, Idleness] = {}
        self._due: dict[tuple[str, str], float] = {}  # by machine and boot; those that are on
        # Of those that are off: questions so far, and when next.
        self._down: dict[tuple[str, str], tuple[int, float]] = {}
        self._asking: set[str] = set()
        self._on: dict[str, str] = {}  # the boots of machines that are on
        self._tried: set[tuple[str, str]] = set()

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Write the rule onto a machine, and the watch where there is none; raises if it cannot.

        A machine that never had a rule gets no watch for having none. Whoever could not tell
        it tries again for as long as it takes, so AWS is asked no more than once a boot.
        """
        self._check(id)
        settings = encoded(rule, self._minute)
        said = self._pool.run(id, told(self._layout, settings))
        if said.code == OTHER and rule is not None:
            said = self._ship(id, settings)
        if said.code not in {0, OTHER}:
            name = self._pool.host(id).name
            raise Unavailable(f"{name} does not take its idle rule", details=said.err)

    def idle(self, id: str) -> Idleness | None:
        """What a machine has said last of its own idleness; asks nobody."""
        return self._known.get(id)

    def look(self, instances: Iterable[Ec2Instance]) -> None:
        """Have those asked that are due; the answers show at the next look."""
        now, there = time.monotonic(), list(instances)
        before, self._on = (
            self._on,
            {instance.id: instance.boot for instance in there if instance.state == "running"},
        )
        self._tried &= set(self._on.items())
        with self._lock:
            work = [*self._due_of(there, now), *self._down_of(there, now)]
            self._known = {
                instance.id: self._known[instance.id]
                for instance in there
                if instance.id in self._known
            }
            for id in self._known.keys() & dict(self._on.items() - before.items()).keys():
                # It was started: what it found before holds no more, what it did does.
                self._known[id] = Idleness(acted=self._known[id].acted)
            self._asking.update(instance.id for _, instance in work)
        for ask, instance in work:
            self._executor.submit(self._asked, ask, instance)

    def close(self) -> None:
        """Ask nobody any more; the watches go on."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ who is asked
    def _due_of(self, there: list[Ec2Instance], now: float) -> list[tuple[Any, Ec2Instance]]:
        on = [
            instance
            for instance in there
            if instance.state == "running" and self._pool.keys.known(instance.id)
        ]
        every = max(self._every, len(on) * EACH)
        self._due = {
            (instance.id, instance.boot): self._due.get((instance.id, instance.boot), now)
            for instance in on
        }
        found = [
            instance
            for instance in on
            if self._due[instance.id, instance.boot] <= now and instance.id not in self._asking
        ]
        for instance in found:
            self._due[instance.id, instance.boot] = now + every
            self._down[instance.id, instance.boot] = (0, now)  # should it go down
        return [(self._listen, instance) for instance in found]

    def _down_of(self, there: list[Ec2Instance], now: float) -> list[tuple[Any, Ec2Instance]]:
        """Those that we saw on and that are down: their consoles have the last words."""
        names = {(instance.id, instance.boot) for instance in there}
        self._down = {at: tries for at, tries in self._down.items() if at in names}
        found = []
        for instance in there:
            count, due = self._down.get((instance.id, instance.boot), (len(CONSOLE_AGAIN), 0.0))
            down = instance.state == "stopped" and instance.id not in self._asking
            if not down or count >= len(CONSOLE_AGAIN) or now < due:
                continue
            more = CONSOLE_AGAIN[count + 1] if count + 1 < len(CONSOLE_AGAIN) else 0.0
            self._down[instance.id, instance.boot] = (count + 1, now + more)
            found.append((self._read_last_words, instance))
        return found

    def _asked(self, ask: Any, instance: Ec2Instance) -> None:
        try:
            ask(instance)
        except (Problem, msgspec.MsgspecError) as problem:
            log.info("%s does not say how idle it is: %s", instance.id, problem)
        finally:
            with self._lock:
                self._asking.discard(instance.id)

    def _check(self, id: str) -> None:
        """Raise where a machine cannot be told as yet."""
        if (boot := self._on.get(id)) is None:
            raise Unavailable(f"Machine {id} is not on")
        if self._pool.keys.known(id) is None and (id, boot) in self._tried:
            raise HostKeyUnknown(details=f"the console of {id} does not tell it so far")
        self._tried.add((id, boot))

    # ------------------------------------------------------------ what they say
    def _listen(self, instance: Ec2Instance) -> None:
        script = f"cat {quote(self._layout.state)}/{OBSERVED} 2>/dev/null || exit {NOBODY}"
        said = self._pool.run(instance.id, script)
        if said.code:
            return
        report = msgspec.json.decode(said.out, type=IdleDaemonReport, strict=False)
        self._known[instance.id] = decoded(report)
        if report.get("build") != parcel().build:
            self._ship(instance.id, None)

    def _read_last_words(self, instance: Ec2Instance) -> None:
        found = ACTED.findall(self._console.read(instance.id) + "\n")
        if not found or found[-1] == "{}":  # it wanted to, and could not
            return
        act = msgspec.json.decode(found[-1], type=IdleAct, strict=False)
        if act.at >= instance.launched:
            known = self._known.get(instance.id, Idleness())
            self._known[instance.id] = structs.replace(known, acted=act)
            with self._lock:
                self._down.pop((instance.id, instance.boot), None)

    def _ship(self, id: str, rule: bytes | None) -> Any:
        return self._pool.run(id, shipped(self._layout, rule), parcel().data, SHIPPING)
