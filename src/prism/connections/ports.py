"""What connections need from the world."""

from typing import Protocol, runtime_checkable

from msgspec import Struct


class Spot(Struct, frozen=True, kw_only=True):
    """Where a port of a machine is dialled.

    `listener` names the very socket that listens; `certificate` is the SHA-256 of its TLS
    certificate where the machine has said it by another way than that port.
    """

    host: str
    port: int
    listener: str
    certificate: bytes | None = None


@runtime_checkable
class Reach(Protocol):
    """The way to machines' ports; a `Compute` that has one is also a `Reach`."""

    def spot(self, id: str, port: int) -> Spot | None:
        """Where a port of a machine is, if the machine itself listens there, else nothing.

        The port of another machine, of the daemon, or of another program is nothing.
        """
