"""What recovery needs from the world."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from prism.recovery.model import Found


@runtime_checkable
class Recoverable(Protocol):
    """A place whose machines say what they are; a `workspaces.ports.Compute` may be one."""

    def found(self, ids: Collection[str]) -> Sequence[Found]:
        """What these machines say of themselves; it was seen by the last survey."""
