"""Everything that a launch needs, cached for many launches."""

from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.network import groups, subnets
from prism.providers.aws.network.address import caller_cidr
from prism.providers.aws.network.subnets import Subnet, Vpc
from prism.providers.aws.prerequisites import images, keys, machine_types, roles
from prism.providers.aws.prerequisites.answer_cache import AnswerCache
from prism.providers.aws.prerequisites.images import ImageChoice
from prism.providers.aws.prerequisites.keys import KeyPair
from prism.providers.aws.prerequisites.machine_types import MachineTypeFacts
from prism.templates.model import Base

CACHED_LONG, CACHED_SHORT = timedelta(days=1), timedelta(minutes=10)
HOURLY = timedelta(hours=1)


class AwsLaunchPrerequisites:
    """The prerequisites of one profile in one region; any number of threads may use it.

    `caller` returns our own address range. Answers are cached for a limited time, because new
    images are published, addresses change, and a group that was removed by hand must be made
    again.
    """

    def __init__(
        self,
        cloud: Cloud,
        home: Path,
        profile: str,
        *,
        caller: Callable[[], str] = caller_cidr,
    ) -> None:
        clock = cloud.clock
        self._cloud, self._home, self._profile, self._caller = cloud, home, profile, caller
        self._kinds: AnswerCache[str, MachineTypeFacts] = AnswerCache(clock, CACHED_LONG)
        self._images: AnswerCache[tuple[Base | None, str], ImageChoice] = AnswerCache(
            clock, HOURLY
        )
        self._offered: AnswerCache[str, frozenset[str]] = AnswerCache(clock, HOURLY)
        self._networks: AnswerCache[str, Vpc] = AnswerCache(clock, CACHED_SHORT)
        self._addresses: AnswerCache[str, str] = AnswerCache(clock, CACHED_SHORT)
        self._groups: AnswerCache[tuple[str, str], str] = AnswerCache(clock, CACHED_SHORT)
        self._keys: AnswerCache[str, KeyPair] = AnswerCache(clock, CACHED_LONG)
        self._imported: AnswerCache[str, str] = AnswerCache(clock, HOURLY)
        self._roles: AnswerCache[str, str | None] = AnswerCache(clock, HOURLY)

    def kind(self, instance_type: str) -> MachineTypeFacts:
        """The facts of a machine type."""
        return self._kinds.get(
            instance_type, lambda: machine_types.kind(self._cloud, instance_type)
        )

    def image(self, base: Base | None, instance_type: str) -> ImageChoice:
        """The newest image of a base, for the architecture of that type."""
        built = self.kind(instance_type).architecture
        return self._images.get((base, built), lambda: images.image(self._cloud, base, built))

    def known_image(self, base: Base, built: str) -> ImageChoice | None:
        """The image of a base and architecture, if it was looked up; makes no call."""
        return self._images.known((base, built))

    def subnets(self, instance_type: str, key: str) -> tuple[Subnet, ...]:
        """The subnets for the workspace of this key, in the order to try; raises `NoZone`."""
        offered = self._offered.get(
            instance_type, lambda: subnets.offered(self._cloud, instance_type)
        )
        network = self._network()
        matching = [subnet for subnet in network.subnets if subnet.zone in offered]
        if not matching:
            raise subnets.not_offered(instance_type, offered, network, self._cloud.region)
        return subnets.in_turn(matching, key)

    def group(self, ports: Collection[int] = ()) -> str:
        """The security group that opens SSH, and these ports, to the caller's address."""
        name = groups.group_name(self.pair().fingerprint, ports)
        cidr, network = self.caller_address(), self._network().id
        return self._groups.get(
            (name, cidr), lambda: groups.group(self._cloud, network, name, cidr, ports)
        )

    def pair(self) -> KeyPair:
        """The profile's key in this home; makes no call."""
        return self._keys.get(self._profile, lambda: keys.key_of(self._home, self._profile))

    def key(self) -> KeyPair:
        """The profile's key, imported into EC2."""
        pair = self.pair()
        self._imported.get(pair.name, lambda: keys.import_key(self._cloud, pair))
        return pair

    def holds(self, key: str | None) -> bool:
        """Whether this home has the key that EC2 knows by that name; makes none."""
        exists = key is not None and keys.has_key(self._home, self._profile)
        return exists and self.pair().name == key

    def role(self) -> str | None:
        """The instance profile that lets a machine stop itself; None if there is none."""
        return self._roles.get(roles.NAME, lambda: roles.role(self._cloud))

    def give_no_role(self) -> None:
        """Launch without a role for an hour: the login lacks `iam:PassRole`."""
        self._roles.keep(roles.NAME, None)

    @property
    def note(self) -> str | None:
        """What machines cannot do because they have no role; makes no call."""
        tried, known = self._roles.asked(roles.NAME), self._roles.known(roles.NAME)
        return f"there is no role for machines, so {roles.LOST}" if tried and not known else None

    def caller_address(self) -> str:
        """Our own address range."""
        return self._addresses.get("", self._caller)

    def open_ingress(self) -> str:
        """Look up our own address again, and open all our security groups to it; the CIDR range.

        For a machine that is on but does not answer: a laptop may be in another network now.
        """
        self._addresses.forget()
        self._groups.forget()  # cached groups may be open to a former address only
        cidr = self.caller_address()
        for group in groups.groups_of(self._cloud, self._network().id, self.pair().fingerprint):
            groups.admit(self._cloud, group, cidr, groups.ports_of(group))
        return cidr

    def forget(self) -> None:
        """Forget answers, after AWS has said that something does not exist any more."""
        for known in (self._images, self._networks, self._groups, self._imported, self._roles):
            known.forget()

    def _network(self) -> Vpc:
        return self._networks.get("", lambda: subnets.network(self._cloud, self._profile))


PrerequisitesByProfile = Callable[[str], AwsLaunchPrerequisites]
"""The launch prerequisites of each profile of Prism that launches in a location."""
