"""Lab servers, and the problems with them."""

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from prism.agent.protocol import Room
from prism.errors import Conflict, Invalid, Unavailable

HOST_NAME = re.compile(
    r"(?:(?P<user>[A-Za-z0-9._-]{1,64})@)?(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252})"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


class ServerUnreachable(Unavailable, code="SERVER_UNREACHABLE"):
    """The server does not answer, or does not let the person in."""


class ServerKeyUnknown(Unavailable, code="SERVER_KEY_UNKNOWN"):
    """OpenSSH's `known_hosts` does not have the key of the server."""


class ServerKeyChanged(Unavailable, code="SERVER_KEY_CHANGED"):
    """The server has another key than the one in OpenSSH's `known_hosts`."""


class NotOnServers(Conflict, code="NOT_ON_SERVERS"):
    """Lab servers cannot do this yet."""


class ServerName(Struct, frozen=True):
    """The words with which a person logs in to a server."""

    host: str
    user: str | None = None
    port: int | None = None


class ServerFacts(Struct, frozen=True, kw_only=True):
    """What a server offers, as Prism's program there reports it."""

    python: str
    system: str
    machine: Literal["x86_64", "aarch64"]
    identity: str
    """What no other server has, by whatever words it is named."""
    user: str
    cpus: int
    memory: int
    disk_free: int
    locks: bool
    sandbox: str
    """Why programs cannot be sandboxed; empty if they can."""
    lingers: bool
    cgroup: bool
    gpus: tuple[str, ...]
    time: float


class KnownServer(Struct, frozen=True, kw_only=True):
    """A server of a profile, as far as it is known without a call."""

    host: str
    location: str
    facts: ServerFacts | None = None
    room: Room | None = None
    """What was free at the last survey."""
    identity: str | None = None
    """What no other server has, by whatever words it is named."""
    is_away: bool = False
    """Whether the last survey failed."""


def distinct(servers: Sequence[KnownServer]) -> list[KnownServer]:
    """Each server once, also if a profile names it by several words."""
    identities, answer = set[str](), []
    for server in servers:
        if server.identity is None or server.identity not in identities:
            answer.append(server)
        if server.identity is not None:
            identities.add(server.identity)
    return answer


def parsed(text: str) -> ServerName:
    """The words of `HOST`, `USER@HOST` or `USER@HOST:PORT`."""
    match = HOST_NAME.fullmatch(text)
    if match is None or int(match["port"] or 22) > 65535:
        raise Invalid(
            f"{text!r} is no server",
            remediation="Use a name of ~/.ssh/config, or USER@HOST, or USER@HOST:PORT",
        )
    return ServerName(match["host"], match["user"], int(match["port"]) if match["port"] else None)
