"""A machine of EC2, read from what EC2 answers."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from prism.providers.aws.api import tags as names
from prism.providers.aws.api.tags import Tags
from prism.providers.aws.api.unreadable import read_item

STATES = frozenset({"pending", "running", "stopping", "stopped", "shutting-down", "terminated"})
HIBERNATED = "Client.UserInitiatedHibernate"  # it was begun, whatever came of it
WRITTEN_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


class Ec2Instance(Struct, frozen=True, kw_only=True):
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


def read(said: Mapping[str, Any]) -> Ec2Instance:
    """A machine from DescribeInstances or RunInstances; raises `ItemUnreadable` if malformed."""
    return read_item(str(said.get("InstanceId")), lambda: _read(said))


def _read(said: Mapping[str, Any]) -> Ec2Instance:
    tags = names.read(said.get("Tags"))
    if (state := said["State"]["Name"]) not in STATES:
        raise ValueError(f"its state {state!r} is none that EC2 had when this was written")
    if not isinstance(said["LaunchTime"], datetime):
        raise TypeError(f"its LaunchTime is {said['LaunchTime']!r}")
    return Ec2Instance(
        id=said["InstanceId"],
        key=tags.get(names.ID, said["InstanceId"]),
        state=state,
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
    """The time in a StateTransitionReason; None if no `datetime` can hold it (a leap second)."""
    if (found := WRITTEN_AT.search(reason)) is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
