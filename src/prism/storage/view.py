"""How storage looks on the wire."""

from collections.abc import Mapping, Sequence

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
)
from prism.storage.plan import (
    gigabytes,
    monthly_cost,
    snapshot_state,
    verification,
    volume_state,
)


def volume(
    it: Volume, attachments: Sequence[Attachment], names: Mapping[str, str]
) -> EbsVolume | EfsVolume:
    """A volume as lists show it; `names` are those of projects and snapshots by their ids."""
    instances = tuple(one.name for one in attachments)
    state, cost = volume_state(it, attachments), _usd(monthly_cost(it))
    project = names.get(it.project or "", it.project)
    origin = names.get(it.from_snapshot or "", it.from_snapshot)
    if it.kind is VolumeKind.EFS or it.size_gb is None or it.volume_type is None:
        return EfsVolume(
            name=it.name,
            filesystem_id=it.disk_id or it.expected_id,
            state=state,
            size_gb=gigabytes(it.used_bytes),
            creation_time=it.created_at,
            monthly_cost=cost,
            attached_instances=instances,
            project=project,
            from_snapshot=origin,
            failure=it.trouble,
            notes=it.notes,
        )
    return EbsVolume(
        name=it.name,
        volume_id=it.disk_id or it.expected_id,
        state=state,
        size_gb=it.size_gb,
        volume_type=it.volume_type,
        attached_instance=next(iter(instances), None),
        monthly_cost=cost,
        iops=it.iops,
        throughput=it.throughput,
        used_gb=gigabytes(it.used_bytes),
        zone=it.zone,
        creation_time=it.created_at,
        project=project,
        from_snapshot=origin,
        failure=it.trouble,
        notes=it.notes,
    )


def listed(
    volumes: Sequence[Volume],
    attachments: Mapping[str, Sequence[Attachment]],
    names: Mapping[str, str],
) -> VolumeList:
    """All volumes, by kind."""
    shown = [volume(it, attachments.get(it.id, ()), names) for it in volumes]
    return VolumeList(
        tuple(it for it in shown if isinstance(it, EfsVolume)),
        tuple(it for it in shown if isinstance(it, EbsVolume)),
    )


def snapshot(it: Snapshot, names: Mapping[str, str]) -> SnapshotItem:
    """A snapshot as lists show it; `names` are those of projects by their ids."""
    return SnapshotItem(
        name=it.name,
        snapshot_id=it.copy_id,
        state=snapshot_state(it),
        progress=it.progress,
        source_type=it.source,
        source=it.source_name,
        size_gb=it.size_gb,
        used_gb=gigabytes(it.used_bytes),
        creation_time=it.created_at,
        monthly_cost=_usd(monthly_cost(it)),
        project=names.get(it.project or "", it.project),
        failure=it.trouble,
        one_moment=it.one_moment,
        verify=it.verify_every,
        verification=verification(it),
        verified_at=it.verified_at,
        verification_failure=it.verify_trouble,
    )


def _usd(cost: Micros | None) -> float | None:
    return None if cost is None else amount(cost)
