"""The interfaces of the parts of `AwsCompute`; each part has a file of its own."""

from collections.abc import Collection
from typing import Protocol

from prism.connections.ports import Address
from prism.providers.aws.network.subnets import Subnet
from prism.providers.aws.prerequisites.images import ImageChoice
from prism.providers.aws.prerequisites.keys import KeyPair
from prism.providers.aws.prerequisites.machine_types import MachineTypeFacts
from prism.templates.model import Base
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.ports import Access, MachineOrder


class LaunchPrerequisites(Protocol):
    """What a launch needs, for one profile."""

    def kind(self, instance_type: str) -> MachineTypeFacts:
        """The properties of a machine type."""

    def image(self, base: Base | None, instance_type: str) -> ImageChoice:
        """The image of a launch."""

    def subnets(self, instance_type: str, key: str) -> tuple[Subnet, ...]:
        """The subnets for a machine, in the order to try."""

    def group(self, ports: Collection[int] = ...) -> str:
        """The security group."""

    def key(self) -> KeyPair:
        """The key pair for logging in."""

    def holds(self, key: str | None) -> bool:
        """Whether this home has the key that EC2 knows by that name."""

    def role(self) -> str | None:
        """The instance profile, if there is one."""

    def give_no_role(self) -> None:
        """Launch without a role for a while: the login may not pass it."""

    def open_ingress(self) -> str:
        """Open every group of the profile's key to our current address; returns its range."""

    def forget(self) -> None:
        """Forget all answers, because some resource does not exist any more."""


class PrerequisitesByProfile(Protocol):
    """The launch prerequisites of each profile of Prism that launches in this place."""

    def __call__(self, profile: str) -> LaunchPrerequisites:
        """The prerequisites of this profile."""


class Scripts(Protocol):
    """Makes the user data of machines."""

    def __call__(
        self,
        order: MachineOrder,
        image: ImageChoice,
        key: KeyPair,
        *,
        again: bool = False,
    ) -> bytes:
        """User data within EC2's limit; the same order always gets the same bytes.

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
