"""EFS: file systems and their mount targets."""

import ipaddress
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from aws_double.ec2.network import subnet_of
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call, World

TAG_PATTERN = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"


@dataclass(slots=True)
class FileSystem:
    """A file system."""

    id: str
    token: str
    made: datetime
    ready: datetime
    args: Tree
    tags: dict[str, str] = field(default_factory=dict)
    leaves: bool = False


@dataclass(slots=True)
class Target:
    """A mount target: where the machines of a zone reach a file system."""

    id: str
    system: str
    subnet: str
    zone: str
    network: str
    ip: str
    interface: str
    groups: list[str]
    ready: datetime
    leaves: bool = False


def _systems(world: World) -> dict[str, FileSystem]:
    return cast(dict[str, FileSystem], world.service_state.setdefault("efs", {}))


def _targets(world: World) -> dict[str, Target]:
    return cast(dict[str, Target], world.service_state.setdefault("efs-targets", {}))


def tags_of(world: World, id: str) -> dict[str, str] | None:
    """The tags of a file system; None if there is none with that id."""
    known = _systems(world).get(id)
    return None if known is None else known.tags


def system_of(world: World, target: str) -> str | None:
    """The file system of a mount target."""
    known = _targets(world).get(target)
    return None if known is None else known.system


def create_file_system(call: Call) -> Tree:
    """CreateFileSystem: a creation token in use is refused, with the id of its file system."""
    world, args = call.world, call.args
    token = args["CreationToken"]
    for system in _systems(world).values():
        if system.token == token:
            raise Refusal(
                "FileSystemAlreadyExists",
                f"File system '{system.id}' already exists with creation token '{token}'",
                409,
                FileSystemId=system.id,
            )
    system = FileSystem(
        world.new_id("fs"),
        token,
        world.now,
        world.after("file_system"),
        args,
        _tags(args),
    )
    _systems(world)[system.id] = system
    world.owner.service_linked.add("efs")
    return _system(world, system)


def _tags(args: Tree) -> dict[str, str]:
    """The tags of a call; EFS allows fewer characters than EC2."""
    for each in args.get("Tags", []):
        for name, most in (("Key", 128), ("Value", 256)):
            if len(each[name]) > most or not all(map(_fits, each[name])):
                raise Refusal(
                    "BadRequest", f"Tag {name.lower()} does not match {TAG_PATTERN}", 400
                )
    return {each["Key"]: each["Value"] for each in args.get("Tags", [])}


def _fits(letter: str) -> bool:
    return letter in "_.:/=+-@" or unicodedata.category(letter)[0] in "LZN"


def _file_system(world: World, id: str) -> FileSystem:
    if (system := _systems(world).get(id)) is None:
        raise Refusal("FileSystemNotFound", f"File system '{id}' does not exist.", 404)
    return system


def describe_file_systems(call: Call) -> Tree:
    """DescribeFileSystems: by id, by creation token, page by page."""
    world, args = call.world, call.args
    systems = list(_systems(world).values())
    if id := args.get("FileSystemId"):
        systems = [_file_system(world, id)]
    if token := args.get("CreationToken"):
        systems = [system for system in systems if system.token == token]
    start, size = int(args.get("Marker") or 0), int(args.get("MaxItems") or 100)
    more = str(start + size) if start + size < len(systems) else None
    listed = [_system(world, system) for system in systems[start : start + size]]
    return {"FileSystems": listed, "NextMarker": more}


def delete_file_system(call: Call) -> Tree:
    """DeleteFileSystem: not while there are mount targets."""
    world = call.world
    system = _file_system(world, call.args["FileSystemId"])
    if any(target.system == system.id for target in _targets(world).values()):
        raise Refusal("FileSystemInUse", f"File system '{system.id}' has mount targets", 409)
    system.leaves = True
    world.alarm(world.after("file_system"), lambda _: _systems(world).pop(system.id, None))
    return {}


def _system(world: World, system: FileSystem) -> Tree:
    state = "available" if system.ready <= world.now else "creating"
    targets = [target for target in _targets(world).values() if target.system == system.id]
    return {
        "OwnerId": world.account,
        "CreationToken": system.token,
        "FileSystemId": system.id,
        "FileSystemArn": _arn(world, system.id),
        "CreationTime": system.made,
        "LifeCycleState": "deleting" if system.leaves else state,
        "Name": system.tags.get("Name"),
        "NumberOfMountTargets": len(targets),
        "SizeInBytes": {"Value": 6144},
        "PerformanceMode": system.args.get("PerformanceMode", "generalPurpose"),
        "Encrypted": system.args.get("Encrypted", False),
        "KmsKeyId": system.args.get("KmsKeyId"),
        "ThroughputMode": system.args.get("ThroughputMode", "bursting"),
        "ProvisionedThroughputInMibps": system.args.get("ProvisionedThroughputInMibps"),
        "Tags": [{"Key": k, "Value": v} for k, v in system.tags.items()],
    }


def _arn(world: World, id: str) -> str:
    place = f"{world.region}:{world.account}"
    return f"arn:aws:elasticfilesystem:{place}:file-system/{id}"


# ------------------------------------------------------------------ mount targets
def create_mount_target(call: Call) -> Tree:
    """CreateMountTarget: one for each zone, all in one VPC, of an available file system."""
    world, args = call.world, call.args
    system = _file_system(world, args["FileSystemId"])
    if system.ready > world.now or system.leaves:
        raise Refusal("IncorrectFileSystemLifeCycleState", f"'{system.id}' is not available", 409)
    try:
        subnet = subnet_of(world, args["SubnetId"])
    except Refusal as refusal:
        raise Refusal("SubnetNotFound", refusal.message) from refusal
    for other in _targets(world).values():
        if other.system != system.id:
            continue
        if other.network != subnet.network:
            why = "requested subnet for new mount target is not in the same VPC as existing ones"
            raise Refusal("MountTargetConflict", why, 409)
        if other.zone == subnet.zone:
            raise Refusal("MountTargetConflict", "mount target already exists in this AZ", 409)
    for group in args.get("SecurityGroups", []):
        if group not in world.groups:
            raise Refusal("SecurityGroupNotFound", f"'{group}' does not exist")
    subnet.used += 1
    start = int(ipaddress.ip_network(subnet.cidr).network_address)
    target = Target(
        world.new_id("fsmt"),
        system.id,
        subnet.id,
        subnet.zone,
        subnet.network,
        args.get("IpAddress") or str(ipaddress.ip_address(start + subnet.used)),
        world.new_id("eni"),
        args.get("SecurityGroups") or _default_group(world, subnet.network),
        world.after("file_system"),
    )
    _targets(world)[target.id] = target
    return _target(world, target)


def _default_group(world: World, network: str) -> list[str]:
    groups = world.groups.values()
    return [group.id for group in groups if (group.name, group.network) == ("default", network)]


def _mount_target(world: World, id: str) -> Target:
    if (target := _targets(world).get(id)) is None:
        raise Refusal("MountTargetNotFound", f"Mount target '{id}' does not exist.", 404)
    return target


def describe_mount_targets(call: Call) -> Tree:
    """DescribeMountTargets: all of a file system, or one."""
    world, args = call.world, call.args
    if id := args.get("MountTargetId"):
        targets = [_mount_target(world, id)]
    else:
        system = _file_system(world, args.get("FileSystemId", ""))
        targets = [target for target in _targets(world).values() if target.system == system.id]
    return {"MountTargets": [_target(world, target) for target in targets]}


def delete_mount_target(call: Call) -> Tree:
    """DeleteMountTarget."""
    world = call.world
    target = _mount_target(world, call.args["MountTargetId"])
    target.leaves = True
    world.alarm(world.after("file_system"), lambda _: _targets(world).pop(target.id, None))
    return {}


def describe_mount_target_security_groups(call: Call) -> Tree:
    """DescribeMountTargetSecurityGroups."""
    return {"SecurityGroups": _mount_target(call.world, call.args["MountTargetId"]).groups}


def modify_mount_target_security_groups(call: Call) -> Tree:
    """ModifyMountTargetSecurityGroups."""
    target = _mount_target(call.world, call.args["MountTargetId"])
    target.groups = call.args.get("SecurityGroups") or _default_group(call.world, target.network)
    return {}


def _target(world: World, target: Target) -> Tree:
    state = "available" if target.ready <= world.now else "creating"
    return {
        "MountTargetId": target.id,
        "FileSystemId": target.system,
        "SubnetId": target.subnet,
        "VpcId": target.network,
        "OwnerId": world.account,
        "LifeCycleState": "deleting" if target.leaves else state,
        "IpAddress": target.ip,
        "NetworkInterfaceId": target.interface,
        "AvailabilityZoneName": target.zone,
    }


# ------------------------------------------------------------------ tags
def tag_resource(call: Call) -> Tree:
    """TagResource."""
    _file_system(call.world, call.args["ResourceId"]).tags.update(_tags(call.args))
    return {}


def untag_resource(call: Call) -> Tree:
    """UntagResource."""
    system = _file_system(call.world, call.args["ResourceId"])
    for key in call.args.get("TagKeys", []):
        system.tags.pop(key, None)
    return {}


def list_tags_for_resource(call: Call) -> Tree:
    """ListTagsForResource."""
    tags = _file_system(call.world, call.args["ResourceId"]).tags
    return {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
