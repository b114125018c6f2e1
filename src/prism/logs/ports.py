"""What logs need from the world."""

from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

Kind = Literal["console", "cloud-init", "application"]


class LogChunk(Struct, frozen=True):
    """Some lines, and a mark of where they end, for whoever made it to go on from."""

    lines: tuple[str, ...]
    mark: Any


@runtime_checkable
class Logs(Protocol):
    """Somewhere machines keep what they say. Secrets of theirs are masked already.

    A machine that is gone has said nothing; lines that are kept no longer are skipped.
    """

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """The last lines."""

    def after(self, id: str, kind: Kind, mark: Any) -> LogChunk:
        """The lines after a mark, as many as fit into one piece; whole lines only."""
