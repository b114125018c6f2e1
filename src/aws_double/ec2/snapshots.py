"""Snapshots: no client token, so two calls make two."""

from collections.abc import Callable
from typing import Any

from aws_double.ec2 import tags
from aws_double.ec2.consistency import (
    all_described,
    before_changing,
    is_visible,
    tags_seen,
)
from aws_double.ec2.filters import chosen, page
from aws_double.ec2.model import Snapshot
from aws_double.ec2.volumes import volume_of
from aws_double.refusals import Refusal
from aws_double.world import Call, World

Tree = dict[str, Any]
CONCURRENT = {"st1": 1, "sc1": 1}  # in progress, of one volume; of all others 5


def snapshot_of(world: World, id: str) -> Snapshot:
    """One snapshot, or EC2's refusal."""
    if (snapshot := world.snapshots.get(id)) is None or not is_visible(world, snapshot):
        raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{id}' does not exist.")
    return snapshot


def create_snapshot(call: Call) -> Tree:
    """CreateSnapshot: encrypted if its volume is."""
    world, args = call.world, call.args
    volume = volume_of(world, args["VolumeId"])
    soonest = world.now - world.span("snapshot_again")
    if any(it.volume == volume.id and it.made > soonest for it in world.snapshots.values()):
        raise Refusal(
            "SnapshotCreationPerVolumeRateExceeded",
            "The maximum per volume CreateSnapshot request rate has been exceeded. Use an "
            "increasing or variable sleep interval between requests.",
        )
    pending = [
        it for it in world.snapshots.values() if it.volume == volume.id and world.now < it.ready
    ]
    if len(pending) >= CONCURRENT.get(volume.type, 5):
        raise Refusal(
            "ConcurrentSnapshotLimitExceeded",
            f"Maximum allowed in-progress snapshots for a single volume exceeded: {volume.id}",
        )
    it = Snapshot(
        world.new_id("snap"),
        volume.id,
        volume.size,
        volume.encrypted,
        world.now,
        world.after("snapshot"),
        args.get("Description", ""),
        world.account,
        tags.given(args, "snapshot"),
        world.after("unseen"),
    )
    world.snapshots[it.id] = it
    return _snapshot(world, it)


def describe_snapshots(call: Call) -> Tree:
    """DescribeSnapshots: the account's own."""
    world, args = call.world, call.args
    there = all_described(world, world.snapshots, Snapshot)
    ids = args.get("SnapshotIds")
    found = [there.get(id) or snapshot_of(world, id) for id in ids or there]
    if (owners := args.get("OwnerIds")) and not {"self", world.account} & set(owners):
        found = []
    fields: dict[str, Callable[[Snapshot], Any]] = {
        "snapshot-id": lambda it: it.id,
        "volume-id": lambda it: it.volume,
        "status": lambda it: _state(world, it),
        "description": lambda it: it.description,
        "encrypted": lambda it: it.encrypted,
        "owner-id": lambda it: it.owner,
        "volume-size": lambda it: it.size,
    }
    found = chosen(found, args.get("Filters", []), fields, lambda it: tags_seen(world, it))
    order = {id: n for n, id in enumerate(there)}
    found, token = page(found, lambda it: order[it.id], args)
    return {"Snapshots": [_snapshot(world, it) for it in found], "NextToken": token}


def delete_snapshot(call: Call) -> Tree:
    """DeleteSnapshot: not while an image uses it."""
    it = snapshot_of(call.world, call.args["SnapshotId"])
    for image in call.world.images.values():
        if image.snapshot == it.id:
            raise Refusal(
                "InvalidSnapshot.InUse",
                f"The snapshot {it.id} is currently in use by {image.id}",
            )
    before_changing(call.world, it)
    del call.world.snapshots[it.id]
    return {}


def _state(world: World, it: Snapshot) -> str:
    return "completed" if it.ready <= world.now else "pending"


def _snapshot(world: World, it: Snapshot) -> Tree:
    whole = (it.ready - it.made).total_seconds()
    share = 1.0 if it.ready <= world.now else (world.now - it.made).total_seconds() / whole
    return {
        "SnapshotId": it.id,
        "VolumeId": it.volume,
        "VolumeSize": it.size,
        "State": _state(world, it),
        "Progress": f"{int(100 * share)}%",
        "StartTime": it.made,
        "Encrypted": it.encrypted,
        "Description": it.description,
        "OwnerId": it.owner,
        "StorageTier": "standard",
        "Tags": tags.shown(tags_seen(world, it)),
    }
