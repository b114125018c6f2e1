"""Volumes: made, attached, grown, detached, deleted."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from aws_double.ec2 import life, look, tags
from aws_double.ec2.consistency import all_described, before_changing, is_visible, tags_seen
from aws_double.ec2.filters import chosen, page
from aws_double.ec2.limits import performance
from aws_double.ec2.model import Attachment, Instance, Snapshot, Volume
from aws_double.ec2.network import bad_zone
from aws_double.refusals import Refusal, invalid, missing
from aws_double.tree import Tree
from aws_double.world import Call, World

MOST_ATTACHED = 28


def volume_of(world: World, id: str) -> Volume:
    """One volume, if EC2 knows it by now."""
    volume = world.volumes.get(id)
    if volume is None or not is_visible(world, volume):
        raise Refusal("InvalidVolume.NotFound", f"The volume '{id}' does not exist.")
    return volume


def state_of(world: World, volume: Volume) -> str:
    """The state of the volume now."""
    if volume.attachment is not None:
        return "in-use"
    return "available" if volume.ready <= world.now else "creating"


def create_volume(call: Call) -> Tree:
    """CreateVolume: with a client token, at most once."""
    world, args = call.world, call.args
    if ids := world.tokens.made("CreateVolume", args, call.now):
        return _volume(world, world.volumes[ids[0]])
    if not (zone := args.get("AvailabilityZone")):
        raise missing("zone")
    if zone not in world.zones:
        raise bad_zone(zone)
    source = _source(world, args.get("SnapshotId"))
    if (size := args.get("Size") or (source.size if source else None)) is None:
        raise missing("size")
    if source and size < source.size:
        raise invalid(f"The volume size {size} is smaller than the snapshot's {source.size} GiB")
    kind = args.get("VolumeType") or "gp2"
    iops, throughput = performance(kind, size, args)
    volume = Volume(
        id=world.new_id("vol"),
        zone=zone,
        size=size,
        type=kind,
        encrypted=bool(args.get("Encrypted")) or bool(source and source.encrypted),
        made=world.now,
        ready=world.after("volume"),
        visible=world.after("unseen"),
        iops=iops,
        throughput=throughput,
        snapshot=args.get("SnapshotId") or "",
        token=args.get("ClientToken"),
        kms=args.get("KmsKeyId"),
        tags=tags.requested(args, "volume"),
    )
    world.volumes[volume.id] = volume
    world.tokens.keep("CreateVolume", args, (volume.id,), world.after("token"))
    return _volume(world, volume)


def _source(world: World, id: str | None) -> Snapshot | None:
    if not id:
        return None
    if (snapshot := world.snapshots.get(id)) is None or not is_visible(world, snapshot):
        raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{id}' does not exist.")
    if snapshot.ready > world.now:
        raise Refusal("IncorrectState", f"Snapshot is in invalid state - pending: {id}")
    return snapshot


def delete_volume(call: Call) -> Tree:
    """DeleteVolume: only if it is not attached."""
    volume = volume_of(call.world, call.args["VolumeId"])
    if volume.attachment is not None:
        raise Refusal(
            "VolumeInUse",
            f"Volume {volume.id} is currently attached to {volume.attachment.instance}",
        )
    if volume.ready > call.now:
        raise Refusal("IncorrectState", f"The volume '{volume.id}' is still being created")
    before_changing(call.world, volume)
    del call.world.volumes[volume.id]
    return {}


def describe_volumes(call: Call) -> Tree:
    """DescribeVolumes."""
    world, args = call.world, call.args
    known = all_described(world, world.volumes, Volume)
    ids = args.get("VolumeIds")
    volumes = (
        [known.get(id) or volume_of(world, id) for id in ids] if ids else list(known.values())
    )
    fields: dict[str, Callable[[Volume], Any]] = {
        "volume-id": lambda it: it.id,
        "status": lambda it: state_of(world, it),
        "size": lambda it: it.size,
        "volume-type": lambda it: it.type,
        "encrypted": lambda it: it.encrypted,
        "availability-zone": lambda it: it.zone,
        "snapshot-id": lambda it: it.snapshot,
        "client-token": lambda it: it.token,
        "attachment.instance-id": lambda it: it.attachment and it.attachment.instance,
        "attachment.device": lambda it: it.attachment and it.attachment.device,
        "attachment.status": lambda it: it.attachment and _status(world, it.attachment),
        "attachment.delete-on-termination": lambda it: it.attachment and it.attachment.dies,
    }
    volumes = chosen(volumes, args, fields, lambda it: tags_seen(world, it))
    volumes, token = page(dict(enumerate(volumes)), args)
    return {"Volumes": [_volume(world, volume) for volume in volumes], "NextToken": token}


# ------------------------------------------------------------------ attach, detach
def attach_volume(call: Call) -> Tree:
    """AttachVolume: an available volume in the zone of a running or stopped machine."""
    world, args = call.world, call.args
    volume, machine = volume_of(world, args["VolumeId"]), look.machine(call, args["InstanceId"])
    if volume.attachment is not None:
        raise Refusal("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.ready > world.now:
        raise Refusal("IncorrectState", f"The volume '{volume.id}' is not 'available'.")
    if volume.zone != machine.zone:
        raise Refusal(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance "
            f"'{machine.id}'",
        )
    if machine.state not in {"running", "stopped"} or machine.asleep:
        raise Refusal("IncorrectState", f"Instance '{machine.id}' is not 'running'.")
    _check_device(world, machine, args["Device"])
    before_changing(world, volume)
    at = Attachment(machine.id, args["Device"], world.now, world.after("attaching"), dies=False)
    world.attach(volume, at)
    life.refresh(world, machine.id)
    return _attachment(world, volume, at)


def _check_device(world: World, machine: Instance, device: str) -> None:
    disks = world.disks(machine.id)
    if device in disks:
        raise invalid(
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        )
    if not device.startswith(("/dev/sd", "/dev/xvd")):
        raise invalid(f"Value ({device}) for parameter device is invalid.")
    if len(disks) >= MOST_ATTACHED:
        raise Refusal("AttachmentLimitExceeded", f"At most {MOST_ATTACHED} volumes")


def detach_volume(call: Call) -> Tree:
    """DetachVolume: not the root disk of a running machine."""
    world, args = call.world, call.args
    volume = volume_of(world, args["VolumeId"])
    at = volume.attachment
    if at is None or args.get("InstanceId") not in {None, at.instance}:
        raise Refusal("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
    machine = world.instances[at.instance]
    if at.device == machine.root and machine.state != "stopped":
        raise Refusal(
            "OperationNotPermitted",
            f"Unable to detach root volume '{volume.id}' from instance '{machine.id}'",
        )
    if machine.asleep:
        raise Refusal("IncorrectState", f"Instance '{machine.id}' is hibernated.")
    if at.leaving is None:
        before_changing(world, volume)
        at.leaving = world.after("attaching")
        world.alarm(at.leaving, lambda _: _detach(world, volume, at))
    description = _attachment(world, volume, at)
    world.tick()
    return description


def _detach(world: World, volume: Volume, at: Attachment) -> None:
    if volume.attachment is at:
        world.detach(volume)
        life.refresh(world, at.instance)


# ------------------------------------------------------------------ growth
def modify_volume(call: Call) -> Tree:
    """ModifyVolume: volumes can grow and change their type, but not shrink."""
    world, args = call.world, call.args
    volume = volume_of(world, args["VolumeId"])
    size, kind = args.get("Size") or volume.size, args.get("VolumeType") or volume.type
    if size < volume.size:
        raise invalid("New size cannot be smaller than existing size")
    iops, throughput = performance(kind, size, args)
    volume.modified = {
        "VolumeId": volume.id,
        "ModificationState": "optimizing",
        "OriginalSize": volume.size,
        "TargetSize": size,
        "OriginalVolumeType": volume.type,
        "TargetVolumeType": kind,
        "Progress": 0,
        "StartTime": world.now,
    }
    volume.size, volume.type, volume.iops, volume.throughput = size, kind, iops, throughput
    ends = world.after("volume")
    return {"VolumeModification": _modification(world, volume, ends)}


def describe_volumes_modifications(call: Call) -> Tree:
    """DescribeVolumesModifications: the last one of each volume."""
    world, ids = call.world, call.args.get("VolumeIds")
    volumes = [volume_of(world, id) for id in ids] if ids else list(world.volumes.values())
    listed = [_modification(world, volume, world.now) for volume in volumes if volume.modified]
    return {"VolumesModifications": listed}


def _modification(world: World, volume: Volume, ends: datetime) -> Tree:
    modification = dict(volume.modified or {})
    if ends <= world.now:
        modification |= {"ModificationState": "completed", "Progress": 100, "EndTime": ends}
    return modification


def _status(world: World, at: Attachment) -> str:
    if at.leaving is not None:
        return "detaching"
    return "attached" if at.ready <= world.now else "attaching"


def _attachment(world: World, volume: Volume, at: Attachment) -> Tree:
    return {
        "VolumeId": volume.id,
        "InstanceId": at.instance,
        "Device": at.device,
        "State": _status(world, at),
        "AttachTime": at.at,
        "DeleteOnTermination": at.dies,
    }


def _volume(world: World, volume: Volume) -> Tree:
    at = volume.attachment
    return {
        "VolumeId": volume.id,
        "Size": volume.size,
        "VolumeType": volume.type,
        "State": state_of(world, volume),
        "AvailabilityZone": volume.zone,
        "CreateTime": volume.made,
        "Encrypted": volume.encrypted,
        "KmsKeyId": volume.kms,
        "Iops": volume.iops,
        "Throughput": volume.throughput,
        "SnapshotId": volume.snapshot,
        "Attachments": [_attachment(world, volume, at)] if at else [],
        "MultiAttachEnabled": False,
        "Tags": tags.tag_list(tags_seen(world, volume)),
    }
