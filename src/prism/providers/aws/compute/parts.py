"""The interfaces of the parts of `AwsCompute`; each part has a file of its own."""

from typing import Protocol

from prism.connections.ports import Address
from prism.providers.aws.prerequisites.images import ImageChoice
from prism.providers.aws.prerequisites.keys import KeyPair
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.ports import Access, MachineSpec


class Scripts(Protocol):
    """Makes the user data of machines."""

    def __call__(
        self,
        spec: MachineSpec,
        image: ImageChoice,
        key: KeyPair,
        *,
        again: bool = False,
    ) -> bytes:
        """User data within EC2's limit; the same spec always gets the same bytes.

        `again` is for a machine that has booted with other user data before.
        """


class Connectivity(Protocol):
    """Access to machines that are on."""

    def access(self, id: str) -> Access:
        """How to log in, and its services."""

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Send it a rule for idleness."""

    def address_of(self, id: str, port: int) -> Address | None:
        """The local address that leads to a port of a machine."""

    def idle(self, id: str) -> Idleness | None:
        """The last report of a machine's idleness; makes no call."""
