"""What connections need from the world."""

from typing import Protocol, runtime_checkable

from msgspec import Struct


class Spot(Struct, frozen=True, kw_only=True):
    """Where a port of a machine is dialled.

    `listener` names the very socket that listens; `certificate` is the SHA-256 of its TLS
    certificate where the machine has said it by another way than that port. `network` is the
    gateway to its own network (`kit/workspace_network.py`), in which the port is then dialled.
    """

    host: str
    port: int
    listener: str
    certificate: bytes | None = None
    network: str = ""


@runtime_checkable
class Reach(Protocol):
    """The way to machines' ports; a `Compute` that has one is also a `Reach`."""

    def spot(self, id: str, port: int) -> Spot | None:
        """Where to reach a port of a machine; None if the machine itself does not listen there.

        The port may be another machine's, the daemon's or another program's.
        """


@runtime_checkable
class Publishes(Protocol):
    """A `Reach` whose machines may have networks of their own."""

    def published(self, id: str, spot: Spot) -> int:
        """The port of this computer that leads to a port of a machine, for programs of ours."""
