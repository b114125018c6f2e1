"""What recovery needs from the world."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, runtime_checkable

from prism.recovery.model import FoundMachine


@runtime_checkable
class Recoverable(Protocol):
    """A place whose machines say what they are; a `workspaces.ports.Compute` may be one."""

    def found(self, ids: Collection[str]) -> Sequence[FoundMachine]:
        """What these machines say of themselves; it was seen by the last survey."""


class WorldGeneration(Protocol):
    """What a place whose things carry the database's generation asks and tells of it."""

    @property
    def begun(self) -> bool:
        """Whether the database is known."""

    @property
    def text(self) -> str:
        """What to write on something now."""

    def compare(self, texts: Iterable[str], *, first: bool) -> None:
        """Take in what was read; what another database has written says nothing of this one."""

    def ours(self, keys: Collection[str]) -> set[str]:
        """The keys that have a row."""
