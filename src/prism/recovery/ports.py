"""What recovery needs from providers."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, runtime_checkable

from prism.recovery.model import FoundMachine


@runtime_checkable
class RecoverableLocation(Protocol):
    """A location whose machines have metadata; a `workspaces.ports.Compute` may be one."""

    def found(self, ids: Collection[str]) -> Sequence[FoundMachine]:
        """The metadata of these machines, as of the last survey."""


class GenerationMarks(Protocol):
    """The database's generation, for locations whose machines carry its text."""

    @property
    def begun(self) -> bool:
        """Whether the database is known."""

    @property
    def text(self) -> str:
        """The text to write on machines and volumes now."""

    def compare(self, texts: Iterable[str], *, first: bool) -> None:
        """Compare these texts with the database; those of other databases do not count."""

    def ours(self, keys: Collection[str]) -> set[str]:
        """The keys that have a row."""
