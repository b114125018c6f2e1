"""What copies need from providers."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from prism.copies.model import CopyLabel, CopyState, RemoteCopy, Verify
from prism.storage.model import StorageFailure


class CopyOrder(Struct, frozen=True, kw_only=True):
    """A copy to make."""

    id: str
    snapshot: str  # the provider's id
    label: CopyLabel
    destination: str
    profile: str | None = None
    verify: Verify = "full"
    keep: int | None = None
    is_known: bool = False
    """Whether earlier copies are at the destination, which is away if they are not there."""
    is_repeated: bool = False
    """Whether an earlier attempt may have left something there."""


class CopyStatus(Struct, frozen=True, kw_only=True):
    """How far a copy is."""

    state: CopyState = CopyState.PENDING
    progress: int | None = None
    total_bytes: int | None = None
    added_bytes: int | None = None
    remote_id: str | None = None
    same_disk: bool | None = None
    verified_at: datetime | None = None
    trouble: StorageFailure | None = None
    remaining: frozenset[str] | None = None
    """The copies of the same schedule that are at the destination afterwards; None if unknown."""


class CopyWorker(Protocol):
    """Makes copies in the background. What it knows is lost with the daemon, and begun again."""

    def begin(self, order: CopyOrder) -> None:
        """Begin a copy, unless it is known."""

    def status(self, id: str) -> CopyStatus | None:
        """How far a copy is; None if it was not begun since the start."""

    def forget(self, id: str) -> None:
        """Stop a copy, and forget how it ended."""

    def ids(self) -> Collection[str]:
        """The copies that it knows."""

    def listing(self, destination: str, profile: str | None) -> Sequence[RemoteCopy]:
        """What is at a destination, the oldest first; raises a `Problem` if it cannot be read."""

    def delete(self, destination: str, profile: str | None, remote_id: str) -> None:
        """Destroy a copy and the data that only it has; raises a `Problem` if that fails."""
