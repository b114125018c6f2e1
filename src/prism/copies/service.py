"""Requests about copies and their schedules: one transaction each; nothing waits for a copy."""

from collections.abc import Callable
from typing import Any

from prism.access.plan import visible
from prism.copies import store, view
from prism.copies.destinations import DestinationKind, parse
from prism.copies.events import (
    SYSTEM,
    CopyScheduleChanged,
    SnapshotCopyAsked,
    SnapshotCopyDeleted,
    SnapshotCopyForgotten,
    about,
    about_schedule,
)
from prism.copies.model import (
    ENDED,
    CopyItem,
    CopySchedule,
    CopyScheduleExists,
    CopyScheduleItem,
    CopyState,
    FetchRequest,
    NewCopy,
    NewCopySchedule,
    NoCopiesElsewhere,
    RemoteCopy,
    SnapshotCopy,
)
from prism.copies.plan import reasons
from prism.errors import ValidationFailed
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.profiles.service import ProfileService
from prism.storage import store as storage_rows
from prism.storage.model import (
    AttachmentHostReader,
    Snapshot,
    SnapshotItem,
    SnapshotOrigin,
    StorageOffer,
    Volume,
)
from prism.storage.service import names
from prism.storage.snapshot_service import SnapshotService, require_completed


class CopyService:
    """Requests of the operator about copies of snapshots."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        actor: Who,
        *,
        storage: SnapshotService,
        profiles: ProfileService,
        hosts: AttachmentHostReader,
        offer: Callable[[str | None], StorageOffer],
        local_location: str,
    ) -> None:
        """`local_location` is the location that snapshots are fetched to."""
        self._db, self._clock, self._actor = db, clock, actor
        self._storage, self._profiles, self._hosts = storage, profiles, hosts
        self._offer, self._local_location = offer, local_location

    def copies(self) -> list[CopyItem]:
        """The copies that were made or begun here, the oldest first."""
        with self._db.read() as sql:
            known = names(sql)
            return [
                view.copy(copy, known)
                for copy in store.every(sql, SnapshotCopy)
                if visible(copy.project, copy.owner)
            ]

    def copy(self, id: str) -> CopyItem:
        """One copy."""
        with self._db.read() as sql:
            return view.copy(store.get(sql, SnapshotCopy, id), names(sql))

    def begin(self, name: str, request: NewCopy) -> CopyItem:
        """Request a copy of a snapshot; one that is under way is not begun twice."""
        destination, profile = self._checked(request.destination, request.profile)
        with self._db.write() as tx:
            snapshot = storage_rows.named(tx.sql, Snapshot, name)
            require_completed(snapshot, "copied")
            self._require_copyable(snapshot.location, f"Snapshot {snapshot.name!r}")
            for earlier in store.copies_of(tx.sql, snapshot.id, destination):
                if earlier.state not in ENDED:
                    return view.copy(earlier, names(tx.sql))
            copy = self.added(tx, snapshot, destination, profile, request)
            return view.copy(copy, names(tx.sql))

    def added(
        self,
        tx: Tx,
        snapshot: Snapshot,
        destination: str,
        profile: str | None,
        request: NewCopy | CopySchedule,
    ) -> SnapshotCopy:
        """A new copy of a completed snapshot, instead of earlier attempts that failed."""
        for earlier in store.copies_of(tx.sql, snapshot.id, destination):
            if earlier.state is CopyState.FAILED:
                store.remove(tx, SnapshotCopy, earlier.id)  # the new one says how it is now
        now, actor = self._clock.now(), self._actor()
        schedule = request if isinstance(request, CopySchedule) else None
        copy = SnapshotCopy(
            id=sortable_id("copy", now),
            snapshot=snapshot.id,
            name=snapshot.name,
            source=snapshot.source,
            source_name=snapshot.source_name,
            location=snapshot.location,
            project=snapshot.project,
            owner=schedule.owner if schedule else actor,
            destination=destination,
            profile=profile,
            verify=request.verify,
            schedule=schedule.id if schedule else None,
            keep=schedule.keep if schedule else None,
            created_at=whole(now),
        )
        store.add(tx, copy, due_at=now)
        tx.happened(SnapshotCopyAsked(**about(copy), actor=SYSTEM if schedule else actor))
        return copy

    def forget(self, id: str) -> str:
        """Cancel a copy, or remove it from the list; what is at the destination stays."""
        with self._db.write() as tx:
            copy = store.get(tx.sql, SnapshotCopy, id)
            store.remove(tx, SnapshotCopy, id)
            tx.happened(SnapshotCopyForgotten(**about(copy), actor=self._actor()))
            if copy.state in ENDED:
                return f"The copy is not listed any more; {copy.destination} was not changed"
            return (
                f"The copy to {copy.destination} is cancelled; nothing incomplete is listed there"
            )

    def deleted(self, destination: str, remote: RemoteCopy) -> str:
        """Record that a copy at a destination was destroyed; it is not listed any more."""
        text, project = parse(destination).text, None
        with self._db.write() as tx:
            for copy in store.every(tx.sql, SnapshotCopy):
                if (copy.destination, copy.remote_id) == (text, remote.id):
                    store.remove(tx, SnapshotCopy, copy.id)
                    project = copy.project
            event = SnapshotCopyDeleted(
                actor=self._actor(),
                subject=remote.label.name,
                copy=remote.id,
                project=project,
                destination=text,
            )
            tx.happened(event)
        return f"The copy {remote.id[:16]} of {remote.label.name} at {text} is destroyed"

    def fetch(self, request: FetchRequest, remote: RemoteCopy) -> SnapshotItem:
        """Request a snapshot with the data of a copy."""
        destination, profile = self._checked(request.destination, request.profile)
        origin = SnapshotOrigin(destination=destination, remote_id=remote.id, profile=profile)
        name = request.name or remote.label.name
        return self._storage.fetch(name, self._local_location, origin, remote.label)

    # ------------------------------------------------------------ schedules
    def schedules(self) -> list[CopyScheduleItem]:
        """Every schedule, the oldest first."""
        with self._db.read() as sql:
            return [view.schedule(schedule) for schedule in store.every(sql, CopySchedule)]

    def schedule(self, request: NewCopySchedule) -> CopyScheduleItem:
        """Make a schedule; its first run is now."""
        if (request.volume is None) == (request.instance is None):
            raise ValidationFailed.of(("volume", "name either a volume or an instance"))
        destination, profile = self._checked(request.destination, request.profile)
        now = self._clock.now()
        with self._db.write() as tx:
            schedule = CopySchedule(
                id=sortable_id("schedule", now),
                **self._source(tx, request),
                owner=self._actor(),
                destination=destination,
                profile=profile,
                every=request.every,
                keep=request.keep,
                verify=request.verify,
                created_at=whole(now),
            )
            self._require_copyable(schedule.location, f"{schedule.source_name!r}")
            for known in store.schedules_of(tx.sql, schedule.source_id, destination):
                raise CopyScheduleExists(
                    f"{known.source_name!r} is copied to {destination} already, {known.every}",
                    remediation="To change that, first end it: "
                    f"`prism snapshot unschedule {known.id}`",
                )
            store.add(tx, schedule, due_at=now)
            self._announce(tx, schedule, "create")
            return view.schedule(schedule)

    def _source(self, tx: Tx, request: NewCopySchedule) -> dict[str, Any]:
        if request.volume is not None:
            volume = storage_rows.named(tx.sql, Volume, request.volume)
            where = {"location": volume.location, "project": volume.project}
            return {
                "source": "volume",
                "source_id": volume.id,
                "source_name": volume.name,
                **where,
            }
        host = self._hosts.named(tx.sql, request.instance or "")
        where = {"location": host.location, "project": host.project}
        return {"source": "workspace", "source_id": host.id, "source_name": host.name, **where}

    def end_schedule(self, id: str) -> str:
        """Make no more copies; those at the destination stay."""
        with self._db.write() as tx:
            schedule = store.get(tx.sql, CopySchedule, id)
            store.remove(tx, CopySchedule, id)
            self._announce(tx, schedule, "delete")
            return f"{schedule.source_name} is not copied any more; its copies stay"

    def reasons(self) -> list[str]:
        """Why scheduled copies fail, for the status of the daemon."""
        with self._db.read() as sql:
            return reasons(store.every(sql, CopySchedule))

    def _announce(self, tx: Tx, schedule: CopySchedule, verb: str) -> None:
        actor = self._actor()
        tx.happened(CopyScheduleChanged(**about_schedule(schedule), actor=actor, verb=verb))

    def _checked(self, text: str, profile: str | None) -> tuple[str, str | None]:
        """The destination as it is stored, and the profile whose login it needs."""
        destination = parse(text)
        if destination.kind is not DestinationKind.S3:
            if profile is not None:
                raise ValidationFailed.of(("profile", "only a bucket has one"))
            return destination.text, None
        named = self._profiles.current() if profile is None else self._profiles.named(profile)
        return destination.text, named.name

    def _require_copyable(self, location: str, subject: str) -> None:
        if why := self._offer(location).no_copies_elsewhere():
            raise NoCopiesElsewhere(
                f"{subject} cannot be copied to another disk, computer or bucket", details=why
            )
