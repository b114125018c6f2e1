"""Names, states and next steps of storage, and the limits of AWS: pure, without a clock."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from prism.access.model import AccessVerb, Role
from prism.access.plan import allows
from prism.catalog.plan import BASE_IOPS, BASE_THROUGHPUT, performance_price
from prism.errors import ValidationFailed
from prism.kit.money import Micros
from prism.storage.model import (
    RESERVED,
    Attachment,
    AttachmentHost,
    DiskType,
    NewVolume,
    Snapshot,
    SnapshotState,
    StorageObserved,
    StorageVerb,
    Volume,
    VolumeKind,
    VolumeOrSnapshot,
    VolumeState,
)

GIB = 2**30


class DiskLimits(Struct, frozen=True):
    """The limits of a disk type: ranges, including both ends."""

    size: tuple[int, int]
    iops: tuple[int, int] | None = None
    iops_per_gib: int = 0
    throughput: tuple[int, int] | None = None
    included: int = 0  # the IOPS that the smallest disk has


LIMITS: Mapping[DiskType, DiskLimits] = {
    "gp3": DiskLimits((1, 65536), (3000, 80000), 500, (125, 2000), BASE_IOPS),
    "gp2": DiskLimits((1, 16384)),
    "io2": DiskLimits((4, 65536), (100, 256000), 1000),
    "st1": DiskLimits((125, 16384)),
}
"""Sizes, IOPS and throughput by type: EC2 API Reference, `CreateVolume` (`Size`, `Iops`,
`Throughput`), as of botocore 1.44's copy of it. Ratios: EBS User Guide, "Amazon EBS General
Purpose SSD volumes" (gp3: 500 IOPS a GiB, 0.25 MiB/s an IOPS) and "Amazon EBS Provisioned IOPS
SSD volumes" (io2: 1,000 IOPS a GiB; every io2 is Block Express). gp3 grew from 16 TiB, 16,000
IOPS and 1,000 MiB/s in September 2025."""
IOPS_PER_THROUGHPUT = 4


class StorageAction(StrEnum):
    """The next action of a reconciler on storage."""

    MAKE = "make"
    ATTACH = "attach"
    DETACH = "detach"
    DELETE = "delete"
    WAIT = "wait"
    REST = "rest"
    FORGET = "forget"


class PlannedStorageAction(Struct, frozen=True):
    """The next action, and its attachment."""

    act: StorageAction
    attachment: Attachment | None = None


def checked(request: NewVolume) -> NewVolume:
    """The request with its defaults; raises if it exceeds a limit of AWS."""
    require_unreserved(request.name)
    refused = {
        field: value
        for field in ("size_gb", "volume_type", "iops", "throughput")
        if (value := getattr(request, field)) is not None
    }
    if request.type is VolumeKind.EFS:
        if refused:
            why = "an efs volume grows by itself and has none"
            raise ValidationFailed.of(*((field, why) for field in refused))
        return request
    if request.size_gb is None:
        raise ValidationFailed.of(("size_gb", "required for an ebs volume"))
    kind: DiskType = request.volume_type or "gp3"
    iops, throughput = request.iops, request.throughput
    if kind == "gp3":
        iops, throughput = iops or BASE_IOPS, throughput or BASE_THROUGHPUT
    errors = [
        *_wrong_size(kind, request.size_gb),
        *_wrong_iops(kind, request.size_gb, iops),
        *_wrong_throughput(kind, throughput, iops),
    ]
    if errors:
        raise ValidationFailed.of(*errors)
    return replace(request, volume_type=kind, iops=iops, throughput=throughput)


def require_unreserved(name: str) -> None:
    """Raise if a route has this name."""
    if name in RESERVED:
        raise ValidationFailed.of(("name", f"{name!r} is reserved"))


def _wrong_size(kind: DiskType, size: int) -> Iterator[tuple[str, str]]:
    least, most = LIMITS[kind].size
    if not least <= size <= most:
        yield "size_gb", f"{kind} is {least} to {most} GB"


def _wrong_iops(kind: DiskType, size: int, iops: int | None) -> Iterator[tuple[str, str]]:
    limits = LIMITS[kind]
    if limits.iops is None:
        if iops is not None:
            yield "iops", f"{kind} takes none: they follow from its size"
        return
    least, most = limits.iops
    if iops is None:
        yield "iops", f"required for {kind}: {least} to {most}"
    elif not least <= iops <= most:
        yield "iops", f"{kind} has {least} to {most}"
    elif iops > (allowed := size * limits.iops_per_gib) and iops > limits.included:
        yield "iops", f"{kind} has at most {limits.iops_per_gib} per GB, {allowed} with {size} GB"


def _wrong_throughput(
    kind: DiskType, throughput: int | None, iops: int | None
) -> Iterator[tuple[str, str]]:
    if throughput is None:
        return
    if (limits := LIMITS[kind].throughput) is None:
        yield "throughput", f"{kind} takes none"
    elif not limits[0] <= throughput <= limits[1]:
        yield "throughput", f"{kind} has {limits[0]} to {limits[1]} MiB/s"
    elif iops is not None and throughput * IOPS_PER_THROUGHPUT > iops:
        yield "throughput", f"{kind} has at most 0.25 MiB/s per IOPS, of {iops} IOPS"


VOLUME_STATES = {
    StorageObserved.THERE: VolumeState.AVAILABLE,
    StorageObserved.DELETING: VolumeState.DELETING,
    StorageObserved.BROKEN: VolumeState.ERROR,
    StorageObserved.GONE: VolumeState.ERROR,
}
SNAPSHOT_STATES = {
    StorageObserved.THERE: SnapshotState.COMPLETED,
    StorageObserved.DELETING: SnapshotState.DELETING,
    StorageObserved.BROKEN: SnapshotState.ERROR,
    StorageObserved.GONE: SnapshotState.ERROR,
}
ENDED = {StorageObserved.GONE, StorageObserved.NONE}
BEING_MADE = {StorageObserved.NONE, StorageObserved.UNSURE, StorageObserved.MAKING}
PERIODS: Mapping[str, timedelta] = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}


def with_request(resource: VolumeOrSnapshot, verb: StorageVerb | None = None) -> VolumeOrSnapshot:
    """The row after another request; `verb` stays if there is none."""
    return replace(resource, verb=verb or resource.verb, generation=resource.generation + 1)


def volume_state(volume: Volume, attachments: Sequence[Attachment]) -> VolumeState:
    """The state of a volume in the API; a file system is available to every workspace."""
    if volume.verb is StorageVerb.DELETE:
        return VolumeState.DELETED if volume.observed in ENDED else VolumeState.DELETING
    state = VOLUME_STATES.get(volume.observed, VolumeState.CREATING)
    if state is not VolumeState.AVAILABLE or volume.kind is VolumeKind.EFS or not attachments:
        return state
    if not all(attachment.wanted for attachment in attachments):
        return VolumeState.DETACHING
    attached = all(attachment.attached for attachment in attachments)
    return VolumeState.IN_USE if attached else VolumeState.ATTACHING


def snapshot_state(snapshot: Snapshot) -> SnapshotState:
    """The state of a snapshot in the API."""
    if snapshot.verb is StorageVerb.DELETE:
        return SnapshotState.DELETED if snapshot.observed in ENDED else SnapshotState.DELETING
    return SNAPSHOT_STATES.get(snapshot.observed, SnapshotState.PENDING)


def settled(volume: Volume, attachments: Sequence[Attachment]) -> bool:
    """Whether no request for it is unfinished."""
    at_rest = {VolumeState.AVAILABLE, VolumeState.IN_USE, VolumeState.ERROR}
    calm = all(attachment.wanted == attachment.attached for attachment in attachments)
    return calm and volume_state(volume, attachments) in at_rest


def is_being_made(resource: Volume | Snapshot) -> bool:
    """Whether it was requested, and is not complete yet."""
    return resource.verb is StorageVerb.MAKE and resource.observed in BEING_MADE


def plan_volume(
    volume: Volume,
    observed: StorageObserved,
    attachments: Sequence[Attachment],
    hosts: Mapping[str, AttachmentHost],
    unmounted: Collection[str] = (),
    *,
    early: bool = True,
) -> PlannedStorageAction:
    """The next step, from the request and the observed state; `unmounted` are machines.

    Unless machines accept volumes `early`, the step waits for a machine that is starting.
    """
    if volume.verb is StorageVerb.DELETE:
        return _plan_deletion(observed, attachments, hosts)
    if observed in {StorageObserved.GONE, StorageObserved.BROKEN}:
        # A volume that failed or vanished is not made again, because it would be empty.
        return PlannedStorageAction(StorageAction.REST)
    if observed in {StorageObserved.NONE, StorageObserved.UNSURE}:
        return PlannedStorageAction(StorageAction.MAKE)
    if observed is not StorageObserved.THERE:
        return PlannedStorageAction(StorageAction.WAIT)
    if leaving := _attachment_to_undo(attachments, hosts):
        return PlannedStorageAction(StorageAction.DETACH, leaving)
    step = _plan_attachment(volume, attachments, hosts, unmounted)
    return step if early else _once_up(step, hosts)


def _once_up(
    step: PlannedStorageAction, hosts: Mapping[str, AttachmentHost]
) -> PlannedStorageAction:
    """The step, or a wait while its machine is starting."""
    if step.attachment is None:
        return step
    host = hosts[step.attachment.workspace]
    return step if host.up or host.quiet else PlannedStorageAction(StorageAction.WAIT)


def _plan_deletion(
    observed: StorageObserved,
    attachments: Sequence[Attachment],
    hosts: Mapping[str, AttachmentHost],
) -> PlannedStorageAction:
    if observed in ENDED:
        return PlannedStorageAction(StorageAction.FORGET)
    if observed is StorageObserved.THERE and (leaving := _attachment_to_undo(attachments, hosts)):
        return PlannedStorageAction(StorageAction.DETACH, leaving)
    if any(attachment.attached for attachment in attachments):
        # A machine has attached it that was unknown at the time of the request.
        return PlannedStorageAction(StorageAction.WAIT)
    waits = observed in {StorageObserved.DELETING, StorageObserved.UNSURE}
    return PlannedStorageAction(StorageAction.WAIT if waits else StorageAction.DELETE)


def _attachment_to_undo(
    attachments: Sequence[Attachment], hosts: Mapping[str, AttachmentHost]
) -> Attachment | None:
    """An attachment that may exist, but is not wanted, or whose workspace has ended."""
    present = (
        attachment
        for attachment in attachments
        if attachment.attached or attachment.machine is not None
    )
    return next((attachment for attachment in present if not wants(attachment, hosts)), None)


def _plan_attachment(
    volume: Volume,
    attachments: Sequence[Attachment],
    hosts: Mapping[str, AttachmentHost],
    unmounted: Collection[str],
) -> PlannedStorageAction:
    for attachment in attachments:
        if wants(attachment, hosts) and _to_be_mounted(attachment, hosts, unmounted):
            return PlannedStorageAction(StorageAction.ATTACH, attachment)
    if volume.kind is VolumeKind.EBS and any(attachment.attached for attachment in attachments):
        return PlannedStorageAction(StorageAction.REST)
    coming = [
        attachment
        for attachment in attachments
        if wants(attachment, hosts) and not attachment.attached
    ]
    for attachment in coming:
        machine = hosts[attachment.workspace].machine
        if machine is not None and machine not in unmounted:
            return PlannedStorageAction(StorageAction.ATTACH, attachment)
    return PlannedStorageAction(StorageAction.WAIT if coming else StorageAction.REST)


def _to_be_mounted(
    attachment: Attachment, hosts: Mapping[str, AttachmentHost], unmounted: Collection[str]
) -> bool:
    """Whether the machine is on and has the volume, but has not mounted it."""
    host = hosts.get(attachment.workspace)
    return host is not None and host.up and machine_of(attachment, hosts) in unmounted


def observed_attachments(
    attachments: Sequence[Attachment],
    hosts: Mapping[str, AttachmentHost],
    holders: Collection[str],
    unmounted: Collection[str] = (),
) -> list[Attachment]:
    """The attachments as observed now; a workspace that has ended wants none.

    A volume that a machine has, but has not mounted, counts as attached only if the machine is off
    and the volume counted before.
    """
    observed = []
    for attachment in attachments:
        machine, host = machine_of(attachment, hosts), hosts.get(attachment.workspace)
        quiet = host is None or host.quiet
        counts = machine not in unmounted or attachment.attached or quiet
        attached = machine in holders and counts
        observed.append(replace(attachment, wanted=wants(attachment, hosts), attached=attached))
    return observed


def machine_of(attachment: Attachment, hosts: Mapping[str, AttachmentHost]) -> str:
    """The machine of an attachment; empty if there never was one."""
    host = hosts.get(attachment.workspace)
    return attachment.machine or (host.machine if host else None) or ""


def wants(attachment: Attachment, hosts: Mapping[str, AttachmentHost]) -> bool:
    """Whether a living workspace, or a machine without a workspace, should have the volume."""
    host = hosts.get(attachment.workspace)
    lives = host is not None and not host.ended
    return attachment.wanted and (lives or is_foreign(attachment))


def is_foreign(attachment: Attachment) -> bool:
    """Whether the attachment is to a machine that belongs to no workspace here."""
    return attachment.workspace == attachment.machine


def unaccounted(
    attachments: Sequence[Attachment],
    hosts: Mapping[str, AttachmentHost],
    holders: Collection[str],
) -> set[str]:
    """The machines that have a volume, but belong to no known workspace."""
    known = {
        machine_of(attachment, hosts) for attachment in attachments if not is_foreign(attachment)
    }
    return set(holders) - known


def settlement(
    volume: Volume,
    attachments: Sequence[Attachment],
    machines: Collection[str],
    holders: Collection[str],
    owners: Mapping[str, AttachmentHost],
) -> tuple[list[Attachment], list[Attachment]]:
    """The attachments to keep for these machines, and those to give up.

    `owners` are the workspaces on the machines. The observed attachments stay; a request that an
    ebs volume be elsewhere, which never succeeded, is given up.
    """
    added, given_up = [], []
    standing = {attachment.machine for attachment in attachments if is_foreign(attachment)}
    for machine in sorted(machines):
        owner = owners.get(machine)
        if owner is not None:
            added.append(
                Attachment(volume=volume.id, workspace=owner.id, name=owner.name, machine=machine)
            )
            given_up += [
                attachment for attachment in attachments if attachment.workspace == machine
            ]
        elif machine not in standing:
            added.append(
                Attachment(volume=volume.id, workspace=machine, name=machine, machine=machine)
            )
    if added and volume.kind is VolumeKind.EBS:
        waiting = (
            attachment
            for attachment in attachments
            if not attachment.attached and attachment.machine not in holders
        )
        given_up += [attachment for attachment in waiting if not is_foreign(attachment)]
    return added, given_up


def plan_snapshot(
    snapshot: Snapshot,
    observed: StorageObserved,
    host: AttachmentHost | None,
    *,
    moving: bool = False,
) -> StorageAction:
    """The next step, from the request and the observed state.

    `moving` says that the volume is being attached or detached in a way that changes its content:
    it may be created in another zone, get its file system, or be unmounted.
    """
    if snapshot.verb is StorageVerb.DELETE:
        if observed in ENDED:
            return StorageAction.FORGET
        return (
            StorageAction.WAIT
            if observed in {StorageObserved.DELETING, StorageObserved.UNSURE}
            else StorageAction.DELETE
        )
    # Another request tries again.
    reported = observed is StorageObserved.BROKEN and snapshot.is_attempted
    if snapshot.is_done or observed is StorageObserved.THERE or reported:
        return StorageAction.REST
    # A workspace that will be destroyed is stopped first, so that nothing is written meanwhile.
    writing = moving or (snapshot.holds and host is not None and not host.quiet)
    # Some providers take no token for a snapshot, so wait for one that may exist.
    under_way = {StorageObserved.UNSURE, StorageObserved.MAKING, StorageObserved.DELETING}
    return StorageAction.WAIT if writing or observed in under_way else StorageAction.MAKE


def verification(snapshot: Snapshot) -> Literal["pending", "passed", "failed"] | None:
    """The state of the last verification."""
    if snapshot.verify_generation > snapshot.verified_generation:
        return "pending"
    if snapshot.verified_at is None:
        return "pending" if snapshot.verify_every else None
    return "failed" if snapshot.verify_trouble else "passed"


def next_verification(snapshot: Snapshot, now: datetime) -> datetime | None:
    """When to verify a snapshot next; not later than now after a request."""
    if snapshot.verb is not StorageVerb.MAKE or snapshot.observed is not StorageObserved.THERE:
        return None
    if snapshot.verify_generation > snapshot.verified_generation:
        return now
    if snapshot.verify_every is None:
        return None
    return (snapshot.verified_at or snapshot.created_at) + PERIODS[snapshot.verify_every]


def verification_token(snapshot: Snapshot) -> str:
    """A token of the next verification, which changes after each one."""
    last = snapshot.verified_at or snapshot.created_at
    return f"{snapshot.verify_generation}-{last.isoformat()}"


def perceive(
    resource: Volume | Snapshot,
    surveyed: StorageObserved | None,
    now: datetime,
    patience: timedelta,
) -> StorageObserved:
    """The state after a survey: what is not listed may still exist."""
    if surveyed is not None:
        return surveyed
    promised = (resource.disk_id if isinstance(resource, Volume) else resource.copy_id) is not None
    if resource.observed is StorageObserved.GONE or (
        resource.observed is StorageObserved.BROKEN and resource.verb is StorageVerb.MAKE
    ):
        return resource.observed
    if resource.provider_called_at and now < resource.provider_called_at + patience:
        return resource.observed if promised else StorageObserved.UNSURE
    # It was not complete, so nobody can have written to it.
    return (
        StorageObserved.GONE
        if promised and resource.observed is not StorageObserved.MAKING
        else StorageObserved.NONE
    )


def monthly_cost(resource: Volume | Snapshot) -> Micros | None:
    """The monthly cost; null if a price in it is unknown.

    AWS charges for each provisioned IOPS of an io2 volume, and for the IOPS and throughput of a
    gp3 volume beyond gp3's own (`catalog.plan.performance_price`).
    """
    if resource.gb_month is None:
        return None
    if isinstance(resource, Snapshot) or resource.kind is VolumeKind.EFS:
        return (
            None
            if resource.used_bytes is None
            else Micros(resource.gb_month * resource.used_bytes // GIB)
        )
    space = resource.gb_month * (resource.size_gb or 0)
    if (performance := _performance_cost(resource)) is None:
        return None
    return Micros(space + performance)


def _performance_cost(volume: Volume) -> Micros | None:
    """The price at its creation; rows of an older Prism have none, and most need none."""
    if volume.performance_month is not None or volume.gb_month == 0:
        return volume.performance_month or Micros(0)
    return performance_price(volume.volume_type, volume.iops, volume.throughput, lambda _: None)


def at_most(resource: Volume | Snapshot) -> Micros | None:
    """The maximum of the monthly cost while the size is not measured.

    A snapshot is at most as large as its disk; a new file system is empty.
    """
    if isinstance(resource, Volume) and resource.kind is not VolumeKind.EFS:
        return monthly_cost(resource)
    size = (resource.size_gb or 0) if isinstance(resource, Snapshot) else 0
    return None if resource.gb_month is None else Micros(resource.gb_month * size)


def gigabytes(used: int | None) -> float | None:
    """An amount of bytes for the API, in GB."""
    return None if used is None else round(used / GIB, 3)


def can_enter(host: AttachmentHost, email: str, roles: Mapping[str, Role]) -> bool:
    """Whether a person with these roles in projects can enter a workspace."""
    role = roles.get(host.project or "")
    is_owner = host.owner.lower() == email.lower()
    return allows(role, AccessVerb.MANAGE_OWN if is_owner else AccessVerb.MANAGE)
