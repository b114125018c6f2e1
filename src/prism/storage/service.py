"""Requests about volumes: one transaction each; nothing here waits for a provider."""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import structs
from sqlalchemy import Connection

from prism.access.model import AccessVerb, Role, current
from prism.access.plan import allows, visible
from prism.errors import NotFound, ValidationFailed
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.projects import store as projects
from prism.projects.model import Project, ProjectUse
from prism.storage import store, view
from prism.storage.changes import StorageChanges
from prism.storage.events import VolumeAsked, about
from prism.storage.model import (
    Attachment,
    AttachmentHost,
    AttachmentHostReader,
    AttachmentHostStopper,
    EbsVolume,
    EfsVolume,
    NewVolume,
    Snapshot,
    StorageOffer,
    StorageState,
    StorageVerb,
    Volume,
    VolumeElsewhere,
    VolumeExists,
    VolumeInUse,
    VolumeKind,
    VolumeList,
    VolumeOfAnotherProject,
    VolumeState,
)
from prism.storage.plan import can_enter, checked, is_being_made, volume_state, with_request

Shown = EbsVolume | EfsVolume


class StorageService:
    """Requests of one user about volumes.

    `operator` is the operator's address in team mode; None in local mode, which has no roles.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        offer: Callable[[str | None], StorageOffer],
        hosts: AttachmentHostReader,
        actor: Who,
        changes: StorageChanges,
        stopper: AttachmentHostStopper | None = None,
        operator: str | None = None,
        sources: view.ViewSources,
    ) -> None:
        self._db, self._clock, self._offer = db, clock, offer
        self._hosts, self._actor, self._changes = hosts, actor, changes
        self._stopper, self._operator = stopper, operator
        self._sources = sources

    def every(self) -> VolumeList:
        """All volumes that the caller may see."""
        with self._db.read() as sql:
            volumes = [
                volume
                for volume in store.every(sql, Volume)
                if visible(volume.project, volume.owner)
            ]
            attachments = store.attachments_of(sql, [volume.id for volume in volumes])
            return view.listed(volumes, attachments, names(sql), self._sources)

    def named(self, name: str) -> Shown:
        """The volume with that name or id."""
        with self._db.read() as sql:
            return self._view(sql, store.named(sql, Volume, name))

    def create(self, request: NewVolume) -> Shown:
        """Request a new volume."""
        request, offer = checked(request), self._offer(None)
        with self._db.write() as tx:
            project = projects.named(tx.sql, request.project).id if request.project else None
            if request.budget is not None and project is None:
                raise ValidationFailed.of(("project", "is missing: a budget pays for a project"))
            volume = self._new_volume(request, offer, offer.location, project)
            self.add(tx, volume, request.budget)
            return self._view(tx.sql, volume)

    def _new_volume(
        self,
        request: NewVolume,
        offer: StorageOffer,
        location: str,
        project: str | None,
        from_snapshot: str | None = None,
    ) -> Volume:
        now = self._clock.now()
        id = sortable_id("volume", now)
        return Volume(
            id=id,
            name=request.name,
            kind=request.type,
            owner=self._actor(),
            location=location,
            project=project,
            size_gb=request.size_gb,
            volume_type=request.volume_type,
            iops=request.iops,
            throughput=request.throughput,
            gb_month=offer.gb_month(request.volume_type or "efs"),
            performance_month=offer.performance_month(
                request.volume_type, request.iops, request.throughput
            ),
            notes=offer.notes(request.type, request.size_gb),
            from_snapshot=from_snapshot,
            expected_id=offer.expected_id(id, request.type),
            created_at=whole(now),
        )

    def add(self, tx: Tx, volume: Volume, budget: str | None = None) -> None:
        """Add a new volume, if its name is free."""
        if self._is_taken(tx.sql, Volume, volume.name):
            raise VolumeExists(
                f"A volume called {volume.name!r} already exists",
                remediation=f"Look at it with `prism volume show {volume.name}`",
            )
        event = self._asked_event(tx, volume, "create")
        self._changes.add(tx, volume, lambda _: event, budget=budget)

    def delete(self, name: str) -> str:
        """Request the deletion of a volume and its data; its name."""
        with self._db.write() as tx:
            volume = store.named(tx.sql, Volume, name)
            if volume.verb is StorageVerb.DELETE:
                return volume.name
            _require_unused(tx.sql, volume)
            doomed = with_request(volume, StorageVerb.DELETE)
            self._apply(tx, volume, doomed, "delete")
            return volume.name

    def attach(self, name: str, instance: str) -> Shown:
        """Request that a volume is attached to a workspace."""
        with self._db.write() as tx:
            volume = store.named(tx.sql, Volume, name)
            self._attach(tx, volume, self._hosts.named(tx.sql, instance))
            return self._view(tx.sql, volume)

    def detach(self, name: str, instance: str | None = None, *, force: bool = False) -> Shown:
        """Detach a volume from one workspace, or from all; `force` stops those that run."""
        with self._db.write() as tx:
            volume = store.named(tx.sql, Volume, name)
            links = store.attachments_of(tx.sql, [volume.id])[volume.id]
            if instance is not None:
                links = self._links_of(tx.sql, links, instance)
            self._detach(tx, volume, links)
            if force:
                self._stop(tx, volume, links, "was detached by force")
            return self._view(tx.sql, volume)

    def _links_of(
        self, sql: Connection, links: Sequence[Attachment], instance: str
    ) -> list[Attachment]:
        """The attachments of a workspace; a volume's manager knows it by name if no otherwise."""
        try:
            host = self._hosts.named(sql, instance)
        except NotFound:
            named = [attachment for attachment in links if attachment.name == instance]
            if not named:
                raise
            return named
        return [attachment for attachment in links if attachment.workspace == host.id]

    # For packages above this one, inside their transactions.

    def require_attachable(
        self, sql: Connection, host: AttachmentHost, volumes: Sequence[str]
    ) -> None:
        """Raise if a workspace cannot have all of these volumes."""
        rows = [store.named(sql, Volume, name) for name in volumes]
        for volume in rows:
            _require_attachable(sql, volume, host)
            _require_right(sql, volume, host, self._clock.now())
        _require_distinct(rows)
        for volume in rows:
            _require_same_zone(volume, host, [other.zone for other in rows if other.zone])

    def attach_to_new(self, tx: Tx, host: AttachmentHost, volumes: Sequence[str]) -> None:
        """Attach these volumes to a workspace that is being launched."""
        for name in volumes:
            self._attach(tx, store.named(tx.sql, Volume, name), host)

    def detach_all(self, tx: Tx, workspace: str) -> None:
        """Detach everything from a workspace that is being destroyed; no data is touched."""
        for attachment in store.attachments_to(tx.sql, workspace):
            self._detach(tx, store.by_id(tx.sql, Volume, attachment.volume), [attachment])

    def detach_foreign(self, tx: Tx, workspace: str, project: str | None) -> None:
        """Detach the volumes of other projects from a workspace that was moved to `project`."""
        if self._operator is None:
            return
        for attachment in store.attachments_to(tx.sql, workspace):
            volume = store.by_id(tx.sql, Volume, attachment.volume)
            if volume.project is not None and volume.project != project:
                self._detach(tx, volume, [attachment])

    def demoted(self, tx: Tx, project: Project, email: str, role: Role | None) -> None:
        """Detach a project's volumes from what a person has or can enter elsewhere, and stop that.

        Implements `projects.model.MembershipListener`. A person who may still manage the project's
        storage keeps them. Workspaces of the person count also where the person cannot enter them
        now, as after the end of another membership: a later one opens them again.
        """
        keeps = role is not None and allows(role, AccessVerb.STORE)
        if keeps or self._operator is None or email.lower() == self._operator.lower():
            return
        roles = projects.roles_of(tx.sql, email, self._clock.now()).roles
        for volume in store.volumes_in(tx.sql, project.id):
            links = store.attachments_of(tx.sql, [volume.id])[volume.id]
            hosts = self._hosts.of(tx.sql, [attachment.workspace for attachment in links])
            links = [
                attachment
                for attachment in links
                if (host := hosts.get(attachment.workspace))
                and host.project != project.id
                and (host.owner.lower() == email.lower() or can_enter(host, email, roles))
            ]
            self._detach(tx, volume, links)
            self._stop(tx, volume, links, f"was detached: {email} lost the right to it")

    def joined(self, tx: Tx, project: Project, email: str) -> None:
        """Does nothing: a new member gets no volume by joining."""

    def use_of_project(self, tx: Tx, project: Project) -> ProjectUse | None:
        """Implements `projects.model.ProjectDependent`: a project stays while it has storage."""
        if not (count := store.count_in(tx.sql, project.id)):
            return None
        hint = "Look at them with `prism volume list` and `prism snapshot list`"
        return ProjectUse(f"{count} volumes and snapshots belong to it", hint)

    def renamed_project(self, tx: Tx, project: Project) -> None:
        """Does nothing: storage refers to projects by id, which stays."""

    def _is_taken(self, sql: Connection, kind: type[Volume | Snapshot], name: str) -> bool:
        """Whether the caller has one of that name; in local mode, whether there is one."""
        return store.is_taken(sql, kind, name, self._actor() if self._operator else None)

    def _attach(self, tx: Tx, volume: Volume, host: AttachmentHost) -> None:
        _require_attachable(tx.sql, volume, host)
        _require_right(tx.sql, volume, host, self._clock.now())
        now = {
            attachment.workspace: attachment
            for attachment in store.attachments_of(tx.sql, [volume.id])[volume.id]
        }
        if host.id in now and now[host.id].wanted:
            return
        store.save_wanted(tx, Attachment(volume=volume.id, workspace=host.id, name=host.name))
        self._apply(tx, volume, with_request(volume), "attach")

    def _detach(self, tx: Tx, volume: Volume, attachments: Sequence[Attachment]) -> None:
        if not any(attachment.wanted for attachment in attachments):
            return
        for attachment in attachments:
            store.save_wanted(tx, structs.replace(attachment, wanted=False))
        self._apply(tx, volume, with_request(volume), "detach")

    def _stop(self, tx: Tx, volume: Volume, links: Sequence[Attachment], why: str) -> None:
        """Stop the workspaces that have it, whose programs may have files of it open."""
        hosts = self._hosts.of(tx.sql, [attachment.workspace for attachment in links])
        for host in hosts.values():
            if self._stopper is not None and not host.ended:
                self._stopper.stop_by_id(tx, host.id, f"the volume {volume.name} {why}")

    def _apply(self, tx: Tx, before: Volume, after: Volume, verb: str) -> None:
        event = self._asked_event(tx, after, verb)
        self._changes.apply(tx, before, after, lambda _: event)

    def _asked_event(self, tx: Tx, volume: Volume, verb: str) -> VolumeAsked:
        state = volume_state(volume, store.attachments_of(tx.sql, [volume.id])[volume.id])
        return VolumeAsked(**about(volume), actor=self._actor(), verb=verb, state=state)

    def _view(self, sql: Connection, volume: Volume) -> Shown:
        attachments = store.attachments_of(sql, [volume.id])[volume.id]
        return view.volume(volume, attachments, names(sql), self._sources)


def names(sql: Connection) -> dict[str, str]:
    """The names of projects and snapshots, by id."""
    of_projects = {project.id: project.name for project in projects.every(sql)}
    return of_projects | {snapshot.id: snapshot.name for snapshot in store.every(sql, Snapshot)}


def _require_attachable(sql: Connection, volume: Volume, host: AttachmentHost) -> None:
    """Raise if a volume cannot be attached to a workspace."""
    attachments = store.attachments_of(sql, [volume.id])[volume.id]
    state = volume_state(volume, attachments)
    if volume.verb is StorageVerb.DELETE or state is VolumeState.ERROR:
        raise StorageState(
            f"Volume {volume.name!r} is {state}",
            remediation=f"Look at it with `prism volume show {volume.name}`",
            data={"state": state},
        )
    if host.ended:
        raise StorageState(
            f"Workspace {host.name!r} is being terminated",
            remediation="Use `prism workspace list` to see available workspaces",
        )
    if volume.location != host.location:
        raise VolumeElsewhere(
            f"Volume {volume.name!r} and workspace {host.name!r} are not in the same location",
            details=f"the volume is in {volume.location}, the workspace in {host.location}",
            remediation="Switch to a profile of the workspace's location (`prism profile list`) "
            "and make a volume there: `prism volume create`",
        )
    _require_other_name(sql, volume, host)
    elsewhere = [attachment for attachment in attachments if attachment.workspace != host.id]
    if volume.kind is VolumeKind.EBS and elsewhere:
        raise VolumeInUse(
            f"Volume {volume.name!r} is attached to {elsewhere[0].name!r}",
            details="an ebs volume has one workspace at a time; an efs volume is shared",
            remediation=f"Use `prism volume detach {volume.name}`",
        )
    _require_same_zone(volume, host, store.zones_of(sql, host.id))


def _require_distinct(volumes: Sequence[Volume]) -> None:
    """Raise if two different volumes of a launch have the same name."""
    ids = {volume.name: volume.id for volume in volumes}
    for volume in volumes:
        if ids[volume.name] != volume.id:
            raise VolumeInUse(
                f"Two of the volumes are called {volume.name!r}",
                details="volumes of a workspace are at ~/volumes/NAME",
                remediation="Name one of them only",
            )


def _require_other_name(sql: Connection, volume: Volume, host: AttachmentHost) -> None:
    """Raise if a workspace has another volume of the same name, which is at the same path."""
    ids = [attachment.volume for attachment in store.attachments_to(sql, host.id)]
    for other in store.by_ids(sql, Volume, ids) if ids else ():
        if other.name == volume.name and other.id != volume.id:
            raise VolumeInUse(
                f"Workspace {host.name!r} has another volume called {volume.name!r}",
                details="volumes of a workspace are at ~/volumes/NAME",
                remediation=f"Detach that one first: `prism volume detach {volume.name}`",
            )


def _require_right(sql: Connection, volume: Volume, host: AttachmentHost, now: datetime) -> None:
    """Raise if the caller would take a volume out of a project whose storage others manage.

    Roles are read again here, because the caller may lose one while the request is under way.
    """
    caller = current()
    if caller.operator or not caller.team or volume.project == host.project:
        return
    role = caller.roles.get(volume.project or "")  # what the token allows
    present = projects.roles_of(sql, caller.name, now).roles.get(volume.project or "")
    if allows(role, AccessVerb.STORE) and allows(present, AccessVerb.STORE):
        return
    raise VolumeOfAnotherProject(
        f"You may not attach {volume.name!r} to a workspace of another project",
        details="only who manages the storage of a volume's project may take it elsewhere",
        remediation="Use a workspace of the volume's project: `prism launch --project NAME`",
    )


def _require_same_zone(volume: Volume, host: AttachmentHost, zones: Sequence[str]) -> None:
    """Raise if the workspace's other volumes are in another zone."""
    if volume.zone is not None and (away := [zone for zone in zones if zone != volume.zone]):
        raise VolumeElsewhere(
            f"Volume {volume.name!r} is in {volume.zone}, "
            f"workspace {host.name!r} has one in {away[0]}",
            details="a disk stays in its zone, and a workspace is in one",
            remediation="Take a snapshot and restore it, `prism snapshot --help`: "
            "the new volume goes wherever it is attached first",
            data={"zone": volume.zone, "wanted": away[0]},
        )


def _require_unused(sql: Connection, volume: Volume) -> None:
    """Raise if a volume is attached or is being copied."""
    if attachments := store.attachments_of(sql, [volume.id])[volume.id]:
        raise VolumeInUse(
            f"Volume {volume.name!r} is attached",
            details=f"to {', '.join(attachment.name for attachment in attachments)}",
            remediation=f"Use `prism volume detach {volume.name}`",
        )
    for snapshot in store.snapshots_of(sql, volume.id):
        if is_being_made(snapshot):
            raise VolumeInUse(
                f"Volume {volume.name!r} is being copied",
                details=f"the snapshot {snapshot.name!r} is not complete yet",
                remediation="Look at it with `prism snapshot list`",
            )
