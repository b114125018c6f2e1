"""What storage is called, what to do next about it, and what AWS allows: no clock, no world."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from prism.errors import ValidationFailed
from prism.kit.money import Micros
from prism.storage.model import (
    RESERVED,
    Attachment,
    DiskType,
    Host,
    NewVolume,
    Seen,
    Snapshot,
    SnapshotState,
    Verb,
    Volume,
    VolumeKind,
    VolumeState,
)

GIB = 2**30


class Limits(Struct, frozen=True):
    """What one type of disk can be: ranges, both ends included."""

    size: tuple[int, int]
    iops: tuple[int, int] | None = None
    iops_per_gib: int = 0
    throughput: tuple[int, int] | None = None
    included: int = 0  # the IOPS that it has however small it is


BASE_IOPS, BASE_THROUGHPUT = 3000, 125  # of gp3: they come with the price of its size
LIMITS: Mapping[DiskType, Limits] = {
    "gp3": Limits((1, 65536), (3000, 80000), 500, (125, 2000), BASE_IOPS),
    "gp2": Limits((1, 16384)),
    "io2": Limits((4, 65536), (100, 256000), 1000),
    "st1": Limits((125, 16384)),
}
"""Sizes, IOPS and throughput by type: EC2 API Reference, `CreateVolume` (`Size`, `Iops`,
`Throughput`), as of botocore 1.44's copy of it. Ratios: EBS User Guide, "Amazon EBS General
Purpose SSD volumes" (gp3: 500 IOPS a GiB, 0.25 MiB/s an IOPS) and "Amazon EBS Provisioned IOPS
SSD volumes" (io2: 1,000 IOPS a GiB; every io2 is Block Express). gp3 grew from 16 TiB, 16,000
IOPS and 1,000 MiB/s in September 2025."""
IOPS_PER_THROUGHPUT = 4


class Act(StrEnum):
    """The one thing to do."""

    MAKE = "make"
    ATTACH = "attach"
    DETACH = "detach"
    DELETE = "delete"
    WAIT = "wait"
    REST = "rest"
    FORGET = "forget"


class Step(Struct, frozen=True):
    """The one thing to do, and with which attachment."""

    act: Act
    attachment: Attachment | None = None


def checked(order: NewVolume) -> NewVolume:
    """The order with its defaults, if AWS could make it; else which limit it breaks."""
    reserved(order.name)
    given = {
        field: value
        for field in ("size_gb", "volume_type", "iops", "throughput")
        if (value := getattr(order, field)) is not None
    }
    if order.type is VolumeKind.EFS:
        if given:
            why = "an efs volume grows by itself and has none"
            raise ValidationFailed.of(*((field, why) for field in given))
        return order
    if order.size_gb is None:
        raise ValidationFailed.of(("size_gb", "required for an ebs volume"))
    kind: DiskType = order.volume_type or "gp3"
    iops, throughput = order.iops, order.throughput
    if kind == "gp3":
        iops, throughput = iops or BASE_IOPS, throughput or BASE_THROUGHPUT
    wrong = [
        *_wrong_size(kind, order.size_gb),
        *_wrong_iops(kind, order.size_gb, iops),
        *_wrong_throughput(kind, throughput, iops),
    ]
    if wrong:
        raise ValidationFailed.of(*wrong)
    return NewVolume(
        type=order.type,
        name=order.name,
        size_gb=order.size_gb,
        volume_type=kind,
        iops=iops,
        throughput=throughput,
        project=order.project,
        budget=order.budget,
    )


def reserved(name: str) -> None:
    """Raise for a name that is an address of its own."""
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
    elif iops > (here := size * limits.iops_per_gib) and iops > limits.included:
        yield "iops", f"{kind} has at most {limits.iops_per_gib} per GB, {here} with {size} GB"


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
    Seen.THERE: VolumeState.AVAILABLE,
    Seen.DELETING: VolumeState.DELETING,
    Seen.BROKEN: VolumeState.ERROR,
    Seen.GONE: VolumeState.ERROR,
}
SNAPSHOT_STATES = {
    Seen.THERE: SnapshotState.COMPLETED,
    Seen.DELETING: SnapshotState.DELETING,
    Seen.BROKEN: SnapshotState.ERROR,
    Seen.GONE: SnapshotState.ERROR,
}
ENDED = {Seen.GONE, Seen.NONE}
PERIODS: Mapping[str, timedelta] = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}


def volume_state(it: Volume, attachments: Sequence[Attachment]) -> VolumeState:
    """The word for it; a file system is available to whoever mounts it."""
    if it.verb is Verb.DELETE:
        return VolumeState.DELETED if it.seen in ENDED else VolumeState.DELETING
    state = VOLUME_STATES.get(it.seen, VolumeState.CREATING)
    if state is not VolumeState.AVAILABLE or it.kind is VolumeKind.EFS or not attachments:
        return state
    if not all(one.wanted for one in attachments):
        return VolumeState.DETACHING
    attached = all(one.attached for one in attachments)
    return VolumeState.IN_USE if attached else VolumeState.ATTACHING


def snapshot_state(it: Snapshot) -> SnapshotState:
    """The word for it."""
    if it.verb is Verb.DELETE:
        return SnapshotState.DELETED if it.seen in ENDED else SnapshotState.DELETING
    return SNAPSHOT_STATES.get(it.seen, SnapshotState.PENDING)


def settled(it: Volume, attachments: Sequence[Attachment]) -> bool:
    """Whether nothing about it is under way."""
    at_rest = {VolumeState.AVAILABLE, VolumeState.IN_USE, VolumeState.ERROR}
    calm = all(one.wanted == one.attached for one in attachments)
    return calm and volume_state(it, attachments) in at_rest


def plan_volume(
    it: Volume,
    seen: Seen,
    attachments: Sequence[Attachment],
    hosts: Mapping[str, Host],
    unmounted: Collection[str] = (),
    *,
    early: bool = True,
) -> Step:
    """The next step, from what is wanted and what is seen; `unmounted` are machines.

    Unless machines take volumes `early`, one that is on its way up is waited for.
    """
    if it.verb is Verb.DELETE:
        return _towards_its_end(seen, attachments, hosts)
    if seen in {Seen.GONE, Seen.BROKEN}:
        return Step(Act.REST)  # what failed or vanished is told, not made again: it would be empty
    if seen in {Seen.NONE, Seen.UNSURE}:
        return Step(Act.MAKE)
    if seen is not Seen.THERE:
        return Step(Act.WAIT)
    if leaving := _leaving(attachments, hosts):
        return Step(Act.DETACH, leaving)
    step = _arrival(it, attachments, hosts, unmounted)
    return step if early else _in_time(step, hosts)


def _in_time(step: Step, hosts: Mapping[str, Host]) -> Step:
    """The step, unless its machine is on its way up."""
    if step.attachment is None:
        return step
    host = hosts[step.attachment.workspace]
    return step if host.up or host.quiet else Step(Act.WAIT)


def _towards_its_end(
    seen: Seen, attachments: Sequence[Attachment], hosts: Mapping[str, Host]
) -> Step:
    if seen in ENDED:
        return Step(Act.FORGET)
    if seen is Seen.THERE and (leaving := _leaving(attachments, hosts)):
        return Step(Act.DETACH, leaving)
    if any(one.attached for one in attachments):
        return Step(Act.WAIT)  # somebody works with it whom nobody knew when this was asked
    return Step(Act.WAIT if seen in {Seen.DELETING, Seen.UNSURE} else Act.DELETE)


def _leaving(attachments: Sequence[Attachment], hosts: Mapping[str, Host]) -> Attachment | None:
    """One that is no longer wanted, and is or may be attached; who has ended wants nothing."""
    there = (one for one in attachments if one.attached or one.machine is not None)
    return next((one for one in there if not wants(one, hosts)), None)


def _arrival(
    it: Volume,
    attachments: Sequence[Attachment],
    hosts: Mapping[str, Host],
    unmounted: Collection[str],
) -> Step:
    for one in attachments:
        if wants(one, hosts) and _to_be_mounted(one, hosts, unmounted):
            return Step(Act.ATTACH, one)
    if it.kind is VolumeKind.EBS and any(one.attached for one in attachments):
        return Step(Act.REST)
    coming = [one for one in attachments if wants(one, hosts) and not one.attached]
    for one in coming:
        machine = hosts[one.workspace].machine
        if machine is not None and machine not in unmounted:
            return Step(Act.ATTACH, one)
    return Step(Act.WAIT if coming else Act.REST)


def _to_be_mounted(one: Attachment, hosts: Mapping[str, Host], unmounted: Collection[str]) -> bool:
    """Whether its machine has it, is on, and nobody there can see it."""
    host = hosts.get(one.workspace)
    return host is not None and host.up and machine_of(one, hosts) in unmounted


def looked_at(
    attachments: Sequence[Attachment],
    hosts: Mapping[str, Host],
    there: Collection[str],
    unmounted: Collection[str] = (),
) -> list[Attachment]:
    """The attachments as they are now; a workspace that has ended wants nothing.

    What a machine has and nobody there sees yet counts as attached only to one that is off,
    and once it has counted.
    """
    found = []
    for one in attachments:
        machine, host = machine_of(one, hosts), hosts.get(one.workspace)
        quiet = host is None or host.quiet
        shown = machine not in unmounted or one.attached or quiet
        attached = machine in there and shown
        found.append(replace(one, wanted=wants(one, hosts), attached=attached))
    return found


def machine_of(one: Attachment, hosts: Mapping[str, Host]) -> str:
    """The machine of an attachment; empty where there never was one."""
    host = hosts.get(one.workspace)
    return one.machine or (host.machine if host else None) or ""


def wants(one: Attachment, hosts: Mapping[str, Host]) -> bool:
    """Whether a workspace that lives, or a machine of nobody's, is to have it."""
    host = hosts.get(one.workspace)
    lives = host is not None and not host.ended
    return one.wanted and (lives or unknown(one))


def unknown(one: Attachment) -> bool:
    """Whether it is a machine that belongs to no workspace here."""
    return one.workspace == one.machine


def unaccounted(
    attachments: Sequence[Attachment], hosts: Mapping[str, Host], there: Collection[str]
) -> set[str]:
    """The machines that have a volume, and no workspace here is known to be one of them."""
    known = {machine_of(one, hosts) for one in attachments if not unknown(one)}
    return set(there) - known


def settlement(
    it: Volume,
    attachments: Sequence[Attachment],
    machines: Collection[str],
    there: Collection[str],
    owners: Mapping[str, Host],
) -> tuple[list[Attachment], list[Attachment]]:
    """The attachments to keep for these machines, and those to give up for them.

    `owners` are the workspaces on the machines. What the world shows stands; a wish that an ebs
    volume be elsewhere, which was never granted, gives way to it.
    """
    added, given_up = [], []
    standing = {one.machine for one in attachments if unknown(one)}
    for machine in sorted(machines):
        owner = owners.get(machine)
        if owner is not None:
            added.append(
                Attachment(volume=it.id, workspace=owner.id, name=owner.name, machine=machine)
            )
            given_up += [one for one in attachments if one.workspace == machine]
        elif machine not in standing:
            added.append(
                Attachment(volume=it.id, workspace=machine, name=machine, machine=machine)
            )
    if added and it.kind is VolumeKind.EBS:
        waiting = (one for one in attachments if not one.attached and one.machine not in there)
        given_up += [one for one in waiting if not unknown(one)]
    return added, given_up


def plan_snapshot(it: Snapshot, seen: Seen, host: Host | None, *, moving: bool = False) -> Act:
    """The next step, from what is wanted and what is seen.

    `moving` says that its volume is being attached or detached where that changes what it holds:
    it may be made anew in another zone, get its file system, or be unmounted.
    """
    if it.verb is Verb.DELETE:
        if seen in ENDED:
            return Act.FORGET
        return Act.WAIT if seen in {Seen.DELETING, Seen.UNSURE} else Act.DELETE
    told = seen is Seen.BROKEN and it.tried == it.wish  # who asks again gets another try
    if it.granted == it.wish or seen is Seen.THERE or told:
        return Act.REST
    # A workspace that is to be destroyed is stopped first, so that nothing writes meanwhile.
    writing = moving or (it.holds and host is not None and not host.quiet)
    # Some providers take no token for a snapshot: one that may be there is waited for.
    under_way = {Seen.UNSURE, Seen.MAKING, Seen.DELETING}
    return Act.WAIT if writing or seen in under_way else Act.MAKE


def verification(it: Snapshot) -> Literal["pending", "passed", "failed"] | None:
    """How it stands with the verification that was asked for, or done, last."""
    if it.verify_wish > it.verify_done:
        return "pending"
    if it.verified_at is None:
        return "pending" if it.verify_every else None
    return "failed" if it.verify_trouble else "passed"


def next_verification(it: Snapshot, now: datetime) -> datetime | None:
    """When a snapshot is to be verified next; never later than now if somebody has asked."""
    if it.verb is not Verb.MAKE or it.seen is not Seen.THERE:
        return None
    if it.verify_wish > it.verify_done:
        return now
    if it.verify_every is None:
        return None
    return (it.verified_at or it.created_at) + PERIODS[it.verify_every]


def verification_token(it: Snapshot) -> str:
    """Which verification this is; another one after each that was done."""
    last = it.verified_at or it.created_at
    return f"{it.verify_wish}-{last.isoformat()}"


def perceive(
    it: Volume | Snapshot, surveyed: Seen | None, now: datetime, patience: timedelta
) -> Seen:
    """What a survey means: not listed is not the same as not there."""
    if surveyed is not None:
        return surveyed
    promised = (it.disk_id if isinstance(it, Volume) else it.copy_id) is not None
    if it.seen is Seen.GONE or (it.seen is Seen.BROKEN and it.verb is Verb.MAKE):
        return it.seen
    if it.asked_at and now < it.asked_at + patience:
        return it.seen if promised else Seen.UNSURE
    # What was still being made went with who was making it; nobody can have written on it.
    return Seen.GONE if promised and it.seen is not Seen.MAKING else Seen.NONE


def monthly_cost(it: Volume | Snapshot) -> Micros | None:
    """What it costs a month; null where nobody knows, which 0 would not say.

    The catalog has no price for more IOPS or throughput than gp3 comes with.
    """
    if it.gb_month is None:
        return None
    if isinstance(it, Snapshot) or it.kind is VolumeKind.EFS:
        return None if it.used_bytes is None else Micros(it.gb_month * it.used_bytes // GIB)
    extra = (it.iops or 0) > BASE_IOPS or (it.throughput or 0) > BASE_THROUGHPUT
    if it.gb_month and extra:
        return None
    return Micros(it.gb_month * (it.size_gb or 0))


def at_most(it: Volume | Snapshot) -> Micros | None:
    """What it can come to cost a month while nothing of it is measured.

    A snapshot holds no more than its disk; a new file system holds nothing.
    """
    if isinstance(it, Volume) and it.kind is not VolumeKind.EFS:
        return monthly_cost(it)
    size = (it.size_gb or 0) if isinstance(it, Snapshot) else 0
    return None if it.gb_month is None else Micros(it.gb_month * size)


def gigabytes(used: int | None) -> float | None:
    """An amount of bytes for the wire."""
    return None if used is None else round(used / GIB, 3)
