"""What EC2 shows of our machines: one paged call for all of them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prism.providers.aws.api import tags as names
from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.api.unreadable import ItemUnreadable, read_item
from prism.providers.aws.compute.instance import Ec2Instance, read
from prism.providers.aws.compute.newer_states import NewerStates


class InstanceCache:
    """The last known state of all our machines in a region, orphans (without our key) included."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._lock = cloud, threading.Lock()
        self._newer = NewerStates(cloud.clock)
        self._known: dict[str, Ec2Instance] = {}
        self._noted: dict[str, Ec2Instance] = {}  # since the survey under way began
        self._unreadable: Mapping[str, str] = {}  # by key, at the last survey

    def survey(self) -> Sequence[Ec2Instance]:
        """Look at all of them, now. One that cannot be read does not hide the others."""
        with self._lock:
            self._noted = {}
        described = self._described([*names.OURS])
        listed = self._cloud.unreadable.read_each("InstanceId", described, self._read)
        found: list[Ec2Instance] = listed.items
        with self._lock:
            self._unreadable = listed.unreadable
            # What was heard while the pages came in is newer than they are.
            self._known = {instance.id: instance for instance in found} | self._noted
        return found

    def require_readable(self, key: str) -> None:
        """Raise if the last survey has shown a machine with this key that cannot be read."""
        if why := self._unreadable.get(key):
            raise ItemUnreadable(why)

    def note(self, instance: Ec2Instance) -> None:
        """Another call has shown one."""
        with self._lock:
            self._known[instance.id] = self._noted[instance.id] = instance

    def changed(self, id: str, answer: Answer, hibernate: bool = False) -> None:
        """A call has answered what state a machine is in now."""
        before = self._known.get(id)
        if before is not None and (after := self._newer.note(before, answer, hibernate)):
            self.note(after)

    def known(self, id: str) -> Ec2Instance | None:
        """As it was seen last; asks nobody."""
        return self._known.get(id)

    def one(self, id: str) -> Ec2Instance | None:
        """As it was seen last, else as it is; None where EC2 knows no such machine."""
        return self._known.get(id) or self.look(id)

    def look(self, id: str) -> Ec2Instance | None:
        """The machine as it is now; None if EC2 does not know it, or not yet.

        Raises `ItemUnreadable`: what cannot be read is not gone.
        """
        try:
            said = self._cloud.call("ec2", "DescribeInstances", InstanceIds=[id])
        except Missing:
            return None
        for reservation in said["Reservations"]:
            for instance in reservation["Instances"]:
                self.note(found := self._read(instance))
                return found
        return None

    def of_key(self, key: str) -> Ec2Instance | None:
        """The machine that carries this key, the living before those that are gone."""
        found = self._find([{"Name": f"tag:{names.ID}", "Values": [key]}])
        return min(found, key=lambda it: it.gone, default=None)

    def of_request(self, request: str) -> Sequence[Ec2Instance]:
        """Every machine that a spot request has brought."""
        return list(self._find([{"Name": "spot-instance-request-id", "Values": [request]}]))

    def _find(self, filters: list[Any]) -> list[Ec2Instance]:
        return [self._read(described) for described in self._described(filters)]

    def _described(self, filters: list[Any]) -> Iterator[Mapping[str, Any]]:
        pages = self._cloud.pages("ec2", "DescribeInstances", "Reservations", Filters=filters)
        return (instance for reservation in pages for instance in reservation["Instances"])

    def _read(self, described: Mapping[str, Any]) -> Ec2Instance:
        id = str(described.get("InstanceId"))
        said = read_item(id, lambda: self._cloud.written.over(id, described))
        return self._newer.over(read(said))
