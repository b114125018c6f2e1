"""Volumes and snapshots that have no row: shown, and taken back; nobody waits for a provider."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from sqlalchemy import Connection

from prism.errors import Problem
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.money import amount
from prism.projects import store as projects
from prism.recovery import store
from prism.recovery.model import Left, StorageOrphan, StorageTaken
from prism.recovery.storing import Gleaners, Kept, kind_of
from prism.storage import store as storage
from prism.storage.events import SnapshotAsked, VolumeAsked, about
from prism.storage.model import (
    Attachment,
    Meter,
    Snapshot,
    StorageGuard,
    Terms,
    Volume,
    VolumeKind,
)
from prism.storage.plan import gigabytes, monthly_cost, snapshot_state, volume_state
from prism.storage.ports import Copy, Disk, Known
from prism.workspaces import store as workspaces

NOTHING = Known()
Thing = Volume | Snapshot


class Shelf:
    """What the operator may ask about volumes and snapshots that nobody here knows."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        gleaners: Gleaners,
        terms: Callable[[str], Terms],
        actor: Who,
        *,
        guards: Sequence[StorageGuard] = (),
        meters: Sequence[Meter] = (),
    ) -> None:
        self._db, self._clock, self._gleaners = db, clock, gleaners
        self._terms, self._who = terms, actor
        self._guards, self._meters = guards, meters

    def orphans(self) -> list[StorageOrphan]:
        """Each of them, as the last looks have shown it."""
        return [self._shown(it) for gleaner in self._gleaners() for it in gleaner.kept()]

    def recover(self, *, everybody: bool, dry: bool) -> tuple[list[StorageTaken], list[Left]]:
        """Make rows of those that are ours, each in a transaction; who was left, and why."""
        taken: list[StorageTaken] = []
        left: list[Left] = []
        for it in [one for gleaner in self._gleaners() for one in gleaner.kept()]:
            known = it.what.known or NOTHING
            if why := self._foreign(it, known, everybody=everybody):
                left.append(Left(it.what.id, known.name or None, why))
                continue
            try:
                taken += self._take(it, known, dry=dry)
            except Problem as no:  # one that cannot be rebuilt is no reason to leave the rest
                left.append(Left(it.what.id, known.name or None, no.message))
        return taken, left

    def _take(self, it: Kept, known: Known, *, dry: bool) -> list[StorageTaken]:
        with self._db.write() as tx:
            if it.what.key in store.known_storage(tx.sql):
                return []  # somebody was faster
            row, notes = self._row(tx.sql, it, known)
            if not dry:
                self._keep(tx, row, it.what)
        return [_taken(it, row, notes)]

    def _foreign(self, it: Kept, known: Known, *, everybody: bool) -> str | None:
        """Why it is left alone: an account may be shared by several Prisms."""
        if isinstance(it.what, Copy) and it.what.removed_by:
            return (
                "another snapshot counts for the same request, and this one is kept and paid for "
                f"beside it; remove it: `{it.what.removed_by}`"
            )
        here = it.place.startswith("local:") or known.owner.lower() == self._who().lower()
        if not everybody and not here:
            owner = known.owner or "somebody unknown"
            return f"{owner} made it; `prism recover --everybody` takes it"
        if isinstance(it.what, Disk) and kind_of(it.what) == "ebs" and known.size_gb is None:
            return "its size is not known: it was made by an older Prism"
        return None

    def _keep(self, tx: Tx, row: Thing, what: Disk | Copy) -> None:
        """Write it down, have it paid for from now on, and say so."""
        now = self._clock.now()
        for guard in self._guards:  # what is there is never refused
            guard.allow(tx, row, backup=True)
        storage.add(tx, row, due_at=now)
        for meter in self._meters:
            meter.changed(tx, None, row, now)
        who: dict[str, Any] = {**about(row), "actor": self._who(), "verb": "recover"}
        if isinstance(row, Snapshot):
            tx.happened(SnapshotAsked(**who, state=snapshot_state(row)))
            return
        found = _attachments(tx.sql, row, what) if isinstance(what, Disk) else []
        for one in found:
            storage.want(tx, one)
        tx.happened(VolumeAsked(**who, state=volume_state(row, found)))

    def _row(self, sql: Connection, it: Kept, known: Known) -> tuple[Thing, tuple[str, ...]]:
        """The row that it is made of, and what of it could not be rebuilt."""
        notes, terms = [], self._terms(it.place)
        project = projects.find(sql, known.project) if known.project else None
        if known.project and project is None:
            notes.append(f"project {known.project!r} is not here: nobody's budget pays for it")
        table = storage.snapshots if isinstance(it.what, Copy) else storage.volumes
        name = _free(
            known.name or it.what.id.replace("-", "_"), it.what.id, store.called(sql, table)
        )
        if name != known.name:
            notes.append(f"it was called {known.name!r}" if known.name else "it had no name")
        common = {
            "id": it.what.key,
            "name": name,
            "owner": known.owner or self._who(),
            "place": it.place,
            "project": project.id if project else None,
            "size_gb": known.size_gb,
            "iops": known.iops,
            "throughput": known.throughput,
            "created_at": whole(known.created_at or self._clock.now()),
            "seen": it.what.seen,
            "granted": 1,
            "used_bytes": it.what.used_bytes,
        }
        if isinstance(it.what, Copy):
            return self._snapshot(sql, it.what, known, terms, common), tuple(notes)
        return _volume(it.what, known, terms, common), tuple(notes)

    def _snapshot(
        self, sql: Connection, it: Copy, known: Known, terms: Terms, common: dict[str, Any]
    ) -> Snapshot:
        volume = storage.find_volume(sql, known.source_id) if known.source_id else None
        source: Literal["volume", "workspace"] = "volume" if volume else "workspace"
        return Snapshot(
            **common,
            source=source,
            source_id=volume.id if volume else known.source_id or it.id,
            source_name=known.source or known.source_id or "unknown",
            kind=known.kind,
            volume_type=known.volume_type or "gp3",
            gb_month=terms.gb_month("snapshot"),
            tried=1,
            copy_id=it.id,
            progress=it.progress,
        )

    def _shown(self, it: Kept) -> StorageOrphan:
        known = it.what.known or NOTHING
        with self._db.read() as sql:
            row, _ = self._row(sql, it, known)
        made, cost = known.created_at, monthly_cost(row)
        if isinstance(row, Volume) and row.kind is VolumeKind.EBS and row.size_gb is None:
            cost = None
        now = self._clock.now()
        return StorageOrphan(
            kind=kind_of(it.what),
            id=it.what.id,
            name=known.name or None,
            place=it.place,
            owner=known.owner or None,
            project=known.project,
            size_gb=known.size_gb,
            used_gb=gigabytes(it.what.used_bytes),
            created_at=made and whole(made),
            age_seconds=None if made is None else int((now - made).total_seconds()),
            monthly_cost=None if cost is None else amount(cost),
            removed_by=it.what.removed_by if isinstance(it.what, Copy) else None,
        )


def _volume(it: Disk, known: Known, terms: Terms, common: dict[str, Any]) -> Volume:
    kind = VolumeKind(kind_of(it))
    sort = (known.volume_type or "gp3") if kind is VolumeKind.EBS else None
    return Volume(
        **common,
        kind=kind,
        volume_type=sort,
        gb_month=terms.gb_month(sort or "efs"),
        notes=terms.notes(kind, known.size_gb),
        expected_id=terms.expected_id(it.key, kind),
        disk_id=it.id,
        zone=it.zone,
    )


def _attachments(sql: Connection, row: Volume, it: Disk) -> list[Attachment]:
    """Those to workspaces that have a row; whose machines have it now."""
    mine = [one for one in workspaces.every(sql) if one.machine_id in it.attached]
    return [
        Attachment(
            volume=row.id, workspace=one.id, name=one.name, attached=True, machine=one.machine_id
        )
        for one in mine
        if one.ended_at is None
    ]


def _free(name: str, id: str, taken: set[str]) -> str:
    """A name that is free, as near to its own as can be; an id is part of it, so one is."""
    tries = (name, f"{name[:56]}-{id[-6:]}", f"{name[:40]}-{id[-17:]}")
    return next((one for one in tries if one not in taken), id.replace("-", "_"))


def _taken(it: Kept, row: Thing, notes: Sequence[str]) -> StorageTaken:
    return StorageTaken(
        kind=kind_of(it.what),
        name=row.name,
        id=it.what.id,
        owner=row.owner,
        place=row.place,
        notes=tuple(notes),
    )
