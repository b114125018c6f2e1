"""What EC2 shows of our machines: one paged call for all of them."""

import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from prism.providers.aws import tags as names
from prism.providers.aws.cloud import Cloud
from prism.providers.aws.faults import Missing
from prism.providers.aws.tags import Tags

HIBERNATED = "Client.UserInitiatedHibernate"  # it was begun, whatever came of it
WRITTEN_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


class Instance(Struct, frozen=True, kw_only=True):
    """A machine as EC2 describes it, as far as we look.

    `launched` is EC2's LaunchTime, which is that of the last start: it names the boot.
    `changed` is when EC2 says that its state began to change, where it says so.
    """

    id: str
    key: str
    state: str
    type: str
    zone: str
    launched: datetime
    tags: Tags = {}
    reason: str = ""
    changed: datetime | None = None
    public_ip: str | None = None
    private_ip: str | None = None
    hibernates: bool = False
    spot_request: str | None = None
    key_name: str | None = None
    has_role: bool = True  # an instance profile, with which it may stop itself
    token: str = ""  # of the call that launched it; EC2's own launches have none

    @property
    def boot(self) -> str:
        """The name of the boot that it lives by."""
        return names.instant(self.launched)

    @property
    def asleep(self) -> bool:
        """Whether its memory was to be written down. It may not have been: see `ready`."""
        return self.state == "stopped" and self.reason == HIBERNATED

    @property
    def gone(self) -> bool:
        """Whether it can never come back."""
        return self.state in {"shutting-down", "terminated"}


def read(said: Mapping[str, Any]) -> Instance:
    """A machine from one item of DescribeInstances, or of RunInstances."""
    tags = names.read(said.get("Tags"))
    return Instance(
        id=said["InstanceId"],
        key=tags.get(names.ID, said["InstanceId"]),
        state=said["State"]["Name"],
        type=said["InstanceType"],
        zone=said["Placement"]["AvailabilityZone"],
        launched=said["LaunchTime"],
        tags=tags,
        reason=(said.get("StateReason") or {}).get("Code", ""),
        changed=_written(said.get("StateTransitionReason") or ""),
        public_ip=said.get("PublicIpAddress"),
        private_ip=said.get("PrivateIpAddress"),
        hibernates=(said.get("HibernationOptions") or {}).get("Configured", False),
        spot_request=said.get("SpotInstanceRequestId"),
        key_name=said.get("KeyName"),
        has_role=bool(said.get("IamInstanceProfile")),
        token=said.get("ClientToken") or "",
    )


def _written(reason: str) -> datetime | None:
    """The time in a StateTransitionReason, which has no field of its own."""
    if (found := WRITTEN_AT.search(reason)) is None:
        return None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


class Book:
    """What was seen last of every machine of ours in a region, for whoever needs to know.

    Machines without our key are orphans, and are in it all the same.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._lock = cloud, threading.Lock()
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
        return read(self._cloud.written.over(it["InstanceId"], it))
