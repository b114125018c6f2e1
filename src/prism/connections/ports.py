"""Interfaces that connections need from providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct

if TYPE_CHECKING:
    import socket


class Address(Struct, frozen=True, kw_only=True):
    """The address of a machine's port.

    `listener` identifies the listening socket; `certificate` is the SHA-256 of its TLS
    certificate, if the machine sent it over another channel. `network` is the
    gateway to its own network (`kit/network/workspace_network.py`), in which the port is then
    dialled.
    """

    host: str
    port: int
    listener: str
    certificate: bytes | None = None
    network: str = ""


@runtime_checkable
class PortFinder(Protocol):
    """Finds ports of machines; a `Compute` may also be a `PortFinder`."""

    def address_of(self, id: str, port: int) -> Address | None:
        """Where to reach a port of a machine; None if the machine itself does not listen there.

        Another machine, the daemon or another program may listen there instead.
        """


@runtime_checkable
class ServesSsh(Protocol):
    """A `Compute` that serves SSH itself."""

    async def serve_ssh(self, id: str, connection: socket.socket) -> None:
        """Serve SSH on a connection of somebody whose right to enter the machine was checked.

        Returns after the login, which needs no key. Raises `OSError` if the machine has no SSH.
        """


@runtime_checkable
class PublishesPorts(Protocol):
    """A `PortFinder` whose machines may have networks of their own."""

    def published(self, id: str, address: Address) -> int:
        """The local port that forwards to a port of a machine."""
