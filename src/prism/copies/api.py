"""Copies of snapshots over HTTP; for the operator only, because they use the daemon's rights."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.copies.model import (
    CopyItem,
    CopyScheduleItem,
    ForgottenCopy,
    NewCopy,
    NewCopySchedule,
)
from prism.copies.service import CopyService
from prism.kit.routes import Routes

Copies = NamedDependency[CopyService]
Id = FromPath[str]
router = Routes("/api/v1", tags=["copies"])


@router.post("/snapshots/{name:str}/copy", sync_to_thread=True)
def copy_snapshot(name: Id, data: JSONBody[NewCopy], copies: Copies) -> CopyItem:
    """Request a copy of a snapshot on another disk, on another computer or in S3."""
    return copies.begin(name, data)


@router.get("/copies", sync_to_thread=True)
def list_copies(copies: Copies) -> list[CopyItem]:
    """The copies that this daemon made or is making, the oldest first."""
    return copies.copies()


@router.get("/copies/{id:str}", sync_to_thread=True)
def show_copy(id: Id, copies: Copies) -> CopyItem:
    """One copy."""
    return copies.copy(id)


@router.delete("/copies/{id:str}", status_code=200, sync_to_thread=True)
def forget_copy(id: Id, copies: Copies) -> ForgottenCopy:
    """Cancel a copy, or remove it from the list; what is at the destination stays."""
    return ForgottenCopy(copies.forget(id))


@router.get("/copy-schedules", sync_to_thread=True)
def list_copy_schedules(copies: Copies) -> list[CopyScheduleItem]:
    """Every schedule of copies."""
    return copies.schedules()


@router.post("/copy-schedules", sync_to_thread=True)
def create_copy_schedule(data: JSONBody[NewCopySchedule], copies: Copies) -> CopyScheduleItem:
    """Copy a volume or workspace regularly; the first copy begins now."""
    return copies.schedule(data)


@router.delete("/copy-schedules/{id:str}", status_code=200, sync_to_thread=True)
def delete_copy_schedule(id: Id, copies: Copies) -> ForgottenCopy:
    """End a schedule; its copies stay."""
    return ForgottenCopy(copies.end_schedule(id))
