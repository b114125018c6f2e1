"""Asking for volumes. One verb, one transaction; nothing here waits for a provider."""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import structs
from sqlalchemy import Connection

from prism.access.plan import visible
from prism.errors import ValidationFailed
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.projects import store as projects
from prism.projects.model import Project
from prism.storage import store, view
from prism.storage.events import VolumeAsked, about
from prism.storage.model import (
    Attachment,
    EbsVolume,
    EfsVolume,
    Host,
    Hosts,
    Meter,
    NewVolume,
    Seen,
    Snapshot,
    StorageGuard,
    StorageState,
    Terms,
    Verb,
    Volume,
    VolumeElsewhere,
    VolumeExists,
    VolumeInUse,
    VolumeKind,
    VolumeList,
    VolumeState,
)
from prism.storage.plan import checked, volume_state

Shown = EbsVolume | EfsVolume


class StorageService:
    """What one person may ask about volumes."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        terms: Callable[[str | None], Terms],
        hosts: Hosts,
        actor: Who,
        meters: Sequence[Meter] = (),
        guards: Sequence[StorageGuard] = (),
    ) -> None:
        self._db, self._clock, self._terms = db, clock, terms
        self._hosts, self._who, self._meters, self._guards = hosts, actor, meters, guards

    def every(self) -> VolumeList:
        """All of them."""
        with self._db.read() as sql:
            volumes = [it for it in store.every(sql, Volume) if visible(it.project, it.owner)]
            attachments = store.attachments_of(sql, [it.id for it in volumes])
            return view.listed(volumes, attachments, names(sql))

    def named(self, name: str) -> Shown:
        """The one with that name or id."""
        with self._db.read() as sql:
            return self._shown(sql, store.volume_named(sql, name))

    def create(self, order: NewVolume) -> Shown:
        """Ask for a new one."""
        order, terms, now = checked(order), self._terms(None), self._clock.now()
        id = sortable_id("volume", now)
        with self._db.write() as tx:
            project = projects.named(tx.sql, order.project).id if order.project else None
            it = Volume(
                id=id,
                name=order.name,
                kind=order.type,
                owner=self._who(),
                place=terms.place,
                project=project,
                size_gb=order.size_gb,
                volume_type=order.volume_type,
                iops=order.iops,
                throughput=order.throughput,
                gb_month=terms.gb_month(order.volume_type or "efs"),
                notes=terms.notes(order.type, order.size_gb),
                expected_id=terms.expected_id(id, order.type),
                created_at=whole(now),
            )
            if order.budget is not None and project is None:
                raise ValidationFailed.of(("project", "is missing: a budget pays for a project"))
            self.add(tx, it, now, order.budget)
            return self._shown(tx.sql, it)

    def add(self, tx: Tx, it: Volume, now: datetime, budget: str | None = None) -> None:
        """Keep a new one, if its name is free."""
        if store.find_volume(tx.sql, it.name):
            raise VolumeExists(
                f"A volume called {it.name!r} already exists",
                remediation=f"Look at it with `prism volume show {it.name}`",
            )
        self._allowed(tx, it, budget=budget)
        store.add(tx, it, due_at=now)
        self._changed(tx, None, it, now)
        self._told(tx, it, "create")

    def delete(self, name: str) -> str:
        """Ask for one, and what it holds, to be destroyed; its name."""
        with self._db.write() as tx:
            it, now = store.volume_named(tx.sql, name), self._clock.now()
            if it.verb is Verb.DELETE:
                return it.name
            _unneeded(tx.sql, it)
            self._write(tx, it, now, verb=Verb.DELETE, wish=it.wish + 1)
            self._told(tx, store.by_id(tx.sql, Volume, it.id), "delete")
            return it.name

    def attach(self, name: str, instance: str) -> Shown:
        """Ask for a workspace to have it."""
        with self._db.write() as tx:
            it = store.volume_named(tx.sql, name)
            self._attach(tx, it, self._hosts.named(tx.sql, instance))
            return self._shown(tx.sql, it)

    def detach(self, name: str, instance: str | None = None) -> Shown:
        """Ask for one workspace, or all, to have it no more."""
        with self._db.write() as tx:
            it = store.volume_named(tx.sql, name)
            found = store.attachments_of(tx.sql, [it.id])[it.id]
            if instance is not None:
                host = self._hosts.named(tx.sql, instance)
                found = [one for one in found if one.workspace == host.id]
            self._detach(tx, it, found)
            return self._shown(tx.sql, it)

    # What the rooms above ask for, inside their own transactions.

    def may_join(self, sql: Connection, host: Host, volumes: Sequence[str]) -> None:
        """Raise where one of these volumes cannot be attached to a workspace, or all of them."""
        found = [store.volume_named(sql, name) for name in volumes]
        for it in found:
            _attachable(sql, it, host)
        for it in found:
            _within_reach(it, host, [other.zone for other in found if other.zone])

    def join(self, tx: Tx, host: Host, volumes: Sequence[str]) -> None:
        """Attach these to a workspace that is being launched."""
        for name in volumes:
            self._attach(tx, store.volume_named(tx.sql, name), host)

    def leave(self, tx: Tx, workspace: str) -> None:
        """Detach everything from a workspace that is being destroyed; no data is touched."""
        for one in store.attachments_to(tx.sql, workspace):
            self._detach(tx, store.by_id(tx.sql, Volume, one.volume), [one])

    def holds_project(self, tx: Tx, project: Project) -> str | None:
        """Implements `projects.model.Holder`: a project stays while it has storage."""
        count = store.count_in(tx.sql, project.id)
        return f"{count} volumes and snapshots belong to it" if count else None

    def renamed_project(self, tx: Tx, project: Project) -> None:
        """Implements `projects.model.Holder`: storage keeps the id, which stays."""

    def _attach(self, tx: Tx, it: Volume, host: Host) -> None:
        _attachable(tx.sql, it, host)
        now = {one.workspace: one for one in store.attachments_of(tx.sql, [it.id])[it.id]}
        if host.id in now and now[host.id].wanted:
            return
        store.want(tx, Attachment(volume=it.id, workspace=host.id, name=host.name))
        self._write(tx, it, self._clock.now(), wish=it.wish + 1)
        self._told(tx, it, "attach")

    def _detach(self, tx: Tx, it: Volume, found: Sequence[Attachment]) -> None:
        if not any(one.wanted for one in found):
            return
        for one in found:
            store.want(tx, structs.replace(one, wanted=False))
        self._write(tx, it, self._clock.now(), wish=it.wish + 1)
        self._told(tx, it, "detach")

    def _write(self, tx: Tx, it: Volume, now: datetime, **wish: object) -> None:
        store.change(tx, it, {**wish, "due_at": now})
        self._changed(tx, it, store.by_id(tx.sql, Volume, it.id), now)

    def _allowed(
        self,
        tx: Tx,
        it: Volume | Snapshot,
        *,
        backup: bool = False,
        budget: str | None = None,
    ) -> None:
        for guard in self._guards:
            guard.allow(tx, it, backup=backup, budget=budget)

    def _changed(self, tx: Tx, before: Volume | None, after: Volume, now: datetime) -> None:
        if before != after:
            for meter in self._meters:
                meter.changed(tx, before, after, now)

    def _told(self, tx: Tx, it: Volume, verb: str) -> None:
        state = volume_state(it, store.attachments_of(tx.sql, [it.id])[it.id])
        tx.happened(VolumeAsked(**about(it), actor=self._who(), verb=verb, state=state))

    def _shown(self, sql: Connection, it: Volume) -> Shown:
        return view.volume(it, store.attachments_of(sql, [it.id])[it.id], names(sql))


def names(sql: Connection) -> dict[str, str]:
    """What projects and snapshots are called, by their ids."""
    of_projects = {it.id: it.name for it in projects.every(sql)}
    return of_projects | {it.id: it.name for it in store.every(sql, Snapshot)}


def _attachable(sql: Connection, it: Volume, host: Host) -> None:
    """Raise where a workspace cannot have a volume."""
    found = store.attachments_of(sql, [it.id])[it.id]
    state = volume_state(it, found)
    if it.verb is Verb.DELETE or state is VolumeState.ERROR:
        raise StorageState(
            f"Volume {it.name!r} is {state}",
            remediation=f"Look at it with `prism volume show {it.name}`",
            data={"state": state},
        )
    if host.ended:
        raise StorageState(
            f"Workspace {host.name!r} is being terminated",
            remediation="Use `prism workspace list` to see available workspaces",
        )
    if it.place != host.place:
        raise VolumeElsewhere(
            f"Volume {it.name!r} and workspace {host.name!r} are not in the same place",
            details=f"{it.place.partition(':')[0]} and {host.place.partition(':')[0]}",
        )
    others = [one for one in found if one.workspace != host.id]
    if it.kind is VolumeKind.EBS and others:
        raise VolumeInUse(
            f"Volume {it.name!r} is attached to {others[0].name!r}",
            details="an ebs volume has one workspace at a time; an efs volume is shared",
            remediation=f"Use `prism volume detach {it.name}`",
        )
    _within_reach(it, host, store.zones_of(sql, host.id))


def _within_reach(it: Volume, host: Host, zones: Sequence[str]) -> None:
    """Raise where a workspace's other volumes tie it to another zone."""
    if it.zone is not None and (away := [zone for zone in zones if zone != it.zone]):
        raise VolumeElsewhere(
            f"Volume {it.name!r} is in {it.zone}, workspace {host.name!r} has one in {away[0]}",
            details="a disk stays in its zone, and a workspace is in one",
            remediation="Take a snapshot and restore it, `prism snapshot --help`: "
            "the new volume goes wherever it is attached first",
            data={"zone": it.zone, "wanted": away[0]},
        )


def _unneeded(sql: Connection, it: Volume) -> None:
    """Raise where something still needs a volume."""
    if found := store.attachments_of(sql, [it.id])[it.id]:
        raise VolumeInUse(
            f"Volume {it.name!r} is attached",
            details=f"to {', '.join(one.name for one in found)}",
            remediation=f"Use `prism volume detach {it.name}`",
        )
    being_made = {Seen.NONE, Seen.UNSURE, Seen.MAKING}
    for one in store.snapshots_of(sql, it.id):
        if one.seen in being_made and one.verb is Verb.MAKE:
            raise VolumeInUse(
                f"Volume {it.name!r} is being copied",
                details=f"the snapshot {one.name!r} is not complete yet",
                remediation="Look at it with `prism snapshot list`",
            )


def exactly_one(volume: str | None, instance: str | None) -> None:
    """Raise unless a snapshot is asked for of one thing."""
    if (volume is None) == (instance is None):
        raise ValidationFailed.of(("volume", "name either a volume or an instance"))
