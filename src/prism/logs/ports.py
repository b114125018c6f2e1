"""The interface that logs need from providers."""

from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

Kind = Literal["console", "cloud-init", "application"]


class LogChunk(Struct, frozen=True):
    """Some lines, and a mark of their end, from which the provider can continue."""

    lines: tuple[str, ...]
    mark: Any


@runtime_checkable
class Logs(Protocol):
    """The logs of a provider's machines, with secrets already masked.

    A machine that is gone has no lines; lines that are no longer stored are skipped.
    """

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """The last lines."""

    def after(self, id: str, kind: Kind, mark: Any) -> LogChunk:
        """The lines after a mark, as many as fit into one piece; whole lines only."""
