"""What `AwsCompute` is put together from, as far as it looks; each part is a file of its own."""

from collections.abc import Collection
from typing import Protocol

from prism.connections.ports import Spot
from prism.providers.aws.network.subnets import Subnet
from prism.providers.aws.prerequisites.images import ImageChoice
from prism.providers.aws.prerequisites.keys import KeyPair
from prism.providers.aws.prerequisites.machine_types import MachineTypeFacts
from prism.templates.model import Base
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.ports import Access, MachineOrder


class LaunchPrerequisites(Protocol):
    """What a launch stands on, for one profile."""

    def kind(self, instance_type: str) -> MachineTypeFacts:
        """What EC2 says of a machine type."""

    def image(self, base: Base | None, instance_type: str) -> ImageChoice:
        """What it is made from."""

    def subnets(self, instance_type: str, key: str) -> tuple[Subnet, ...]:
        """Where it may stand, in the order to try."""

    def group(self, ports: Collection[int] = ...) -> str:
        """The security group."""

    def key(self) -> KeyPair:
        """The key to enter it with."""

    def holds(self, key: str | None) -> bool:
        """Whether this home has the key that EC2 knows by that name."""

    def role(self) -> str | None:
        """The instance profile, where there is one."""

    def give_no_role(self) -> None:
        """Machines may not be given it: for a while none is."""

    def open_ingress(self) -> str:
        """Open every group of the profile's key to where we are now; that range."""

    def forget(self) -> None:
        """Something of it is not there any more: ask again."""


class PrerequisitesByProfile(Protocol):
    """The launch prerequisites of each profile of Prism that launches in this place."""

    def __call__(self, profile: str) -> LaunchPrerequisites:
        """That of this one."""


class Scripts(Protocol):
    """Whoever writes what a machine does at its first boot."""

    def __call__(
        self,
        order: MachineOrder,
        image: ImageChoice,
        kind: MachineTypeFacts,
        key: KeyPair,
        *,
        again: bool = False,
    ) -> bytes:
        """User data, small enough, and the same whenever it is asked for.

        `again` is for a machine that has booted with other user data before.
        """


class Connectivity(Protocol):
    """The way into machines that are on."""

    def access(self, id: str) -> Access:
        """How to get in."""

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Tell it what to make of idleness."""

    def spot(self, id: str, port: int) -> Spot | None:
        """Where a port of it is dialled."""

    def idle(self, id: str) -> Idleness | None:
        """What it has said last of its own idleness; asks nobody."""
