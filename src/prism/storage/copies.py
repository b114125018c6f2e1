"""Asking for snapshots: taking, restoring, and keeping what a workspace held at its end."""

from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access.plan import visible
from prism.kit.clock import whole
from prism.kit.db import Tx
from prism.kit.ids import sortable_id
from prism.storage import store, view
from prism.storage.events import SnapshotAsked, about
from prism.storage.model import (
    BeingCopied,
    Host,
    NewSnapshot,
    NoSnapshots,
    NoVerification,
    Restoring,
    Seen,
    Snapshot,
    SnapshotExists,
    SnapshotInUse,
    SnapshotItem,
    SnapshotState,
    StorageState,
    Verb,
    Verifying,
    Volume,
    VolumeKind,
    VolumeState,
)
from prism.storage.plan import reserved, snapshot_state, volume_state
from prism.storage.service import Shown, StorageService, exactly_one, names

BEING_MADE = {Seen.NONE, Seen.UNSURE, Seen.MAKING}


class SnapshotService(StorageService):
    """What one person may ask about volumes and snapshots."""

    def snapshots(self) -> list[SnapshotItem]:
        """All of them, the oldest first."""
        with self._db.read() as sql:
            known = names(sql)
            mine = [it for it in store.every(sql, Snapshot) if visible(it.project, it.owner)]
            return [view.snapshot(it, known) for it in mine]

    def snapshot(self, name: str) -> SnapshotItem:
        """The one with that name or id."""
        with self._db.read() as sql:
            return view.snapshot(store.snapshot_named(sql, name), names(sql))

    def take(self, order: NewSnapshot) -> SnapshotItem:
        """Ask for a snapshot of a volume, or of a workspace's root disk."""
        exactly_one(order.volume, order.instance)
        with self._db.write() as tx:
            if order.volume is not None:
                made = self._of_volume(tx.sql, order.name, order.volume)
            else:
                host = self._hosts.named(tx.sql, order.instance or "")
                if host.machine is None or host.ended:
                    raise StorageState(
                        f"Workspace {host.name!r} has no disk to copy",
                        remediation="Use `prism workspace list` to see available workspaces",
                    )
                made = self._of_host(order.name, host)
            made = replace(made, verify_every=order.verify)
            if order.verify is not None:
                self._verifiable(made)
            self._add_snapshot(tx, made)
            return view.snapshot(made, names(tx.sql))

    def verify(self, name: str, asked: Verifying) -> SnapshotItem:
        """Ask for a snapshot to be verified now, and maybe by itself from now on."""
        with self._db.write() as tx:
            it, now = store.snapshot_named(tx.sql, name), self._clock.now()
            if (state := snapshot_state(it)) is not SnapshotState.COMPLETED:
                raise StorageState(
                    f"Snapshot {it.name!r} is {state}",
                    details="only a completed one can be verified",
                    remediation="Look at it with `prism snapshot list`",
                    data={"state": state},
                )
            self._verifiable(it)
            wish: dict[str, object] = {"verify_wish": it.verify_wish + 1}
            if asked.every is not None:
                wish["verify_every"] = None if asked.every == "never" else asked.every
            self._write_snapshot(tx, it, now, **wish)
            after = store.by_id(tx.sql, Snapshot, it.id)
            self._told_snapshot(tx, after, "verify")
            return view.snapshot(after, names(tx.sql))

    def _verifiable(self, it: Snapshot) -> None:
        if why := self._terms(it.place).no_verification():
            raise NoVerification(f"Snapshot {it.name!r} cannot be verified", details=why)

    def restore(self, name: str, order: Restoring) -> Shown:
        """Ask for a new volume that holds what a snapshot holds."""
        reserved(order.name)
        with self._db.write() as tx:
            it, now = store.snapshot_named(tx.sql, name), self._clock.now()
            if (state := snapshot_state(it)) is not SnapshotState.COMPLETED:
                raise StorageState(
                    f"Snapshot {it.name!r} is {state}",
                    details="only a completed one can be restored",
                    remediation="Look at it with `prism snapshot list`",
                    data={"state": state},
                )
            made = self._from(it, order.name, now)
            self.add(tx, made, now)
            return self._shown(tx.sql, made)

    def delete_snapshot(self, name: str) -> str:
        """Ask for one to be destroyed; its name."""
        with self._db.write() as tx:
            it, now = store.snapshot_named(tx.sql, name), self._clock.now()
            if it.verb is Verb.DELETE:
                return it.name
            _unneeded(tx.sql, it)
            self._write_snapshot(tx, it, now, verb=Verb.DELETE, wish=it.wish + 1)
            self._told_snapshot(tx, store.by_id(tx.sql, Snapshot, it.id), "delete")
            return it.name

    def undisturbed(self, sql: Connection, workspace: str, name: str, verb: str) -> None:
        """Raise where a workspace's disk is being copied, which `verb` would spoil.

        The copy that its own end waits for (`holds`) is no reason: whoever asks gives it up.
        """
        for one in store.snapshots_of(sql, workspace):
            if one.verb is Verb.MAKE and one.seen in BEING_MADE and not one.holds:
                raise BeingCopied(
                    f"Workspace {name!r} is being copied",
                    details=f"the snapshot {one.name!r} is not complete yet, so {verb} waits",
                    remediation="Wait until `prism snapshot list` shows it as completed, or give "
                    f"it up: `prism snapshot delete {one.name}`",
                    data={"snapshot": one.name},
                )

    def backup(self, tx: Tx, host: Host, *, wanted: bool) -> Snapshot | None:
        """Have a workspace's root disk kept before it is destroyed, or no longer so.

        Asked again after it failed, it is tried again; once it is complete there is no second.
        """
        held, now = store.held(tx.sql, host.id), self._clock.now()
        if held is None:
            if not wanted or host.machine is None or store.backed_up(tx.sql, host.id):
                return None
            made = self._of_host(_free_name(tx.sql, f"{host.name}-backup"), host, holds=True)
            self._add_snapshot(tx, made)
            return made
        if not wanted:
            self._write_snapshot(tx, held, now, holds=False)
        elif held.seen is Seen.BROKEN:
            self._write_snapshot(tx, held, now, wish=held.wish + 1)
        return held

    def _of_volume(self, sql: Connection, name: str, volume: str) -> Snapshot:
        it = store.volume_named(sql, volume)
        state = volume_state(it, store.attachments_of(sql, [it.id])[it.id])
        unfit = {VolumeState.CREATING, VolumeState.ERROR, VolumeState.DELETING}
        if state in unfit:
            raise StorageState(
                f"Volume {it.name!r} is {state}",
                remediation=f"Look at it with `prism volume show {it.name}`",
                data={"state": state},
            )
        now, terms = self._clock.now(), self._terms(it.place)
        if why := terms.no_copies(it.kind):
            raise NoSnapshots(f"There can be no snapshot of {it.name!r}", details=why)
        return Snapshot(
            id=sortable_id("snapshot", now),
            name=name,
            owner=self._who(),
            place=it.place,
            project=it.project,
            source="volume",
            source_id=it.id,
            source_name=it.name,
            kind=it.kind,
            size_gb=it.size_gb,
            volume_type=it.volume_type,
            iops=it.iops,
            throughput=it.throughput,
            gb_month=terms.gb_month("snapshot"),
            created_at=whole(now),
        )

    def _of_host(self, name: str, host: Host, *, holds: bool = False) -> Snapshot:
        now = self._clock.now()
        return Snapshot(
            id=sortable_id("snapshot", now),
            name=name,
            owner=self._who(),
            place=host.place,
            project=host.project,
            source="workspace",
            source_id=host.id,
            source_name=host.name,
            kind=VolumeKind.EBS,
            size_gb=host.root_gb,
            volume_type=host.root_type,
            gb_month=self._terms(host.place).gb_month("snapshot"),
            holds=holds,
            created_at=whole(now),
        )

    def _from(self, it: Snapshot, name: str, now: datetime) -> Volume:
        id, terms = sortable_id("volume", now), self._terms(it.place)
        return Volume(
            id=id,
            name=name,
            kind=it.kind,
            owner=self._who(),
            place=it.place,
            project=it.project,
            size_gb=it.size_gb,
            volume_type=it.volume_type,
            iops=it.iops,
            throughput=it.throughput,
            gb_month=terms.gb_month(it.volume_type or "efs"),
            notes=terms.notes(it.kind, it.size_gb),
            from_snapshot=it.id,
            expected_id=terms.expected_id(id, it.kind),
            created_at=whole(now),
        )

    def _add_snapshot(self, tx: Tx, it: Snapshot) -> None:
        reserved(it.name)
        if store.find_snapshot(tx.sql, it.name):
            raise SnapshotExists(
                f"A snapshot called {it.name!r} already exists",
                remediation="Use `prism snapshot list` to see available snapshots",
            )
        now = self._clock.now()
        self._allowed(tx, it, backup=it.holds)
        store.add(tx, it, due_at=now)
        for meter in self._meters:
            meter.changed(tx, None, it, now)
        self._told_snapshot(tx, it, "create")

    def _write_snapshot(self, tx: Tx, it: Snapshot, now: datetime, **wish: object) -> None:
        store.change(tx, it, {**wish, "due_at": now})
        for meter in self._meters:
            meter.changed(tx, it, store.by_id(tx.sql, Snapshot, it.id), now)

    def _told_snapshot(self, tx: Tx, it: Snapshot, verb: str) -> None:
        state = snapshot_state(it)
        tx.happened(SnapshotAsked(**about(it), actor=self._who(), verb=verb, state=state))


def _unneeded(sql: Connection, it: Snapshot) -> None:
    """Raise where something still needs a snapshot."""
    if it.holds and (held := store.held(sql, it.source_id)) and held.id == it.id:
        raise SnapshotInUse(
            f"Workspace {it.source_name!r} waits for the snapshot {it.name!r}",
            details="it is destroyed once its snapshot is complete",
            remediation=f"Give the snapshot up: `prism workspace terminate {it.source_name}`",
        )
    for one in store.volumes_from(sql, it.id):
        if one.seen in BEING_MADE and one.verb is Verb.MAKE:
            raise SnapshotInUse(
                f"Volume {one.name!r} is being made from the snapshot {it.name!r}",
                remediation=f"Look at it with `prism volume show {one.name}`",
            )


def _free_name(sql: Connection, name: str) -> str:
    number, free = 1, name
    while store.find_snapshot(sql, free):
        number += 1
        free = f"{name}-{number}"
    return free
