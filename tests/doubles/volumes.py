"""Volumes that exist only in a dictionary, at a provider that can be as bad as a real one."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.storage.model import StorageFailure, StorageObserved, VolumeElsewhere, VolumeKind
from prism.storage.ports import (
    EVERYTHING,
    Disk,
    Known,
    ProviderSnapshot,
    SnapshotOrder,
    StorageRefused,
    StorageSurvey,
    SurveyPart,
    Verified,
    VolumeOrder,
)

SIZE = 10  # GB, of whatever a snapshot is taken of
NOW = timedelta(0)


@dataclass
class Faults:
    """How the provider misbehaves."""

    down: bool = False  # does not answer and does not act
    lose_replies: int = 0  # acts, then the connection drops, this many times
    full: bool = False  # refuses new volumes
    out_of_reach: bool = False  # machines are not where volumes are
    busy: bool = False  # somebody in the machine uses it
    hidden_for: timedelta = NOW  # what is new is not listed at first
    slow: timedelta = NOW  # how long copying takes
    sick: StorageFailure | None = None  # copies end BROKEN, with this
    rotten: StorageFailure | None = None  # what a verification finds


@dataclass
class Thing:
    """A volume or a snapshot."""

    key: str
    born: datetime
    ready: datetime
    attached: set[str] = field(default_factory=set)
    holds: str = ""  # what is in it
    zone: str | None = None
    trouble: StorageFailure | None = None


@dataclass
class MemoryVolumes:
    """Implements `storage.ports.Volumes`; `calls` lists what was asked, in order."""

    clock: Clock
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)
    machines: dict[str, str] = field(default_factory=dict)  # what each root disk holds
    busy: timedelta = timedelta(seconds=0.02)
    calm: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(minutes=2)
    early: bool = True

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self.disks: dict[str, Thing] = {}
        self.copies: dict[str, Thing] = {}
        self.known: dict[str, Known] = {}  # what is written on each
        self.verified: dict[str, Verified] = {}

    def survey(self, parts: Collection[SurveyPart] = EVERYTHING) -> StorageSurvey:
        """Everything that is not hidden."""
        with self._asked("survey"):
            disks = [
                Disk(
                    id=id,
                    key=it.key,
                    seen=self._seen(it),
                    attached=frozenset(it.attached),
                    zone=it.zone,
                    used_bytes=len(it.holds),
                    trouble=it.trouble,
                    known=self.known.get(id),
                )
                for id, it in self.disks.items()
                if self._visible(it)
            ]
            return StorageSurvey(
                disks,
                [self._copy(id, it) for id, it in self.copies.items() if self._visible(it)],
            )

    def create(self, order: VolumeOrder) -> Disk:
        """Make a volume, or find the one that this key made."""
        with self._asked(f"create {order.name}"):
            return self._made(order, "", NOW)

    def restore(self, order: VolumeOrder, snapshot: str) -> Disk:
        """Make a volume from a snapshot, or find the one that this key made."""
        with self._asked(f"restore {order.name}"):
            if snapshot not in self.copies:
                raise StorageRefused("There is no such snapshot")
            return self._made(order, self.copies[snapshot].holds, self.faults.slow)

    def attach(self, id: str, machine: str, name: str) -> None:
        """Attach it."""
        with self._asked(f"attach {name}"):
            if id not in self.disks:
                raise StorageRefused("There is no such volume")
            if self.faults.out_of_reach:
                raise VolumeElsewhere("It is in zone a, and the machine in zone b")
            self.disks[id].attached.add(machine)

    def detach(self, id: str, machine: str) -> None:
        """Detach it."""
        with self._asked(f"detach {id}"):
            if self.faults.busy:
                raise StorageRefused("Somebody uses it")
            if id in self.disks:
                self.disks[id].attached.discard(machine)

    def delete(self, id: str) -> None:
        """Destroy it."""
        with self._asked(f"delete {id}"):
            self.disks.pop(id, None)

    def snapshot(self, order: SnapshotOrder, source: str) -> ProviderSnapshot:
        """Copy a volume or a root disk, or find the copy that this key made."""
        with self._asked(f"snapshot {source}"):
            key, id = order.key, _id("snap", order.key)
            if id not in self.copies or self.copies[id].trouble:
                if source in self.disks:
                    holds = self.disks[source].holds
                elif source in self.machines:
                    holds = self.machines[source]
                else:
                    raise StorageRefused("There is nothing to copy")
                now = self.clock.now()
                made = Thing(key, now, now + self.faults.slow, holds=holds)
                made.trouble = self.faults.sick
                self.copies[id] = made
                self.known[id] = Known(
                    name=order.name,
                    owner=order.owner,
                    project=order.project,
                    size_gb=SIZE,
                    source=order.source,
                    source_id=source,
                    created_at=now,
                )
            return self._copy(id, self.copies[id])

    def verify(self, id: str, token: str) -> None:
        """Verified at once; it is sound unless `Faults.rotten` says otherwise."""
        with self._asked(f"verify {id}"):
            self.verified[id] = Verified(
                token=token, at=self.clock.now(), trouble=self.faults.rotten
            )

    def delete_snapshot(self, id: str) -> None:
        """Destroy it."""
        with self._asked(f"delete {id}"):
            self.copies.pop(id, None)

    def end(self) -> None:
        """Nothing is under way."""

    def close(self) -> None:
        """Nothing is open."""

    def _made(self, order: VolumeOrder, holds: str, takes: timedelta) -> Disk:
        if self.faults.full:
            raise StorageRefused("No more volumes: the quota is reached")
        id = _id("vol" if order.kind is VolumeKind.EBS else "fs", order.key)
        now = self.clock.now()
        said = {
            field: getattr(order, field)
            for field in Known.__struct_fields__
            if hasattr(order, field)
        }
        self.known.setdefault(id, Known(**said, created_at=now))
        it = self.disks.setdefault(id, Thing(order.key, now, now + takes, holds=holds))
        return Disk(id=id, key=order.key, seen=self._seen(it), used_bytes=len(it.holds))

    def _copy(self, id: str, it: Thing) -> ProviderSnapshot:
        size = None if it.trouble else len(it.holds)
        seen = self._seen(it)
        return ProviderSnapshot(
            id=id,
            key=it.key,
            seen=seen,
            used_bytes=size,
            trouble=it.trouble,
            known=self.known.get(id),
            one_moment=True,
            verified=self.verified.get(id),
        )

    def _seen(self, it: Thing) -> StorageObserved:
        if it.trouble:
            return StorageObserved.BROKEN
        return StorageObserved.THERE if self.clock.now() >= it.ready else StorageObserved.MAKING

    def _visible(self, it: Thing) -> bool:
        return it.born <= self.clock.now() - self.faults.hidden_for

    @contextmanager
    def _asked(self, call: str) -> Iterator[None]:
        with self._lock:
            self.calls.append(call)
            if self.faults.down:
                raise Unavailable("The cloud does not answer")
            yield
            if self.faults.lose_replies and call != "survey":
                self.faults.lose_replies -= 1
                raise Unavailable("The connection dropped")


def _id(prefix: str, key: str) -> str:
    return f"{prefix}-{sha256(key.encode()).hexdigest()[:17]}"
