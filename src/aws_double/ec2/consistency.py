"""Eventual consistency: what is new, or was changed, is not described at once.

Amazon EC2 Developer Guide, "Eventual consistency in the Amazon EC2 API": the result of a command
"might not be immediately visible to all subsequent commands", and an id that was just answered may
be refused as unknown.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from aws_double.ec2.model import Tags
from aws_double.world import World


class Tagged(Protocol):
    """Something of EC2 that has an id and tags."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def tags(self) -> Tags:
        """Its tags, as they really are."""


class Delayed(Protocol):
    """Something that EC2 finds only from a time on."""

    @property
    def visible(self) -> datetime:
        """From when on."""


def is_visible(world: World, it: Delayed) -> bool:
    """Whether EC2 finds it by now."""
    return it.visible <= world.now


def before_tagging(world: World, id: str, tags: Tags) -> None:
    """The tags of something are about to change: for a while, the old ones are described."""
    earlier = world.earlier_tags.setdefault(id, [])
    last = earlier[-1][0] if earlier else world.now
    until = max(last, world.after("tags"))
    if until > world.now:
        earlier.append((until, dict(tags)))
        world.alarm(until, lambda _: _described_anew(world, id))


def tags_seen(world: World, it: Tagged) -> Tags:
    """The tags of something as EC2 describes them now."""
    return tags_seen_of(world, it.id, it.tags)


def tags_seen_of(world: World, id: str, tags: Tags) -> Tags:
    """The same, of what has this id and really has these tags."""
    earlier = world.earlier_tags.get(id, ())
    return next((old for until, old in earlier if until > world.now), tags)


def is_hidden(world: World, id: str) -> bool:
    """Whether EC2 does not find what has this id, although it is there."""
    kinds: tuple[Mapping[str, Delayed], ...] = (
        world.instances,
        world.volumes,
        world.snapshots,
        world.groups,
    )
    found = next((kind[id] for kind in kinds if id in kind), None)
    return found is not None and not is_visible(world, found)


def _described_anew(world: World, id: str) -> None:
    earlier = [it for it in world.earlier_tags.get(id, ()) if it[0] > world.now]
    world.earlier_tags[id] = earlier
    if not earlier:
        del world.earlier_tags[id]
    if (instance := world.instances.get(id)) is not None:
        instance.xml = None
