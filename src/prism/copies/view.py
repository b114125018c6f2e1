"""Copies as the API shows them."""

from collections.abc import Mapping

from prism.copies.model import (
    CopyItem,
    CopySchedule,
    CopyScheduleItem,
    RemoteCopy,
    RemoteCopyItem,
    SnapshotCopy,
)
from prism.copies.plan import next_run


def copy(copy: SnapshotCopy, names: Mapping[str, str]) -> CopyItem:
    """A copy; `names` are those of projects by id."""
    return CopyItem(
        id=copy.id,
        snapshot=copy.name,
        source_type=copy.source,
        source=copy.source_name,
        destination=copy.destination,
        state=copy.state,
        progress=copy.progress,
        total_bytes=copy.total_bytes,
        added_bytes=copy.added_bytes,
        remote_id=copy.remote_id,
        same_disk=copy.same_disk,
        verify=copy.verify,
        verified_at=copy.verified_at,
        created_at=copy.created_at,
        ended_at=copy.ended_at,
        schedule=copy.schedule,
        project=names.get(copy.project or "", copy.project),
        failure=copy.trouble,
    )


def remote(copy: RemoteCopy) -> RemoteCopyItem:
    """A copy that a destination lists."""
    label = copy.label
    return RemoteCopyItem(
        id=copy.id,
        snapshot=label.name,
        source_type=label.source,
        source=label.source_name,
        host=copy.host,
        taken_at=label.taken_at,
        total_bytes=copy.total_bytes,
        schedule=label.schedule,
    )


def schedule(schedule: CopySchedule) -> CopyScheduleItem:
    """A schedule, and when it runs next."""
    return CopyScheduleItem(
        id=schedule.id,
        source_type=schedule.source,
        source=schedule.source_name,
        destination=schedule.destination,
        every=schedule.every,
        keep=schedule.keep,
        verify=schedule.verify,
        next_run=next_run(schedule),
        running=schedule.is_running,
        last_success=schedule.succeeded_at,
        failure=schedule.trouble,
    )
