"""Eventual consistency: describe calls do not show new or changed resources at once.

Amazon EC2 Developer Guide, "Eventual consistency in the Amazon EC2 API": the result of a command
"might not be immediately visible to all subsequent commands", and an id that was just answered may
be refused as unknown.
"""

from collections.abc import Mapping
from copy import copy
from datetime import datetime
from typing import Protocol, TypeVar

from aws_double.ec2.model import Instance, Tags, Volume
from aws_double.world import World


class Tagged(Protocol):
    """A resource with an id and tags."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def tags(self) -> Tags:
        """Its tags, as they really are."""


class Delayed(Protocol):
    """A resource that EC2 finds only after some time."""

    @property
    def visible(self) -> datetime:
        """From when on."""


class Changing(Delayed, Protocol):
    """Something whose state calls change."""

    @property
    def id(self) -> str:
        """Its id."""


Thing = TypeVar("Thing", bound=Changing)


def is_visible(world: World, resource: Delayed) -> bool:
    """Whether EC2 finds it by now."""
    return resource.visible <= world.now


def before_tagging(world: World, id: str, tags: Tags) -> None:
    """Call before a change of tags: describe calls show the old ones for some time."""
    earlier = world.earlier_tags.setdefault(id, [])
    last = earlier[-1][0] if earlier else world.now
    until = max(last, world.after("tags"))
    if until > world.now:
        earlier.append((until, dict(tags)))
        world.alarm(until, lambda _: _drop_expired(world, id))


def tags_seen(world: World, resource: Tagged) -> Tags:
    """The tags of a resource as EC2 describes them now."""
    return tags_seen_of(world, resource.id, resource.tags)


def tags_seen_of(world: World, id: str, tags: Tags) -> Tags:
    """The described tags of the resource with this id, which really has these tags."""
    earlier = world.earlier_tags.get(id, ())
    return next((old for until, old in earlier if until > world.now), tags)


def is_hidden(world: World, id: str) -> bool:
    """Whether a resource with this id exists but EC2 does not find it yet."""
    kinds: tuple[Mapping[str, Delayed], ...] = (
        world.instances,
        world.volumes,
        world.snapshots,
        world.groups,
    )
    resource = next((kind[id] for kind in kinds if id in kind), None)
    return resource is not None and not is_visible(world, resource)


def before_changing(world: World, resource: Thing) -> None:
    """Call before a change of state: describe calls show the old one for some time."""
    earlier = world.earlier.setdefault(resource.id, [])
    last = earlier[-1][0] if earlier else world.now
    until = max(last, world.after("states"))
    if until > world.now and is_visible(world, resource):
        earlier.append((until, _copied(resource)))
        world.alarm(until, lambda _: _drop_expired(world, resource.id))
    elif not earlier:
        del world.earlier[resource.id]


def as_described(world: World, resource: Thing) -> Thing:
    """Something as EC2 describes it now."""
    earlier = world.earlier.get(resource.id, ())
    return next((old for until, old in earlier if until > world.now), resource)


def all_described(world: World, known: Mapping[str, Thing], kind: type[Thing]) -> dict[str, Thing]:
    """What EC2 describes of a kind, with resources that were deleted a moment ago."""
    described = {
        id: as_described(world, resource)
        for id, resource in known.items()
        if is_visible(world, resource)
    }
    for id, earlier in world.earlier.items():
        if id not in known:
            for until, old in earlier:
                if until > world.now and isinstance(old, kind):
                    described.setdefault(id, old)
    return described


def _copied(resource: Thing) -> Thing:
    duplicate = copy(resource)
    if isinstance(duplicate, Volume):
        duplicate.attachment = copy(duplicate.attachment)
    if isinstance(duplicate, Instance):
        duplicate.xml = None
    return duplicate


def _drop_expired(world: World, id: str) -> None:
    for history in (world.earlier_tags, world.earlier):
        earlier = [entry for entry in history.get(id, ()) if entry[0] > world.now]
        history[id] = earlier
        if not earlier:
            del history[id]
    if (instance := world.instances.get(id)) is not None:
        instance.xml = None
