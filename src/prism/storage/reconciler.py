"""Fulfils requests for volumes: observe, plan, act, record."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Table

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER_DUE, Claim, ReconcileResult, in_locations
from prism.projects import store as projects
from prism.storage import store
from prism.storage.changes import StorageChanges
from prism.storage.events import (
    VolumeAttached,
    VolumeDetached,
    VolumeMeasured,
    VolumeStateChanged,
    about,
)
from prism.storage.model import (
    Attachment,
    AttachmentHost,
    AttachmentHostReader,
    Snapshot,
    StorageFailure,
    StorageObserved,
    StorageVerb,
    Volume,
    VolumeElsewhere,
)
from prism.storage.plan import (
    PlannedStorageAction,
    StorageAction,
    gigabytes,
    is_foreign,
    machine_of,
    observed_attachments,
    perceive,
    plan_volume,
    settled,
    settlement,
    unaccounted,
    volume_state,
    wants,
)
from prism.storage.ports import Disk, DiskUnreadable, StorageRefused, Volumes
from prism.storage.survey import LazySurvey, volume_spec
from prism.storage.survey_schedule import SurveySchedule

SYSTEM = "prism"
BOOTING = 4  # how many times longer to wait while a machine starts than while a volume changes
DETACHED_SHOWN = timedelta(days=1)  # longer than any provider shows a detached volume
AGAIN = timedelta(seconds=30)  # before a refused step is tried again
VANISHED = StorageFailure("VANISHED", "It was destroyed outside of Prism; its data is lost")
AT_ONCE = ReconcileResult(timedelta(0), lambda _: None)


class ObservedAttachments(NamedTuple):
    """A volume's attachments, as observed.

    `ended` are those of workspaces that have ended, `refused` one that is impossible; other
    refused attachments are tried `again`.
    """

    attachments: list[Attachment]
    ended: set[str]
    refused: str | None = None
    again: bool = False


class StorageObserver(Protocol):
    """Gets the result of each survey."""

    def look(self, view: LazySurvey, locations: Iterable[str]) -> None:
        """Note that these locations were surveyed; called outside of any transaction."""


class StorageParts(NamedTuple):
    """What the reconcilers of volumes and of snapshots share."""

    db: Database
    clock: Clock
    providers: Mapping[str, Volumes]
    hosts: AttachmentHostReader
    changes: StorageChanges
    is_paused: Callable[[None], bool] = lambda _: False  # the database is older than the machines


class StorageReconciler:
    """The common part of the reconcilers of volumes and of snapshots."""

    rows: Table

    def __init__(self, parts: StorageParts) -> None:
        self._db, self._clock, self._providers, self._hosts, self._changes, self._is_paused = parts
        self._rounds = SurveySchedule(self._providers)

    def reachable(self) -> ColumnElement[bool]:
        """The rows whose location a provider of this daemon serves."""
        return in_locations(self.rows, self._providers)

    def look(self, claims: Sequence[Claim] = ()) -> LazySurvey:
        """A survey of all storage, made when needed."""
        return LazySurvey(self._providers, self._project_name)

    def _make_due(
        self, kind: type[Volume | Snapshot], ids: Sequence[str], now: datetime
    ) -> timedelta:
        """Make the rows due that differ from a survey; the pause until the next survey."""
        if ids:
            with self._db.write() as tx:
                store.make_due(tx, kind, ids, now)
        return self._rounds.pause(now)

    def _project_name(self, project: str | None) -> str | None:
        with self._db.read() as sql:
            return project_name(sql, project)


class VolumeReconciler(StorageReconciler):
    """Brings every volume to the state that was requested."""

    rows = store.volumes

    def __init__(self, parts: StorageParts, observers: Sequence[StorageObserver] = ()) -> None:
        super().__init__(parts)
        self._observers = observers
        self._detached_at: dict[tuple[str, str], datetime] = {}  # by volume and machine
        self._first_seen: dict[tuple[str, str], datetime] = {}  # likewise, without an attachment

    def mark_due(self) -> timedelta:
        """Survey each location that is due; rows that differ from the survey become due."""
        now = self._clock.now()
        locations, look = self._rounds.due(now), self.look()
        for observer in self._observers:
            observer.look(look, locations)
        with self._db.read() as sql:
            known = store.idle_in(sql, Volume, locations)
            attachments = store.attachments_of(sql, [volume.id for volume in known])
            rows = [attachment for group in attachments.values() for attachment in group]
            hosts = self._hosts_of(sql, rows)
            owners = self._hosts.on(
                sql, {attachment.workspace for attachment in rows if is_foreign(attachment)}
            )
        hosts = {**hosts, **owners}
        changed = [
            volume.id
            for volume in known
            if self._differs(volume, attachments[volume.id], hosts, look)
        ]
        return self._make_due(Volume, changed, now)

    def reconcile(self, claim: Claim, view: LazySurvey) -> ReconcileResult:
        """Do the next step for one volume."""
        with self._db.read() as sql:
            before = store.by_id(sql, Volume, claim.id)
            attachments = store.attachments_of(sql, [before.id])[before.id]
            hosts = self._hosts_of(sql, attachments)
        provider, now = self._providers[before.location], self._clock.now()
        try:
            disk = view.disk(before)
        except DiskUnreadable:
            # It exists: only its tags are written again.
            provider.create(volume_spec(before, self._project_name(before.project)))
            return ReconcileResult(provider.busy, lambda _: None)
        if disk is not None and self._settle(claim, before, attachments, hosts, disk):
            return AT_ONCE  # the next step uses the new facts
        observed = perceive(before, disk.observed if disk else None, now, provider.patience)
        attachments = _updated(attachments, disk, hosts)
        unmounted = disk.unmounted if disk else frozenset()
        step = plan_volume(before, observed, attachments, hosts, unmounted, early=provider.early)
        if self._is_paused(None) and step.act not in {StorageAction.REST, StorageAction.FORGET}:
            step = PlannedStorageAction(StorageAction.WAIT)
        if step.act is StorageAction.FORGET:
            return ReconcileResult(NEVER_DUE - now, lambda tx: self._forget(tx, before))
        facts = _facts(before, observed, disk) | _trouble(before, step, attachments)
        refused = False
        try:
            facts |= self._act(claim, replace(before, **facts), step, hosts)
        except (StorageRefused, VolumeElsewhere) as error:
            facts |= {"observed_generation": before.generation}
            facts |= {"trouble": StorageFailure(error.code, error.message_with_remediation)}
            if step.act is StorageAction.MAKE:
                facts |= {"observed": StorageObserved.BROKEN, "provider_called_at": None}
            refused = True
        return self._result(before, facts, self._links_of(attachments, hosts, step, refused), step)

    def _links_of(
        self,
        attachments: list[Attachment],
        hosts: Mapping[str, AttachmentHost],
        step: PlannedStorageAction,
        refused: bool,
    ) -> ObservedAttachments:
        ended = {link.workspace for link in attachments if not _is_living(link, hosts)}
        attachment = step.attachment if refused and step.act is StorageAction.ATTACH else None
        retries = refused and step.act in {StorageAction.DETACH, StorageAction.DELETE}
        return ObservedAttachments(
            attachments, ended, attachment.workspace if attachment else None, retries
        )

    def _act(
        self,
        claim: Claim,
        volume: Volume,
        step: PlannedStorageAction,
        hosts: Mapping[str, AttachmentHost],
    ) -> dict[str, Any]:
        provider = self._providers[volume.location]
        if step.act is StorageAction.MAKE:
            with self._db.write() as tx:  # before the call, after which it may exist
                claim.update(tx, provider_called_at=self._clock.now())
            return _facts(volume, (disk := self._make(volume)).observed, disk)
        id = volume.disk_id or volume.expected_id
        if step.act is StorageAction.DELETE and id is not None:
            provider.delete(id)
            return {"provider_called_at": None}  # from here on, not listed is gone
        if step.attachment is not None and id is not None:
            machine = machine_of(step.attachment, hosts)
            if step.act is StorageAction.ATTACH:
                # Before the call, which may attach it.
                self._save_machine(step.attachment, machine)
                provider.attach(id, machine, volume.name)
            else:
                self._note_detached(volume.id, machine)
                provider.detach(id, machine)
                self._save_machine(step.attachment, None)
            # The refusal of the attachment stays visible while the attachment is undone.
            undoing = step.act is StorageAction.DETACH and not step.attachment.attached
            return {} if undoing else {"trouble": None}
        return {}

    def _note_detached(self, volume: str, machine: str) -> None:
        """Remember when a volume was detached, and forget what no survey can still show."""
        now, known = self._clock.now(), self._detached_at
        recent = {key: at for key, at in known.items() if now < at + DETACHED_SHOWN}
        self._detached_at = recent | {(volume, machine): now}

    def _settle(
        self,
        claim: Claim,
        volume: Volume,
        attachments: Sequence[Attachment],
        hosts: Mapping[str, AttachmentHost],
        disk: Disk,
    ) -> bool:
        """Record machines that have the volume without an attachment; whether there were any."""
        machines = unaccounted(attachments, hosts, disk.attached)
        machines = {machine for machine in machines if self._is_sure(volume, machine, attachments)}
        if not machines:
            return False
        with self._db.write() as tx:
            owners = self._hosts.on(tx.sql, machines)
            added, removed = settlement(volume, attachments, machines, disk.attached, owners)
            claim.update(tx, attempts=0)  # the lease has to be ours
            for attachment in removed:
                store.remove_attachment(tx, attachment)
            for attachment in added:
                store.save_wanted(tx, attachment)
        return bool(added)

    def _is_sure(self, volume: Volume, machine: str, rows: Sequence[Attachment]) -> bool:
        """Whether a machine really has the volume, and the survey is not outdated.

        A provider may show a detached volume for a while, even if an earlier daemon detached it.
        If rows are known to be old, or data is to be destroyed, one survey is enough.
        """
        now, patience = self._clock.now(), self._providers[volume.location].patience
        detached_at = self._detached_at.get((volume.id, machine))
        if detached_at is not None and now < detached_at + max(patience * BOOTING, AGAIN):
            return False
        if any(attachment.workspace == machine for attachment in rows):
            return True  # another row of the machine exists already
        first = self._first_seen.setdefault((volume.id, machine), now)
        is_over = volume.verb is StorageVerb.DELETE or now >= first + patience
        return is_over or self._is_paused(None)

    def _save_machine(self, attachment: Attachment, machine: str | None) -> None:
        with self._db.write() as tx:
            store.save_machine(tx, attachment, machine)

    def _make(self, volume: Volume) -> Disk:
        provider = self._providers[volume.location]
        spec = volume_spec(volume, self._project_name(volume.project))
        if volume.from_snapshot is None:
            return provider.create(spec)
        with self._db.read() as sql:
            origin = next(iter(store.by_ids(sql, Snapshot, [volume.from_snapshot])), None)
        if origin is None or origin.copy_id is None:
            raise StorageRefused("The snapshot from which it should be made is gone")
        return provider.restore(spec, origin.copy_id)

    def _result(
        self,
        before: Volume,
        facts: dict[str, Any],
        links: ObservedAttachments,
        step: PlannedStorageAction,
    ) -> ReconcileResult:
        after = replace(before, **facts)
        if step.act is StorageAction.REST and not after.is_done:
            facts |= {"observed_generation": before.generation}
        provider = self._providers[before.location]
        pause = provider.busy
        if (
            step.act is StorageAction.WAIT
            and after.observed is StorageObserved.THERE
            and not provider.early
        ):
            pause = provider.busy * BOOTING
        if _is_first_try(step):
            pause = timedelta(0)  # more may be attached
        if links.again:
            pause = AGAIN
        elif step.act is StorageAction.REST and settled(after, links.attachments):
            pause = NEVER_DUE - self._clock.now()  # a request or a survey will say
        return ReconcileResult(pause, lambda tx: self._record(tx, before.id, facts, links))

    def _record(self, tx: Tx, id: str, facts: dict[str, Any], links: ObservedAttachments) -> None:
        before = store.by_id(tx.sql, Volume, id)
        # Read again: there may be a new request.
        rows = store.attachments_of(tx.sql, [id])[id]
        was = volume_state(before, rows)
        self._record_attachments(tx, before, rows, links)
        after = replace(before, **facts)
        self._changes.apply(tx, before, after, observed=True)
        state = volume_state(after, store.attachments_of(tx.sql, [id])[id])
        fields: dict[str, Any] = {"actor": SYSTEM, **about(after)}
        if state is not was or before.trouble != after.trouble or before.disk_id != after.disk_id:
            fields |= {"previous_state": was, "state": state, "failure": after.trouble}
            tx.happened(VolumeStateChanged(**fields))
        elif gigabytes(before.used_bytes) != gigabytes(after.used_bytes):
            tx.happened(VolumeMeasured(**fields, used_bytes=after.used_bytes))

    def _record_attachments(
        self, tx: Tx, volume: Volume, rows: list[Attachment], links: ObservedAttachments
    ) -> None:
        now = {attachment.workspace: attachment for attachment in links.attachments}
        for attachment in rows:
            if (attachment_now := now.get(attachment.workspace)) is None:
                continue  # requested after the survey
            if attachment_now.attached != attachment.attached:
                happened = VolumeAttached if attachment_now.attached else VolumeDetached
                store.save_attached(tx, attachment_now)
                host = self._hosts.of(tx.sql, {attachment.workspace}).get(attachment.workspace)
                tx.happened(
                    happened(
                        **about(volume),
                        actor=SYSTEM,
                        workspace=attachment.workspace,
                        instance=attachment.name,
                        instance_project=None if host is None else host.project,
                    )
                )
            if attachment.workspace == links.refused:
                attachment = replace(attachment, wanted=False)  # noqa: PLW2901
                store.save_wanted(tx, attachment)
            over = not attachment.wanted or attachment.workspace in links.ended
            # A machine without a workspace gets no event.
            gone = attachment.machine is None or is_foreign(attachment)
            if over and not attachment_now.attached and gone:
                store.remove_attachment(tx, attachment)

    def _forget(self, tx: Tx, volume: Volume) -> None:
        attachments = store.attachments_of(tx.sql, [volume.id])[volume.id]
        was = volume_state(volume, attachments)
        gone = replace(volume, observed=StorageObserved.GONE)
        state = volume_state(gone, ())
        event = VolumeStateChanged(
            **about(volume), actor=SYSTEM, previous_state=was, state=state, failure=None
        )
        self._changes.forget(tx, volume, event)

    def _hosts_of(
        self, sql: Connection, attachments: Sequence[Attachment]
    ) -> Mapping[str, AttachmentHost]:
        return self._hosts.of(sql, {attachment.workspace for attachment in attachments})

    def _differs(
        self,
        volume: Volume,
        attachments: list[Attachment],
        hosts: Mapping[str, AttachmentHost],
        look: LazySurvey,
    ) -> bool:
        """Whether the survey differs from the row."""
        try:
            disk = look.disk(volume)
        except Unavailable as error:
            return isinstance(error, DiskUnreadable)
        if any(attachment.wanted and not wants(attachment, hosts) for attachment in attachments):
            return True  # its workspace has ended
        new = unaccounted(attachments, hosts, disk.attached if disk else ())
        for key in tuple(self._first_seen):
            if key[0] == volume.id and key[1] not in new:
                self._first_seen.pop(key, None)
        if disk is None:
            return volume.disk_id is not None and volume.observed is not StorageObserved.GONE
        new -= {
            attachment.workspace for attachment in attachments if attachment.workspace not in hosts
        }
        # A list, since each is to be noted.
        if any([self._is_sure(volume, machine, attachments) for machine in new]):
            return True
        updated = _updated(attachments, disk, hosts)
        if any(a.attached != b.attached for a, b in zip(attachments, updated, strict=True)):
            return True
        facts = _facts(volume, disk.observed, disk)
        facts["used_bytes"] = gigabytes(disk.used_bytes)
        return facts != {
            **{name: getattr(volume, name) for name in facts},
            "used_bytes": gigabytes(volume.used_bytes),
        }


def _updated(
    attachments: Sequence[Attachment], disk: Disk | None, hosts: Mapping[str, AttachmentHost]
) -> list[Attachment]:
    if disk is None:
        return observed_attachments(attachments, hosts, ())
    return observed_attachments(attachments, hosts, disk.attached, disk.unmounted)


def _trouble(
    volume: Volume, step: PlannedStorageAction, attachments: Sequence[Attachment]
) -> dict[str, Any]:
    """The column with why a volume is not destroyed yet; none if nothing prevents it."""
    names = ", ".join(sorted(attachment.name for attachment in attachments if attachment.attached))
    if volume.verb is not StorageVerb.DELETE or step.act is not StorageAction.WAIT or not names:
        return {}
    message = f"it is attached to {names}; detach it first: `prism volume detach {volume.name}`"
    return {"trouble": StorageFailure("IN_USE", message)}


def _is_first_try(step: PlannedStorageAction) -> bool:
    """Whether this is the first try at an attachment, and not one step of many."""
    if step.attachment is None:
        return False
    aimed = step.attachment.machine is not None
    return aimed is (step.act is StorageAction.DETACH)


def _is_living(attachment: Attachment, hosts: Mapping[str, AttachmentHost]) -> bool:
    host = hosts.get(attachment.workspace)
    return host is not None and not host.ended


def _facts(volume: Volume, observed: StorageObserved, disk: Disk | None) -> dict[str, Any]:
    if disk is None:
        lost = observed is StorageObserved.GONE and volume.verb is StorageVerb.MAKE
        return {"observed": observed, "trouble": VANISHED if lost else volume.trouble}
    if disk.observed is not StorageObserved.THERE:
        trouble = disk.trouble
    else:  # the refusal stays visible until the next request
        stands = volume.observed is StorageObserved.THERE and volume.is_done
        trouble = volume.trouble if stands else None
    return {
        "observed": observed,
        "disk_id": disk.id,
        "zone": disk.zone,
        "used_bytes": disk.used_bytes,
        "trouble": trouble,
    }


def project_name(sql: Connection, project: str | None) -> str | None:
    """The name of a project, for tags, or its id if it was deleted."""
    known = projects.find(sql, project) if project else None
    return known.name if known else project
