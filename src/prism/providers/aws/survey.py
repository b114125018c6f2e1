"""What EC2 shows of our machines: one paged call for all of them."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from prism.providers.aws import tags as names
from prism.providers.aws.cloud import Answer, Cloud
from prism.providers.aws.faults import Missing
from prism.providers.aws.instance import Instance, read
from prism.providers.aws.newer_states import NewerStates


class Book:
    """What was seen last of every machine of ours in a region, for whoever needs to know.

    Machines without our key are orphans, and are in it all the same.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._lock = cloud, threading.Lock()
        self._newer = NewerStates(cloud.clock)
        self._known: dict[str, Instance] = {}
        self._noted: dict[str, Instance] = {}  # since the survey under way began

    def survey(self) -> Sequence[Instance]:
        """Look at all of them, now."""
        with self._lock:
            self._noted = {}
        found = list(self._find([*names.OURS]))
        with self._lock:
            # What was heard while the pages came in is newer than they are.
            self._known = {it.id: it for it in found} | self._noted
        return found

    def note(self, instance: Instance) -> None:
        """Another call has shown one."""
        with self._lock:
            self._known[instance.id] = self._noted[instance.id] = instance

    def changed(self, id: str, answer: Answer, hibernate: bool = False) -> None:
        """A call has answered what state a machine is in now."""
        before = self._known.get(id)
        if before is not None and (after := self._newer.note(before, answer, hibernate)):
            self.note(after)

    def known(self, id: str) -> Instance | None:
        """As it was seen last; asks nobody."""
        return self._known.get(id)

    def one(self, id: str) -> Instance | None:
        """As it was seen last, else as it is; None where EC2 knows no such machine."""
        return self._known.get(id) or self.look(id)

    def look(self, id: str) -> Instance | None:
        """As it is now; None where EC2 knows no such machine, or does not yet."""
        try:
            said = self._cloud.call("ec2", "DescribeInstances", InstanceIds=[id])
        except Missing:
            return None
        for reservation in said["Reservations"]:
            for it in reservation["Instances"]:
                self.note(found := self._read(it))
                return found
        return None

    def of_key(self, key: str) -> Instance | None:
        """The machine that carries this key, the living before those that are gone."""
        found = self._find([{"Name": f"tag:{names.ID}", "Values": [key]}])
        return min(found, key=lambda it: it.gone, default=None)

    def of_request(self, request: str) -> Sequence[Instance]:
        """Every machine that a spot request has brought."""
        return list(self._find([{"Name": "spot-instance-request-id", "Values": [request]}]))

    def _find(self, filters: list[Any]) -> list[Instance]:
        pages = self._cloud.pages("ec2", "DescribeInstances", "Reservations", Filters=filters)
        return [self._read(it) for reservation in pages for it in reservation["Instances"]]

    def _read(self, it: Mapping[str, Any]) -> Instance:
        return self._newer.over(read(self._cloud.written.over(it["InstanceId"], it)))
