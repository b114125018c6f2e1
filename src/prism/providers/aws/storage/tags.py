"""The tags of volumes and snapshots."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prism.errors import Unavailable
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.api.tags import (
    ID_TAG,
    MANAGED,
    NAME_TAG,
    OUR_NAME,
    OWN_FILTER,
    PROJECT,
    USER,
    Tags,
    managed,
)
from prism.storage.ports import SnapshotSpec, StorageMetadata, StorageRefused, VolumeSpec
from prism.workspaces.ports import ProviderRefused

log = logging.getLogger(__name__)
KIND = "prism:kind"  # ebs, efs or snapshot; root disks have none
USED = "prism:used"  # the first machine that had the volume, which may contain data since
SOURCE = "prism:source"  # the source of a snapshot
RESTORED = "prism:restored-from"  # the snapshot that Prism made a volume from
REPLACES = "prism:replaces"  # the empty volume in another zone that a volume was made for
MOUNTED = "prism:mounted"  # the machine that has it mounted; empty after it was unmounted
AT = "prism:at:"  # followed by a machine's id: the mount's name of an EFS file system there
SHOWN = "prism:shown:"  # followed by a machine's id: it has been mounted there
Filters = Sequence[Mapping[str, Any]]


def volume_tags(spec: VolumeSpec) -> Tags:
    """The tags of a new volume."""
    return _spec_tags(spec, kind=spec.kind.value)


def copy_tags(spec: SnapshotSpec) -> Tags:
    """The tags of a new snapshot."""
    return _spec_tags(spec, kind="snapshot", source=spec.source)


def _spec_tags(spec: VolumeSpec | SnapshotSpec, **more: str) -> Tags:
    named = {"name": spec.name, "project": spec.project or "", "user": spec.owner}
    return managed(spec.key, **named, **more) | {NAME_TAG: spec.name}


def known(tags: Tags, **more: Any) -> StorageMetadata:
    """The facts in the tags of a volume or snapshot, for a daemon that has lost its rows."""
    return StorageMetadata(
        name=tags.get(OUR_NAME) or tags.get(NAME_TAG, ""),
        owner=tags.get(USER, ""),
        project=tags.get(PROJECT) or None,
        source=tags.get(SOURCE, ""),
        **more,
    )


def kind_filter(kind: str) -> Filters:
    """The filter for all our resources of a kind."""
    return [*OWN_FILTER, {"Name": f"tag:{KIND}", "Values": [kind]}]


def key_filter(kind: str, key: str) -> Filters:
    """The filter for the resources of a kind with this key."""
    return [*kind_filter(kind), {"Name": f"tag:{ID_TAG}", "Values": [key]}]


def put_back(write: Callable[[Tags], object], id: str, tags: Tags, expected: Tags) -> Tags:
    """Add the tags of `expected` that are missing in `tags`; returns all tags that it should have.

    The daily policy allows this only if the resource still has Prism's tag. Otherwise it stays
    untagged, and Prism knows it by its id.
    """
    lost = {key: value for key, value in expected.items() if key not in tags}
    if lost:
        log.warning("%s has lost tags, written again: %s", id, ", ".join(sorted(lost)))
        try:
            write(lost)
        except ProviderRefused as error:
            log.error("the tags of %s cannot be written again: %s", id, error)
    return {**lost, **tags}


def untagged(id: str, kind: str) -> StorageRefused:
    """The problem of a resource without tags of Prism."""
    return StorageRefused(
        f"{id} has no tags of Prism, so Prism does not change it",
        details="somebody has removed them in AWS, or it was never Prism's",
        remediation=f"Tag it in AWS with `{MANAGED}` = `true` and `{KIND}` = `{kind}`, and Prism "
        "adds the others; or delete it in AWS",
    )


@contextmanager
def refusals() -> Iterator[None]:
    """Turn AWS's refusals into `StorageRefused`; an unknown id becomes `Unavailable`."""
    try:
        yield
    except Missing as unseen:
        raise Unavailable(f"AWS does not know it, or not yet: {unseen.message}") from unseen
    except ProviderRefused as why:
        raise StorageRefused.copied(why) from why


@contextmanager
def unavailable_if_refused() -> Iterator[None]:
    """Turn a refused survey into `Unavailable`: it does not mean that there is nothing."""
    try:
        yield
    except ProviderRefused as why:
        raise Unavailable(why.message, details=why.details, remediation=why.remediation) from why
