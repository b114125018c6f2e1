"""Decisions about copies and their schedules: pure, without a clock."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from prism.copies.model import CopyLabel, CopySchedule, CopyState, RemoteCopy
from prism.storage.model import Period, Snapshot, SnapshotState
from prism.storage.plan import snapshot_state

PERIODS: dict[Period, timedelta] = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}
RETRY_FAILED = timedelta(hours=1)
"""When a run that failed is tried again, if its next time is not sooner."""


def next_run(schedule: CopySchedule) -> datetime:
    """When the next run is due; in the past after a time in which nothing ran.

    However many runs were missed, there is one. A failed one is tried again within the hour.
    """
    if schedule.begun_at is None:
        return schedule.created_at
    period = PERIODS[schedule.every]
    return schedule.begun_at + (min(RETRY_FAILED, period) if schedule.trouble else period)


def label_of(snapshot: Snapshot, schedule: str | None) -> CopyLabel:
    """What the destination stores about a copy of a snapshot."""
    return CopyLabel(
        key=snapshot.id,
        name=snapshot.name,
        source=snapshot.source,
        source_id=snapshot.source_id,
        source_name=snapshot.source_name,
        kind=snapshot.kind,
        size_gb=snapshot.size_gb,
        volume_type=snapshot.volume_type,
        iops=snapshot.iops,
        throughput=snapshot.throughput,
        taken_at=snapshot.created_at,
        schedule=schedule,
    )


def chosen(copies: Iterable[RemoteCopy], name: str) -> RemoteCopy | None:
    """The copy with an id, or the beginning of it, else the last one of a snapshot's name."""
    listed = list(copies)
    by_id = [copy for copy in listed if len(name) >= 8 and copy.id.startswith(name)]
    by_name = [copy for copy in listed if copy.label.name == name]
    return next(iter([*by_id, *reversed(by_name)]), None)


class ScheduleStep(StrEnum):
    """The next step of a schedule."""

    REST = "rest"  # until the next run
    BEGIN = "begin"
    WAIT = "wait"
    COPY = "copy"
    SUCCEED = "succeed"
    FAIL = "fail"


def next_step(
    schedule: CopySchedule,
    snapshot: SnapshotState | None,
    copy: CopyState | None,
    now: datetime,
) -> ScheduleStep:
    """The next step, from the states of the run's snapshot and copy; None if they are gone."""
    if not schedule.is_running:
        return ScheduleStep.BEGIN if next_run(schedule) <= now else ScheduleStep.REST
    if schedule.copy is not None:
        ends = {CopyState.COMPLETED: ScheduleStep.SUCCEED, CopyState.FAILED: ScheduleStep.FAIL}
        return ScheduleStep.FAIL if copy is None else ends.get(copy, ScheduleStep.WAIT)
    if snapshot is SnapshotState.COMPLETED:
        return ScheduleStep.COPY
    return ScheduleStep.WAIT if snapshot is SnapshotState.PENDING else ScheduleStep.FAIL


def can_reuse(schedule: CopySchedule, snapshot: Snapshot | None, now: datetime) -> bool:
    """Whether a run that failed is tried again with its snapshot, if that is not too old."""
    return (
        schedule.trouble is not None
        and snapshot is not None
        and snapshot_state(snapshot) is SnapshotState.COMPLETED
        and snapshot.created_at + PERIODS[schedule.every] > now
    )


def snapshot_name(source: str, at: datetime) -> str:
    """The name of a scheduled snapshot."""
    return f"{source[:40]}-{at:%Y%m%d-%H%M%S}"


def reasons(schedules: Iterable[CopySchedule]) -> list[str]:
    """Why scheduled copies fail, each in a sentence."""
    return [
        f"The {schedule.every} copy of {schedule.source_name} to {schedule.destination} failed: "
        f"{schedule.trouble.message}"
        for schedule in schedules
        if schedule.trouble is not None
    ]
