"""The resources of one account in one region, and their changes as time passes."""

import hashlib
import heapq
import inspect
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from aws_double.clock import Clock
from aws_double.ec2.model import (
    Attachment,
    Group,
    Image,
    Instance,
    Key,
    Network,
    Snapshot,
    Subnet,
    Volume,
)
from aws_double.facts.zones import zones_of
from aws_double.policies import Statement
from aws_double.rules import Rules
from aws_double.sessions import Sessions
from aws_double.tokens import Tokens


@dataclass(slots=True)
class Orders:
    """The rules in force; the same object for all worlds, so that they change at once."""

    rules: Rules
    seed: int
    sessions: Sessions


@dataclass(frozen=True, slots=True)
class Call:
    """One action on one account and region."""

    world: "World"
    action: str
    args: dict[str, Any]

    @property
    def now(self) -> datetime:
        """When it is asked."""
        return self.world.now


Action = Callable[[Call], dict[str, Any]]


def actions_of(*modules: ModuleType) -> dict[str, Action]:
    """By AWS's name: `get_role` of a module, which takes a `call` alone, answers GetRole."""
    return {
        "".join(map(str.capitalize, name.split("_"))): function
        for module in modules
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and [*inspect.signature(function).parameters] == ["call"]
        and not name.startswith("_")
    }


@dataclass(order=True, slots=True)
class _Alarm:
    at: datetime
    number: int
    ring: Callable[[datetime], object] = field(compare=False)


@dataclass(slots=True)
class Account:
    """What an account has outside of regions: IAM's roles and instance profiles, by name."""

    id: str
    roles: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, str]] = field(default_factory=dict)  # of roles
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    service_linked: set[str] = field(default_factory=set)
    unseen: dict[tuple[str, ...], datetime] = field(default_factory=dict)  # until when, of IAM
    policy: tuple[Statement, ...] = ()  # the present caller's; without one, everything is allowed
    caller: str = ""  # the present caller's ARN

    def letters(self, name: str) -> str:
        """The unique part of an IAM id."""
        return hashlib.sha256(f"{self.id}:{name}".encode()).hexdigest()[:16].upper()


class World:
    """One account in one region."""

    def __init__(
        self,
        owner: Account,
        region: str,
        clock: Clock,
        orders: Orders,
    ) -> None:
        self.owner, self.account, self.region = owner, owner.id, region
        self.zones = zones_of(region)
        self._clock, self._orders = clock, orders
        self._random = random.Random(f"{orders.seed}:{owner.id}:{region}")
        self.made = 0  # how many ids
        self._alarms: list[_Alarm] = []
        self._order = itertools.count()
        self.now = clock.now()
        self.tokens = Tokens()
        self._disks: dict[str, dict[str, Volume]] = {}  # by machine
        self.instances: dict[str, Instance] = {}
        self.no_longer_described: dict[str, Instance] = {}  # their token still counts
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.images: dict[str, Image] = {}
        self.networks: dict[str, Network] = {}
        self.subnets: dict[str, Subnet] = {}
        self.groups: dict[str, Group] = {}
        self.keys: dict[str, Key] = {}
        self.service_state: dict[str, dict[str, Any]] = {}  # what other services keep here
        # By id: tags that were replaced, and until when they are described all the same.
        self.earlier_tags: dict[str, list[tuple[datetime, dict[str, str]]]] = {}
        # Likewise: things as they were before a call changed or deleted them.
        self.earlier: dict[str, list[tuple[datetime, Any]]] = {}

    @property
    def sessions(self) -> Sessions:
        """Temporary keys."""
        return self._orders.sessions

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        return self._orders.rules

    def new_id(self, prefix: str) -> str:
        """A new id, the same one for the same seed and history."""
        self.made += 1
        source = f"{self._orders.seed}:{self.account}:{self.region}:{self.made}"
        return f"{prefix}-{hashlib.sha256(source.encode()).hexdigest()[:17]}"

    def span(self, name: str) -> timedelta:
        """How long something takes this time."""
        seconds = getattr(self.rules.times, name)
        if isinstance(seconds, tuple):
            seconds = self._random.uniform(*seconds)
        return timedelta(seconds=seconds)

    def after(self, name: str) -> datetime:
        """When something that begins now and takes so long is over."""
        return self.now + self.span(name)

    def alarm(self, at: datetime, ring: Callable[[datetime], object]) -> None:
        """Call `ring` once that time has come, with the exact time."""
        heapq.heappush(self._alarms, _Alarm(at, next(self._order), ring))

    def tick(self) -> None:
        """Run every change that is due by now, in order."""
        now = self._clock.now()
        while self._alarms and self._alarms[0].at <= now:
            alarm = heapq.heappop(self._alarms)
            self.now = alarm.at
            alarm.ring(alarm.at)
        self.now = now

    def attach(self, volume: Volume, attachment: Attachment) -> None:
        """Attach a volume to a machine."""
        volume.attachment = attachment
        self._disks.setdefault(attachment.instance, {})[volume.id] = volume

    def detach(self, volume: Volume) -> None:
        """Detach a volume."""
        if volume.attachment is not None:
            del self._disks[volume.attachment.instance][volume.id]
            volume.attachment = None

    def disks(self, instance: str) -> dict[str, Volume]:
        """The disks in a machine, by device."""
        volumes = self._disks.get(instance, {}).values()
        return {
            volume.attachment.device: volume for volume in volumes if volume.attachment is not None
        }

    def everything_tagged(self) -> Iterable[tuple[str, dict[str, str]]]:
        """The id and the tags of everything that EC2 can tag."""
        kinds: tuple[dict[str, Any], ...] = (
            self.instances,
            self.volumes,
            self.snapshots,
            self.images,
            self.networks,
            self.subnets,
            self.groups,
        )
        for kind in kinds:
            for id, thing in kind.items():
                yield id, thing.tags
        for key in self.keys.values():
            yield key.id, key.tags
