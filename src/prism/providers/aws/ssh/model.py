"""What is entered, who knows it, and what can go wrong on the way in."""

from pathlib import Path
from typing import Protocol

from msgspec import Struct

from prism.connections.model import SshUnreachable


class MachineUnreachable(SshUnreachable):
    """The workspace cannot be reached by SSH."""


class HostKeyUnknown(MachineUnreachable, code="HOST_KEY_UNKNOWN"):
    """The machine's console does not show its host key yet, and Prism trusts nothing else."""


class HostKeyChanged(MachineUnreachable, code="HOST_KEY_CHANGED"):
    """The host key of the answer is not the machine's."""


class SshHost(Struct, frozen=True, kw_only=True):
    """A machine that is on.

    `boot` names the start that it lives by (EC2's `LaunchTime`): with another one, nothing
    that was known of its inside holds.
    """

    id: str
    workspace: str
    name: str
    address: str
    user: str
    key: Path
    boot: str = ""


class SshHosts(Protocol):
    """Whoever knows which machines are on."""

    def host(self, id: str) -> SshHost | None:
        """How a machine is entered; nothing where it is not on, or not ours."""
