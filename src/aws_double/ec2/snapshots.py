"""Snapshots: no client token, so two calls make two."""

from collections.abc import Callable
from typing import Any

from aws_double.ec2 import tags
from aws_double.ec2.consistency import all_described, before_changing, is_visible, tags_seen
from aws_double.ec2.filters import chosen, page
from aws_double.ec2.model import Snapshot
from aws_double.ec2.volumes import volume_of
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call, World

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
    earlier = [known for known in world.snapshots.values() if known.volume == volume.id]
    soonest = world.now - world.span("snapshot_again")
    if any(known.made > soonest for known in earlier):
        raise Refusal(
            "SnapshotCreationPerVolumeRateExceeded",
            "The maximum per volume CreateSnapshot request rate has been exceeded. Use an "
            "increasing or variable sleep interval between requests.",
        )
    pending = sum(world.now < known.ready for known in earlier)
    if pending >= CONCURRENT.get(volume.type, 5):
        raise Refusal(
            "ConcurrentSnapshotLimitExceeded",
            f"Maximum allowed in-progress snapshots for a single volume exceeded: {volume.id}",
        )
    snapshot = Snapshot(
        world.new_id("snap"),
        volume.id,
        volume.size,
        volume.encrypted,
        world.now,
        world.after("snapshot"),
        args.get("Description", ""),
        world.account,
        tags.requested(args, "snapshot"),
        world.after("unseen"),
    )
    world.snapshots[snapshot.id] = snapshot
    return _snapshot(world, snapshot)


def describe_snapshots(call: Call) -> Tree:
    """DescribeSnapshots: the account's own."""
    world, args = call.world, call.args
    known = all_described(world, world.snapshots, Snapshot)
    ids = args.get("SnapshotIds")
    snapshots = [known.get(id) or snapshot_of(world, id) for id in ids or known]
    if (owners := args.get("OwnerIds")) and not {"self", world.account} & set(owners):
        snapshots = []
    fields: dict[str, Callable[[Snapshot], Any]] = {
        "snapshot-id": lambda it: it.id,
        "volume-id": lambda it: it.volume,
        "status": lambda it: _state(world, it),
        "description": lambda it: it.description,
        "encrypted": lambda it: it.encrypted,
        "owner-id": lambda it: it.owner,
        "volume-size": lambda it: it.size,
    }
    snapshots = chosen(snapshots, args, fields, lambda it: tags_seen(world, it))
    snapshots, token = page(dict(enumerate(snapshots)), args)
    return {
        "Snapshots": [_snapshot(world, snapshot) for snapshot in snapshots],
        "NextToken": token,
    }


def delete_snapshot(call: Call) -> Tree:
    """DeleteSnapshot: not while an image uses it."""
    snapshot = snapshot_of(call.world, call.args["SnapshotId"])
    for image in call.world.images.values():
        if image.snapshot == snapshot.id:
            raise Refusal(
                "InvalidSnapshot.InUse",
                f"The snapshot {snapshot.id} is currently in use by {image.id}",
            )
    before_changing(call.world, snapshot)
    del call.world.snapshots[snapshot.id]
    return {}


def _state(world: World, snapshot: Snapshot) -> str:
    return "completed" if snapshot.ready <= world.now else "pending"


def _snapshot(world: World, snapshot: Snapshot) -> Tree:
    whole = (snapshot.ready - snapshot.made).total_seconds()
    share = (
        1.0 if snapshot.ready <= world.now else (world.now - snapshot.made).total_seconds() / whole
    )
    return {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume,
        "VolumeSize": snapshot.size,
        "State": _state(world, snapshot),
        "Progress": f"{int(100 * share)}%",
        "StartTime": snapshot.made,
        "Encrypted": snapshot.encrypted,
        "Description": snapshot.description,
        "OwnerId": snapshot.owner,
        "StorageTier": "standard",
        "Tags": tags.tag_list(tags_seen(world, snapshot)),
    }
