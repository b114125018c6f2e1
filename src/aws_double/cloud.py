"""The state of the double: accounts, regions, time, rules, and the log of calls."""

import threading
from dataclasses import dataclass
from datetime import datetime

from aws_double.clock import Clock
from aws_double.ec2 import images, network
from aws_double.faults import Faults
from aws_double.rules import Fault, Rules
from aws_double.sessions import Sessions
from aws_double.throttle import Throttle
from aws_double.world import Account, Orders, World

ACCOUNT = "123456789012"
MOST_LOGGED = 200_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A call in the log; `outcome` is `ok`, the code of an error, or how it was lost."""

    number: int
    at: datetime
    account: str
    region: str
    service: str
    action: str
    outcome: str


class Cloud:
    """All state; every call holds its one lock."""

    def __init__(self, seed: int = 0, rules: Rules | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.orders = Orders(rules or Rules(), seed, Sessions(self.clock))
        self._first = self.orders.rules
        self.reset()

    def reset(self) -> None:
        """A new world: nothing in it, the first rules, the real time."""
        with self.lock:
            self.clock.reset()
            self.orders.sessions = Sessions(self.clock)
            self._worlds: dict[tuple[str, str], World] = {}
            self._accounts: dict[str, Account] = {}
            self._numbers: dict[str, int] = {}
            self.log: list[Heard] = []
            self.set_rules(self._first)

    def set_rules(self, rules: Rules) -> None:
        """Other rules from now on; faults count from zero, buckets are full."""
        with self.lock:
            self.orders.rules = rules
            self.faults = Faults(rules.faults, self.orders.seed)
            self.throttle = Throttle(rules.throttle)

    def add_fault(self, fault: Fault) -> None:
        """Add a fault."""
        with self.lock:
            self.faults.add(fault)

    def world(self, account: str, region: str) -> World:
        """One account in one region, as of now."""
        world = self._worlds.get((account, region))
        if world is None:
            owner = self._accounts.setdefault(account, Account(account))
            world = World(owner, region, self.clock, self.orders)
            images.add_public_images(world)
            network.add_default_network(world)
            self._worlds[account, region] = world
        world.tick()
        return world

    def worlds(self) -> list[World]:
        """All worlds that a call has used, as of now."""
        with self.lock:
            return [self.world(*key) for key in list(self._worlds)]

    def count(self, account: str) -> int:
        """The number of the call that begins now, in that account."""
        self._numbers[account] = self._numbers.get(account, 0) + 1
        return self._numbers[account]

    def note(self, heard: Heard) -> None:
        """Log a call."""
        self.log.append(heard)
        if len(self.log) > MOST_LOGGED:
            del self.log[: MOST_LOGGED // 2]
