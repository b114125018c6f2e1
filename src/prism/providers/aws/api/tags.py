"""Tags: facts that Prism writes on its AWS resources, and reads back from them.

Every resource has `prism:managed=true` and `prism:id`, the key of its row, from the call that
makes it. So a crash leaves no resource without an owner, and `recover` needs no database.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from prism.workspaces.ports import MachineSpec

Tags = dict[str, str]
NAME_TAG = "Name"
MANAGED = "prism:managed"
ID_TAG = "prism:id"
OUR_NAME = "prism:name"
TEMPLATE = "prism:template"
PROJECT = "prism:project"
USER = "prism:user"
TTL = "prism:ttl"  # Go duration text, counted from `prism:launched-at`
EXPIRE_ACTION = "prism:expire-action"  # hibernate, or stop
ENDS_AT = "prism:ends-at"  # the expiry that the user set; the budget may make `prism:ttl` earlier
LAUNCHED_AT = "prism:launched-at"  # RFC 3339
IDLE_PROFILE = "prism:idle-profile"
VERSION = "prism:version"
PROFILE = "prism:profile"
ALLOCATION = "prism:allocation"
BUDGET = "prism:budget"
PARAMETERS = "prism:parameters"  # JSON; missing if it does not fit into a tag
ROOT_DISK = "prism:root-disk"  # GB, a space, the type: as requested
LOGIN = "prism:login"  # the account to log in as
CREDITS = "prism:cpu-credits"  # `unlimited`, if that was requested
READY = "prism:ready"  # EC2's LaunchTime of the last start that became ready
BOOT_ID = "prism:boot-id"  # what only the memory of the last boot that became ready has
ASLEEP = "prism:asleep"  # the LaunchTime of the start that ended in hibernation; empty if resumed
MEMORY_LOST = "prism:memory-lost"  # the LaunchTime of a start that booted instead of resuming
GENERATION = "prism:generation"  # the id of the database and its newest event at the last change
FORCED_OFF = "prism:forced-off"  # when a machine that hung was stopped by force
FAILED_TAG = "prism:failed"  # the LaunchTime of a start that failed, a space, the step
CHANGING = {USER, PROJECT, ALLOCATION, BUDGET, IDLE_PROFILE, ENDS_AT}
MAX_TAG_LENGTH = 256
OWN_FILTER = ({"Name": f"tag:{MANAGED}", "Values": ["true"]},)
"""The filter for resources that Prism manages."""

GO_TEXT = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s))+")
GO_PART = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)")
GO_UNITS = {"h": 3600, "m": 60, "s": 1}


def listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The tags in AWS's format, sorted, so that a repeated call is identical."""
    return [{"Key": key, "Value": tags[key][:MAX_TAG_LENGTH]} for key in sorted(tags)]


def read(answered: Iterable[Mapping[str, str]] | None) -> Tags:
    """The tags from AWS's format."""
    return {tag["Key"]: tag["Value"] for tag in answered or ()}


def specified(tags: Mapping[str, str], *kinds: str) -> list[dict[str, Any]]:
    """The `TagSpecifications` of a call that creates resources of these kinds."""
    return [{"ResourceType": kind, "Tags": listed(tags)} for kind in kinds]


def managed(key: str, **more: str | None) -> Tags:
    """Tags of a resource of ours; `more` has names without `prism:`, and None is left out."""
    optional = {f"prism:{name.replace('_', '-')}": value for name, value in more.items()}
    always = {MANAGED: "true", ID_TAG: key, VERSION: version("prism")}
    return always | {name: value for name, value in optional.items() if value is not None}


def instance_tags(spec: MachineSpec) -> Tags:
    """The tags of a machine and its root disk, from the launch on."""
    tags = managed(
        spec.key,
        name=spec.name,
        template=spec.template.name,
        project=spec.project or "",
        user=spec.owner,
        profile=spec.profile,
        allocation=spec.allocation,
        budget=spec.budget,
        idle_profile=spec.idle_profile or "",
    )
    tags |= {NAME_TAG: spec.name, ROOT_DISK: f"{spec.root_gb} {spec.root_type}"}
    if spec.unlimited:
        tags[CREDITS] = "unlimited"
    parameters = json.dumps(spec.parameters, sort_keys=True, separators=(",", ":"))
    if spec.parameters and len(parameters) <= MAX_TAG_LENGTH:
        tags[PARAMETERS] = parameters
    if spec.launched_at is not None:
        tags[LAUNCHED_AT] = instant(spec.launched_at)
        action = "hibernate" if spec.hibernation else "stop"
        tags |= expiry_tags(spec.expires_at, spec.launched_at, action)
    if spec.ends_at is not None:
        tags[ENDS_AT] = instant(spec.ends_at)
    return tags


def changed_facts(known: Tags, spec: MachineSpec) -> tuple[Tags, list[str]]:
    """The changed tags of a launched machine: those to write, and those to remove."""
    new = {
        key: value[:MAX_TAG_LENGTH]
        for key, value in instance_tags(spec).items()
        if key in CHANGING
    }
    written = {key: value for key, value in new.items() if known.get(key) != value}
    return written, sorted(key for key in CHANGING if key in known and key not in new)


def expiry_tags(at: datetime | None, launched_at: datetime, action: str) -> Tags:
    """The tags from which a machine reads when and how to stop itself."""
    if at is None:
        return {}
    return {TTL: duration(at - launched_at), EXPIRE_ACTION: action}


def expires_at(tags: Mapping[str, str]) -> datetime | None:
    """When a machine stops itself, from its tags."""
    launched, ttl = moment(tags.get(LAUNCHED_AT)), span(tags.get(TTL))
    try:
        return None if launched is None or ttl is None else launched + ttl
    except OverflowError:  # after the year 9999
        return None


def parameters_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that a machine was launched with; empty if they did not fit into a tag."""
    try:
        parameters = json.loads(tags.get(PARAMETERS) or "{}")
    except ValueError:
        return {}
    return parameters if isinstance(parameters, dict) else {}


def instant(at: datetime) -> str:
    """The time as RFC 3339, with microseconds unless they are 0."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(text: str | None) -> datetime | None:
    """The time of an RFC 3339 text; None if it is not one."""
    try:
        at = datetime.fromisoformat(text or "")
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def duration(length: timedelta) -> str:
    """The length as in Go, such as `8h0m0s`: at least 0, rounded up to whole seconds."""
    seconds = max(0, -(-length // timedelta(seconds=1)))
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def span(text: str | None) -> timedelta | None:
    """The length of such a text; None if it is not one."""
    if not GO_TEXT.fullmatch(text or ""):
        return None
    parts = GO_PART.findall(text or "")
    try:
        return timedelta(seconds=sum(float(number) * GO_UNITS[unit] for number, unit in parts))
    except OverflowError:
        return None
