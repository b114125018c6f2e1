"""All our machines in a region, by one paged call, and their last known state."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prism.providers.aws.api import tags as names
from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.api.unreadable import ItemUnreadable, read_item
from prism.providers.aws.compute.instance import Ec2Instance, read
from prism.providers.aws.compute.newer_states import NewerStates


class InstanceCache:
    """The last known state of all our machines in a region, with orphans (without our key)."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._lock = cloud, threading.Lock()
        self._newer = NewerStates(cloud.clock)
        self._known: dict[str, Ec2Instance] = {}
        self._noted: dict[str, Ec2Instance] = {}  # machines noted since the current survey began
        self._unreadable: Mapping[str, str] = {}  # by key, at the last survey
        self.listeners: list[Callable[[Sequence[Ec2Instance]], object]] = []
        """Called with the machines of each survey."""

    def survey(self) -> Sequence[Ec2Instance]:
        """List all of them now; those that cannot be read are left out."""
        with self._lock:
            self._noted = {}
        described = self._described([*names.OWN_FILTER])
        listing = self._cloud.unreadable.read_each("InstanceId", described, self._read)
        instances: list[Ec2Instance] = listing.items
        with self._lock:
            self._unreadable = listing.unreadable
            # What other calls have noted meanwhile is newer than the pages.
            self._known = {instance.id: instance for instance in instances} | self._noted
        for listen in self.listeners:
            listen(instances)
        return instances

    def require_readable(self, key: str) -> None:
        """Raise if the last survey had a machine with this key that it could not read."""
        if why := self._unreadable.get(key):
            raise ItemUnreadable(why)

    def note(self, instance: Ec2Instance) -> None:
        """Record a machine that another call has shown."""
        with self._lock:
            self._known[instance.id] = self._noted[instance.id] = instance

    def changed(self, id: str, answer: Answer, hibernate: bool = False) -> None:
        """Record a machine's new state from the answer of a call."""
        before = self._known.get(id)
        if before is not None and (after := self._newer.note(before, answer, hibernate)):
            self.note(after)

    def known(self, id: str) -> Ec2Instance | None:
        """The last known state; makes no call."""
        return self._known.get(id)

    def one(self, id: str) -> Ec2Instance | None:
        """The last known state, else asks EC2; None if EC2 does not know the machine."""
        return self._known.get(id) or self.look(id)

    def look(self, id: str) -> Ec2Instance | None:
        """Ask EC2 for the machine; None if EC2 does not know it (yet).

        Raises `ItemUnreadable` if it exists and cannot be read.
        """
        try:
            answer = self._cloud.call("ec2", "DescribeInstances", InstanceIds=[id])
        except Missing:
            return None
        for reservation in answer["Reservations"]:
            for described in reservation["Instances"]:
                self.note(instance := self._read(described))
                return instance
        return None

    def of_key(self, key: str) -> Ec2Instance | None:
        """The machine with this key, preferably one that is not gone."""
        instances = self._find([{"Name": f"tag:{names.ID_TAG}", "Values": [key]}])
        ours = (instance for instance in instances if instance.key == key)
        return min(ours, key=lambda it: it.gone, default=None)

    def of_request(self, request: str) -> Sequence[Ec2Instance]:
        """Every machine of a spot request."""
        return list(self._find([{"Name": "spot-instance-request-id", "Values": [request]}]))

    def _find(self, filters: list[Any]) -> list[Ec2Instance]:
        return [self._read(described) for described in self._described(filters)]

    def _described(self, filters: list[Any]) -> Iterator[Mapping[str, Any]]:
        pages = self._cloud.pages("ec2", "DescribeInstances", "Reservations", Filters=filters)
        return (instance for reservation in pages for instance in reservation["Instances"])

    def _read(self, described: Mapping[str, Any]) -> Ec2Instance:
        id = str(described.get("InstanceId"))
        with_our_tags = read_item(id, lambda: self._cloud.written.over(id, described))
        return self._newer.over(read(with_our_tags))
