"""Storage as the API shows it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from prism.kit.money import Micros, amount
from prism.storage.model import (
    Attachment,
    EbsVolume,
    EfsVolume,
    Snapshot,
    SnapshotItem,
    Volume,
    VolumeKind,
    VolumeList,
    VolumeState,
)
from prism.storage.plan import gigabytes, monthly_cost, snapshot_state, verification, volume_state

MOVES: frozenset[str] = frozenset({"creating", "attaching", "detaching", "deleting", "pending"})


class ViewSources(NamedTuple):
    """What views show besides the row: functions that return a text for people, or None."""

    unreachable: Callable[[str], str | None]
    """Why no daemon serves a location."""
    waiting: Callable[[str], str | None]
    """Why no request is carried out in a location now."""
    full_name: Callable[[str, str], str | None] = lambda _name, _owner: None
    """The full name, of a name and an owner, where it differs."""

    def fields(self, location: str, state: str) -> dict[str, str | None]:
        """The fields of a volume or snapshot in a location."""
        unreachable = self.unreachable(location)
        waits = unreachable is None and state in MOVES
        return {
            "unreachable": unreachable,
            "waiting": self.waiting(location) if waits else None,
        }


def volume(
    volume: Volume,
    attachments: Sequence[Attachment],
    names: Mapping[str, str],
    sources: ViewSources,
) -> EbsVolume | EfsVolume:
    """A volume as lists show it; `names` are those of projects and snapshots by id."""
    instances = tuple(attachment.name for attachment in attachments)
    common = _common_fields(volume, volume_state(volume, attachments), names, sources)
    if volume.kind is VolumeKind.EFS or volume.size_gb is None or volume.volume_type is None:
        return EfsVolume(
            filesystem_id=volume.disk_id or volume.expected_id,
            size_gb=gigabytes(volume.used_bytes),
            attached_instances=instances,
            **common,
        )
    return EbsVolume(
        volume_id=volume.disk_id or volume.expected_id,
        size_gb=volume.size_gb,
        volume_type=volume.volume_type,
        attached_instance=next(iter(instances), None),
        iops=volume.iops,
        throughput=volume.throughput,
        used_gb=gigabytes(volume.used_bytes),
        zone=volume.zone,
        **common,
    )


def _common_fields(
    volume: Volume, state: VolumeState, names: Mapping[str, str], sources: ViewSources
) -> dict[str, Any]:
    """The fields of volumes of both kinds."""
    return {
        "name": volume.name,
        "full_name": sources.full_name(volume.name, volume.owner) or UNSET,
        "state": state,
        "creation_time": volume.created_at,
        "monthly_cost": _usd(monthly_cost(volume)),
        "project": names.get(volume.project or "", volume.project),
        "from_snapshot": names.get(volume.from_snapshot or "", volume.from_snapshot),
        "failure": volume.trouble,
        "notes": volume.notes,
        **sources.fields(volume.location, state),
    }


def listed(
    volumes: Sequence[Volume],
    attachments: Mapping[str, Sequence[Attachment]],
    names: Mapping[str, str],
    sources: ViewSources,
) -> VolumeList:
    """All volumes, by kind."""
    views = [volume(row, attachments.get(row.id, ()), names, sources) for row in volumes]
    return VolumeList(
        tuple(efs_volume for efs_volume in views if isinstance(efs_volume, EfsVolume)),
        tuple(ebs_volume for ebs_volume in views if isinstance(ebs_volume, EbsVolume)),
    )


def snapshot(snapshot: Snapshot, names: Mapping[str, str], sources: ViewSources) -> SnapshotItem:
    """A snapshot as lists show it; `names` are those of projects by id."""
    state = snapshot_state(snapshot)
    return SnapshotItem(
        name=snapshot.name,
        full_name=sources.full_name(snapshot.name, snapshot.owner) or UNSET,
        snapshot_id=snapshot.copy_id,
        state=state,
        progress=snapshot.progress,
        source_type=snapshot.source,
        source=snapshot.source_name,
        size_gb=snapshot.size_gb,
        used_gb=gigabytes(snapshot.used_bytes),
        creation_time=snapshot.created_at,
        monthly_cost=_usd(monthly_cost(snapshot)),
        project=names.get(snapshot.project or "", snapshot.project),
        failure=snapshot.trouble,
        one_moment=snapshot.one_moment,
        verify=snapshot.verify_every,
        verification=verification(snapshot),
        verified_at=snapshot.verified_at,
        verification_failure=snapshot.verify_trouble,
        fetched_from=snapshot.origin.destination if snapshot.origin else None,
        **sources.fields(snapshot.location, state),
    )


def _usd(cost: Micros | None) -> float | None:
    return None if cost is None else amount(cost)
