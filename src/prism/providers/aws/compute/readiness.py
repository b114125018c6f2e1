"""When a machine is ready, read from its console, or by SSH, whichever comes first.

Its boot prints markers, `prism-boot: STEP`, ending in `ready` or `failed STEP`. Machines that boot
are asked in the background; the next survey shows the answer. The result is written as a tag with
the name of the boot: another daemon need not ask again, and it is void after the next start.

A resume from hibernation counts only if the resumed system says so: its boot script prints the
boot id and a random value that only its memory has, and both are those of the last time. What the
kernel prints proves nothing: `resume from hibernation` comes from the kernel that was booted,
before it reads the memory back (Linux, kernel/power/hibernate.c, `software_resume`).
"""

import logging
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from prism.errors import Problem
from prism.providers.aws.api import tags as names
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.prices.credits import slow_start

log = logging.getLogger(__name__)
MARKER = re.compile(r"prism-boot: ([a-z][a-z0-9-]*)(?:[ \t]+(\S[^\r\n]*))?")
# The first lines of a boot: a console also has the output of earlier boots.
BEGINS = re.compile(r"Linux version \d|PM: hibernation: resume|prism-boot: begin\b")
NOT_STEPS = {"hostkey", "id"}  # markers that are no steps of the setup
UNVERIFIED = timedelta(minutes=15)  # then a machine counts as on without confirmation
SLOW_UNVERIFIED = timedelta(minutes=45)  # the same, without CPU credits (decision 048)
LATE_RESULT_UNTIL = timedelta(hours=2)  # until then, a late result still counts
SHORTEST_PAUSE, LONGEST_PAUSE, LATE_PAUSE = 2.0, 10.0, 60.0  # seconds between two reads
SSH_PAUSE = 30.0  # seconds between a failed login and the next one
READINESS_THREADS = 8


class BootStage(StrEnum):
    """The result of a boot so far."""

    COMING = "coming"
    READY = "ready"
    FAILED = "failed"
    UNVERIFIED = "unverified"


class BootStatus(Struct, frozen=True):
    """The stage of a boot, its last or failed step, and its progress."""

    stage: BootStage = BootStage.COMING
    step: str | None = None
    progress: int = 10
    id: str = ""  # what only its memory has: a resumed machine keeps the one it had
    at: datetime | None = None  # when the machine said so
    lost: bool = False  # it should have resumed, but booted without its memory


Probe = Callable[[Ec2Instance], str | None]
"""Returns the markers of the current boot, read by SSH; None if the login is not possible yet."""
Heard = Callable[[str, str], object]
"""Called with the id and the console text of a machine whenever Prism reads a console."""


def read(text: str, launched: datetime | None = None) -> BootStatus:
    """The status of the last boot on a console, or on a part of one.

    A console may still show the boot before the start at `launched`: that says nothing about it.
    """
    begins = [match.start() for match in BEGINS.finditer(text)]
    last = text[begins[-1] :] if begins else text
    markers = MARKER.findall(last)
    id, at = _memory(next((value for word, value in reversed(markers) if word == "id"), ""))
    if launched is not None and at is not None and at < launched.replace(microsecond=0):
        return BootStatus()
    steps = [marker for marker in markers if marker[0] not in NOT_STEPS]
    if any(word == "ready" for word, _ in steps):
        return BootStatus(BootStage.READY, None, 100, id, at)
    if failed := next((why for word, why in steps if word == "failed"), None):
        return BootStatus(BootStage.FAILED, failed.strip(), _progress(len(steps)), id, at)
    step = steps[-1][0] if steps else None
    return BootStatus(BootStage.COMING, step, _progress(len(steps)), id, at)


def _memory(marker: str) -> tuple[str, datetime | None]:
    """What only the memory has, and when the machine said so, from the value of the `id` marker.

    The values are Linux's boot id, a random value in a tmpfs, and the time; the user data of an
    older Prism has the first one only.
    """
    words = marker.split()
    at = names.moment(words[-1]) if len(words) > 1 else None
    return " ".join(words if at is None else words[:-1]), at


def unverified_after(instance: Ec2Instance) -> timedelta:
    """How long a start may say nothing before the machine counts as on without confirmation.

    A resume needs little CPU. A boot that begins without CPU credits runs at 20 to 40 %.
    """
    is_slow = slow_start(instance.type) is not None and names.CREDITS not in instance.tags
    return SLOW_UNVERIFIED if is_slow and not woke(instance) else UNVERIFIED


def woke(instance: Ec2Instance) -> bool:
    """Whether this start should resume the machine from hibernation, and is not confirmed yet."""
    return bool(instance.tags.get(names.ASLEEP)) and instance.tags[names.ASLEEP] != instance.boot


def _progress(steps: int) -> int:
    """A percentage that grows with each step and stays below 100, since the total is unknown."""
    return 10 + 85 * steps // (steps + 3)


class Readiness:
    """The boot status of every running machine."""

    def __init__(
        self,
        cloud: Cloud,
        consoles: Console,
        *,
        probe: Probe | None = None,
        listeners: Sequence[Heard] = (),
        executor: Executor | None = None,
        pace: float = 1.0,
    ) -> None:
        """`pace` is the length of a second between two reads; shorter in tests."""
        self._cloud, self._consoles, self._probe = cloud, consoles, probe
        self._listeners, self._pace = listeners, pace
        self._executor = executor or ThreadPoolExecutor(READINESS_THREADS, "aws ready")
        self._lock = threading.Lock()
        self._boots: dict[tuple[str, str], BootStatus] = {}  # by machine and boot
        self._due: dict[tuple[str, str], datetime] = {}
        self._closed_until: dict[tuple[str, str], datetime] = {}
        self._asking: set[tuple[str, str]] = set()
        self._noting: set[str] = set()  # machines whose hibernation is being tagged

    def of(self, instance: Ec2Instance) -> BootStatus:
        """The boot status of a running machine; makes no call."""
        if (decided := tagged(instance)) is not None:
            return decided
        boot = self._boots.get((instance.id, instance.boot), BootStatus())
        late = self._cloud.clock.now() - instance.launched >= unverified_after(instance)
        if late and boot.stage is BootStage.COMING:
            return BootStatus(BootStage.UNVERIFIED)
        return boot

    def look(self, instances: Iterable[Ec2Instance]) -> None:
        """Start asking the machines that are due; the next survey shows the answers."""
        now, instances = self._cloud.clock.now(), list(instances)
        self._tag_sleepers(instances)
        running = {
            (instance.id, instance.boot): instance
            for instance in instances
            if instance.state == "running"
        }
        with self._lock:
            for by_boot in (self._boots, self._due, self._closed_until):
                for gone in by_boot.keys() - running.keys():
                    del by_boot[gone]
            due = [key for key, instance in running.items() if self._is_due(key, instance, now)]
            self._asking.update(due)
        with suppress(RuntimeError):  # closed meanwhile: the next daemon asks them
            for key in due:
                self._executor.submit(self._check, key, running[key])

    def close(self) -> None:
        """Make no more calls."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _is_due(self, key: tuple[str, str], instance: Ec2Instance, now: datetime) -> bool:
        decided = tagged(instance)
        if key in self._asking or (decided and decided.stage is BootStage.READY):
            return False
        if now - instance.launched > LATE_RESULT_UNTIL and decided is None:
            return False
        first = instance.launched + timedelta(seconds=SHORTEST_PAUSE * self._pace)
        return now >= self._due.get(key, first)

    def _check(self, key: tuple[str, str], instance: Ec2Instance) -> None:
        """Read the boot of one machine, and act on it; a failure is retried."""
        try:
            decided = tagged(instance) or self._decided_before(key)
            boot = decided or _believed(instance, self._read_boot(key, instance))
            self._boots[key] = boot
            if boot.stage is BootStage.READY:
                self._cloud.tag(
                    instance.id, {names.READY: instance.boot} | _ready_tags(instance, boot)
                )
            elif boot.stage is BootStage.FAILED:
                self._fail_and_stop(instance, boot)
        except Problem as problem:
            log.warning("%s: %s", instance.id, problem)
        finally:
            now = self._cloud.clock.now()
            with self._lock:
                late = now - instance.launched >= unverified_after(instance)
                self._due[key] = now + self._interval(now - instance.launched, late=late)
                self._asking.discard(key)

    def _decided_before(self, key: tuple[str, str]) -> BootStatus | None:
        """A result whose tag is not written or not visible yet."""
        boot = self._boots.get(key)
        return boot if boot and boot.stage in {BootStage.READY, BootStage.FAILED} else None

    def _read_boot(self, key: tuple[str, str], instance: Ec2Instance) -> BootStatus:
        """The status of a boot: from the console first, which is fast and needs no login."""
        try:
            boot = read(self._console(instance), instance.launched)
        except Problem as silent:
            if (output := self._probe_by_ssh(key, instance)) is None:
                raise
            log.info("%s: marker read by SSH only: %s", instance.id, silent)
            return read(output)
        if boot.stage is not BootStage.COMING:
            return boot
        return max(boot, read(self._probe_by_ssh(key, instance) or ""), key=lambda it: it.progress)

    def _console(self, instance: Ec2Instance) -> str:
        text = self._consoles.read(instance.id, SHORTEST_PAUSE * self._pace / 2)
        for hear in self._listeners:
            hear(instance.id, text)
        return text

    def _probe_by_ssh(self, key: tuple[str, str], instance: Ec2Instance) -> str | None:
        """Ask by SSH; pauses after a failure, since each try can take long."""
        now = self._cloud.clock.now()
        if self._probe is None or now < self._closed_until.get(key, now):
            return None
        if (output := self._probe(instance)) is None:
            self._closed_until[key] = now + timedelta(seconds=SSH_PAUSE * self._pace)
        return output

    def _fail_and_stop(self, instance: Ec2Instance, boot: BootStatus) -> None:
        """Tag a machine whose setup failed, then stop it, so that it costs no more."""
        self._cloud.tag(instance.id, {names.FAILED_TAG: f"{instance.boot} {boot.step or 'boot'}"})
        self._cloud.call("ec2", "StopInstances", InstanceIds=[instance.id])

    def _tag_sleepers(self, instances: Iterable[Ec2Instance]) -> None:
        """Tag hibernated machines: at the next start, EC2 forgets that they hibernated."""
        new = [
            instance
            for instance in instances
            if instance.asleep
            and instance.tags.get(names.ASLEEP) != instance.boot
            and instance.id not in self._noting
        ]
        with suppress(RuntimeError):  # closed meanwhile: the next daemon writes it
            for instance in new:
                self._noting.add(instance.id)
                self._executor.submit(self._tag_asleep, instance)

    def _tag_asleep(self, instance: Ec2Instance) -> None:
        try:
            self._cloud.tag(instance.id, {names.ASLEEP: instance.boot})
        except Problem as problem:
            log.warning("%s: %s", instance.id, problem)
        finally:
            self._noting.discard(instance.id)

    def _interval(self, age: timedelta, *, late: bool) -> timedelta:
        seconds = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, age.total_seconds() / 6))
        return timedelta(seconds=self._pace * (LATE_PAUSE if late else seconds))


def _believed(instance: Ec2Instance, boot: BootStatus) -> BootStatus:
    """The status, if the machine should have resumed: whether it has, and if not, its loss.

    EC2's reason says that hibernation was begun, not that it succeeded: if it failed, the machine
    was shut down, and the next start is another boot.
    """
    if boot.stage is not BootStage.READY or not woke(instance):
        return boot
    before = instance.tags.get(names.BOOT_ID)
    if not before or not boot.id:
        return BootStatus(BootStage.COMING, "resume")  # nothing proves it
    return replace(boot, lost=before != boot.id)


def _ready_tags(instance: Ec2Instance, boot: BootStatus) -> names.Tags:
    """The tags of a ready machine, besides `READY`."""
    tags = {names.BOOT_ID: boot.id} if boot.id else {}
    if woke(instance):
        tags[names.ASLEEP] = ""
    if boot.lost:
        tags[names.MEMORY_LOST] = instance.boot
    return tags


def tagged(instance: Ec2Instance) -> BootStatus | None:
    """The result of a machine's current or last boot, by its tags."""
    boot, _, step = instance.tags.get(names.FAILED_TAG, "").partition(" ")
    if boot == instance.boot:
        return BootStatus(BootStage.FAILED, step)
    if instance.tags.get(names.READY) == instance.boot:
        lost = instance.tags.get(names.MEMORY_LOST) == instance.boot
        return BootStatus(BootStage.READY, progress=100, lost=lost)
    return None
