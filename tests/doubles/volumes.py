"""Volumes in a dictionary, at a provider that fails as tests request."""

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
    ProviderSnapshot,
    SnapshotSpec,
    StorageMetadata,
    StorageRefused,
    StorageSurvey,
    SurveyPart,
    VerificationResult,
    VolumeSpec,
)

SIZE = 10  # GB of every ebs source of a snapshot
NOW = timedelta(0)


@dataclass
class Faults:
    """How the provider misbehaves."""

    down: bool = False  # does not answer and does not act
    lose_replies: int = 0  # acts, then the connection drops, this many times
    full: bool = False  # refuses new volumes
    out_of_reach: bool = False  # machines and volumes are in different zones
    busy: bool = False  # the machine uses the volume
    hidden_for: timedelta = NOW  # new volumes and snapshots are not listed at first
    slow: timedelta = NOW  # how long copying takes
    copy_failure: StorageFailure | None = None  # copies end in BROKEN, with this failure
    verification_failure: StorageFailure | None = None  # of each verification


@dataclass
class Thing:
    """A volume or a snapshot."""

    key: str
    born: datetime
    ready: datetime
    attached: set[str] = field(default_factory=set)
    holds: str = ""  # its content
    zone: str | None = None
    trouble: StorageFailure | None = None


@dataclass
class MemoryVolumes:
    """Implements `storage.ports.Volumes`; `calls` lists the calls in order."""

    clock: Clock
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)
    machines: dict[str, str] = field(default_factory=dict)  # the content of each root disk
    busy: timedelta = timedelta(seconds=0.02)
    calm: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(minutes=2)
    early: bool = True

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self.disks: dict[str, Thing] = {}
        self.copies: dict[str, Thing] = {}
        self.known: dict[str, StorageMetadata] = {}  # the metadata of each
        self.verified: dict[str, VerificationResult] = {}

    def survey(self, parts: Collection[SurveyPart] = EVERYTHING) -> StorageSurvey:
        """All volumes and snapshots that are not hidden."""
        with self._record_call("survey"):
            disks = [
                Disk(
                    id=id,
                    key=disk.key,
                    observed=self._seen(disk),
                    attached=frozenset(disk.attached),
                    zone=disk.zone,
                    used_bytes=len(disk.holds),
                    trouble=disk.trouble,
                    known=self.known.get(id),
                )
                for id, disk in self.disks.items()
                if self._visible(disk)
            ]
            return StorageSurvey(
                disks,
                [self._copy(id, copy) for id, copy in self.copies.items() if self._visible(copy)],
            )

    def create(self, spec: VolumeSpec) -> Disk:
        """Makes a volume, or returns the volume of this key."""
        with self._record_call(f"create {spec.name}"):
            return self._create(spec, "", NOW)

    def restore(self, spec: VolumeSpec, snapshot: str) -> Disk:
        """Makes a volume from a snapshot, or returns the volume of this key."""
        with self._record_call(f"restore {spec.name}"):
            if snapshot not in self.copies:
                raise StorageRefused("There is no such snapshot")
            return self._create(spec, self.copies[snapshot].holds, self.faults.slow)

    def attach(self, id: str, machine: str, name: str) -> None:
        """Attaches a volume."""
        with self._record_call(f"attach {name}"):
            if id not in self.disks:
                raise StorageRefused("There is no such volume")
            if self.faults.out_of_reach:
                raise VolumeElsewhere("It is in zone a, and the machine in zone b")
            self.disks[id].attached.add(machine)

    def detach(self, id: str, machine: str) -> None:
        """Detaches a volume."""
        with self._record_call(f"detach {id}"):
            if self.faults.busy:
                raise StorageRefused("Somebody uses it")
            if id in self.disks:
                self.disks[id].attached.discard(machine)

    def delete(self, id: str) -> None:
        """Deletes a volume."""
        with self._record_call(f"delete {id}"):
            self.disks.pop(id, None)

    def snapshot(self, spec: SnapshotSpec, source: str) -> ProviderSnapshot:
        """Copies a volume or a root disk, or returns the copy of this key."""
        with self._record_call(f"snapshot {source}"):
            key, id = spec.key, _id("snap", spec.key)
            if id not in self.copies or self.copies[id].trouble:
                if source in self.disks:
                    holds = self.disks[source].holds
                elif source in self.machines:
                    holds = self.machines[source]
                else:
                    raise StorageRefused("There is nothing to copy")
                now = self.clock.now()
                copy = Thing(key, now, now + self.faults.slow, holds=holds)
                copy.trouble = self.faults.copy_failure
                self.copies[id] = copy
                shared = source.startswith("fs-")
                self.known[id] = StorageMetadata(
                    name=spec.name,
                    owner=spec.owner,
                    project=spec.project,
                    kind=VolumeKind.EFS if shared else VolumeKind.EBS,
                    size_gb=None if shared else SIZE,
                    source=spec.source,
                    source_id=source,
                    created_at=now,
                )
            return self._copy(id, self.copies[id])

    def verify(self, id: str, token: str) -> None:
        """Verifies a snapshot at once, with the failure of `Faults.verification_failure`."""
        with self._record_call(f"verify {id}"):
            self.verified[id] = VerificationResult(
                token=token, at=self.clock.now(), trouble=self.faults.verification_failure
            )

    def delete_snapshot(self, id: str) -> None:
        """Deletes a snapshot."""
        with self._record_call(f"delete {id}"):
            self.copies.pop(id, None)

    def end(self) -> None:
        """Has no work in progress to end."""

    def close(self) -> None:
        """Has nothing open to close."""

    def _create(self, spec: VolumeSpec, holds: str, takes: timedelta) -> Disk:
        if self.faults.full:
            raise StorageRefused("No more volumes: the quota is reached")
        id = _id("vol" if spec.kind is VolumeKind.EBS else "fs", spec.key)
        now = self.clock.now()
        facts = {
            field: getattr(spec, field)
            for field in StorageMetadata.__struct_fields__
            if hasattr(spec, field)
        }
        self.known.setdefault(id, StorageMetadata(**facts, created_at=now))
        disk = self.disks.setdefault(id, Thing(spec.key, now, now + takes, holds=holds))
        return Disk(id=id, key=spec.key, observed=self._seen(disk), used_bytes=len(disk.holds))

    def _copy(self, id: str, copy: Thing) -> ProviderSnapshot:
        size = None if copy.trouble else len(copy.holds)
        seen = self._seen(copy)
        return ProviderSnapshot(
            id=id,
            key=copy.key,
            observed=seen,
            used_bytes=size,
            trouble=copy.trouble,
            known=self.known.get(id),
            one_moment=True,
            verified=self.verified.get(id),
        )

    def _seen(self, thing: Thing) -> StorageObserved:
        if thing.trouble:
            return StorageObserved.BROKEN
        return StorageObserved.THERE if self.clock.now() >= thing.ready else StorageObserved.MAKING

    def _visible(self, thing: Thing) -> bool:
        return thing.born <= self.clock.now() - self.faults.hidden_for

    @contextmanager
    def _record_call(self, call: str) -> Iterator[None]:
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
