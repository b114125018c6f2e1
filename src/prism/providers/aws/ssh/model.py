"""Machines to log in to by SSH, and the problems with them."""

from pathlib import Path
from typing import Protocol

from msgspec import Struct

from prism.connections.model import SshUnreachable


class MachineUnreachable(SshUnreachable):
    """The workspace cannot be reached by SSH."""


class HostKeyUnknown(MachineUnreachable, code="HOST_KEY_UNKNOWN"):
    """The machine's console does not show its host key yet, and Prism trusts nothing else."""


class HostKeyChanged(MachineUnreachable, code="HOST_KEY_CHANGED"):
    """The computer that answers has another host key than the machine."""


class SshHost(Struct, frozen=True, kw_only=True):
    """A machine that is on.

    `boot` is EC2's `LaunchTime` of its last start: facts read by SSH hold for this boot only.
    """

    id: str
    workspace: str
    name: str
    address: str
    user: str
    key: Path
    boot: str = ""


class SshHosts(Protocol):
    """Finds machines that are on."""

    def host(self, id: str) -> SshHost | None:
        """How to log in to a machine; None if it is not on, or not ours."""
