"""An EC2 machine, parsed from EC2's answers."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from prism.providers.aws.api import tags as names
from prism.providers.aws.api.tags import Tags
from prism.providers.aws.api.unreadable import read_item

KNOWN_STATES = frozenset(
    {"pending", "running", "stopping", "stopped", "shutting-down", "terminated"}
)
HIBERNATED = "Client.UserInitiatedHibernate"  # hibernation began; it may have failed
WRITTEN_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


class Ec2Instance(Struct, frozen=True, kw_only=True):
    """The parts of EC2's description of a machine that Prism uses.

    `launched` is EC2's LaunchTime, the time of the last start; it identifies the boot. `changed`
    is when the state began to change, if EC2 says so. `key` is that of a workspace only if the
    workspace's launch made the machine. Others may have its tags, such as one that AWS Backup
    restored: their own id is their key.
    """

    id: str
    key: str
    state: str
    type: str
    zone: str
    launched: datetime
    tags: Tags = {}
    reason: str = ""
    why: str = ""  # the message of the reason, without its code
    changed: datetime | None = None
    public_ip: str | None = None
    private_ip: str | None = None
    hibernates: bool = False
    spot_request: str | None = None
    key_name: str | None = None
    has_role: bool = True  # its instance profile, with which it can stop itself
    token: str = ""  # the ClientToken of its launch; EC2's own launches have none

    @property
    def boot(self) -> str:
        """The identifier of its current or last boot."""
        return names.instant(self.launched)

    @property
    def asleep(self) -> bool:
        """Whether hibernation was started. It may have failed: see `readiness`."""
        return self.state == "stopped" and self.reason == HIBERNATED

    @property
    def gone(self) -> bool:
        """Whether it is terminated, or being terminated."""
        return self.state in {"shutting-down", "terminated"}


def read(description: Mapping[str, Any]) -> Ec2Instance:
    """A machine from DescribeInstances or RunInstances; raises `ItemUnreadable` if malformed."""
    return read_item(str(description.get("InstanceId")), lambda: _parse(description))


def _parse(description: Mapping[str, Any]) -> Ec2Instance:
    tags, token = names.read(description.get("Tags")), description.get("ClientToken") or ""
    if (state := description["State"]["Name"]) not in KNOWN_STATES:
        raise ValueError(f"its state {state!r} is unknown to this version of Prism")
    if not isinstance(description["LaunchTime"], datetime):
        raise TypeError(f"its LaunchTime is {description['LaunchTime']!r}")
    reason = description.get("StateReason") or {}
    return Ec2Instance(
        id=description["InstanceId"],
        key=_key(tags.get(names.ID_TAG, ""), token, description["InstanceId"]),
        state=state,
        type=description["InstanceType"],
        zone=description["Placement"]["AvailabilityZone"],
        launched=description["LaunchTime"],
        tags=tags,
        reason=reason.get("Code", ""),
        why=reason.get("Message", "").removeprefix(f"{reason.get('Code')}: "),
        changed=_transition_time(description.get("StateTransitionReason") or ""),
        public_ip=description.get("PublicIpAddress"),
        private_ip=description.get("PrivateIpAddress"),
        hibernates=(description.get("HibernationOptions") or {}).get("Configured", False),
        spot_request=description.get("SpotInstanceRequestId"),
        key_name=description.get("KeyName"),
        has_role=bool(description.get("IamInstanceProfile")),
        token=token,
    )


def _key(tagged: str, token: str, id: str) -> str:
    return tagged if tagged and token.startswith(f"{tagged}-") else id


def _transition_time(reason: str) -> datetime | None:
    """The time in a StateTransitionReason; None if no `datetime` can hold it (a leap second)."""
    if (match := WRITTEN_AT.search(reason)) is None:
        return None
    try:
        return datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
