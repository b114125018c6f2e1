"""Describing machines: all, some, page by page, fast."""

from typing import Any

from aws_double.ec2.consistency import all_described, as_described, is_visible, tags_seen
from aws_double.ec2.filters import chosen, page
from aws_double.ec2.model import REASONS, STATES, Instance, Volume
from aws_double.ec2.tags import shown
from aws_double.refusals import invalid, no_such
from aws_double.shapes import encoded
from aws_double.world import Call, World

Tree = dict[str, Any]
FIELDS = {
    "instance-id": lambda it: it.id,
    "instance-state-name": lambda it: it.state,
    "instance-state-code": lambda it: STATES[it.state],
    "instance-type": lambda it: it.type,
    "instance-lifecycle": lambda it: "spot" if it.market else None,
    "availability-zone": lambda it: it.zone,
    "client-token": lambda it: it.token,
    "image-id": lambda it: it.image.id,
    "key-name": lambda it: it.key,
    "vpc-id": lambda it: it.subnet.network,
    "subnet-id": lambda it: it.subnet.id,
    "network-interface.subnet-id": lambda it: it.subnet.id,
    "private-ip-address": lambda it: it.private_ip,
    "ip-address": lambda it: it.public_ip,
    "architecture": lambda it: it.image.architecture,
    "reservation-id": lambda it: it.reservation,
    "instance.group-id": lambda it: it.groups,
    "group-id": lambda it: it.groups,
    "hibernation-options.configured": lambda it: it.hibernates,
    "spot-instance-request-id": lambda it: it.spot_request,
    "iam-instance-profile.name": lambda it: it.profile,
    "root-device-name": lambda it: it.root,
    "state-reason-code": lambda it: it.reason,
}


def one(call: Call | World, id: str) -> Instance:
    """The machine of that id, if EC2 knows it by now."""
    return some(call, [id])[0]


def some(call: Call | World, ids: list[str]) -> list[Instance]:
    """The machines of these ids; one unknown id refuses them all."""
    world = call.world if isinstance(call, Call) else call
    for id in ids:
        if not id.startswith("i-"):
            raise invalid(f'Invalid id: "{id}" (expecting "i-...")')
    found = [world.instances.get(id) for id in ids]
    known = [it for it in found if it is not None and is_visible(world, it)]
    if len(known) < len(ids):
        unknown = sorted(set(ids) - {it.id for it in known})
        raise no_such("InvalidInstanceID.NotFound", "instance", unknown)
    return known


def describe_instances(call: Call) -> Tree:
    """DescribeInstances."""
    found, token = _matching(call)
    together: dict[str, list[Any]] = {}
    for it in found:
        together.setdefault(it.reservation, []).append(_kept(call.world, it))
    owner = call.world.account
    listed = [
        {"ReservationId": id, "OwnerId": owner, "Groups": [], "Instances": instances}
        for id, instances in together.items()
    ]
    return {"Reservations": listed, "NextToken": token}


def describe_instance_status(call: Call) -> Tree:
    """DescribeInstanceStatus: running ones, unless all are asked for."""
    found, token = _matching(call)
    if not call.args.get("IncludeAllInstances"):
        found = [it for it in found if it.state == "running"]
    return {"InstanceStatuses": [_status(it) for it in found], "NextToken": token}


def _matching(call: Call) -> tuple[list[Instance], str | None]:
    world, args = call.world, call.args
    if ids := args.get("InstanceIds"):
        if args.get("MaxResults") is not None:
            raise invalid("The parameter instancesSet cannot be used with maxResults")
        found = [as_described(world, it) for it in some(call, list(dict.fromkeys(ids)))]
    else:
        found = list(all_described(world, world.instances, Instance).values())
    found = chosen(found, args.get("Filters", []), FIELDS, lambda it: tags_seen(world, it))
    return page(found, lambda it: it.number, args)


def reservation(world: World, instances: list[Instance]) -> Tree:
    """What a launch answers."""
    return {
        "ReservationId": instances[0].reservation,
        "OwnerId": world.account,
        "Groups": [],
        "Instances": [description(world, it) for it in instances],
    }


def _kept(world: World, it: Instance) -> Any:
    """Its description as XML, made once for each change."""
    if it.xml is None:
        shown = encoded("ec2", "Instance", "item", description(world, it))
        disks = world.disks(it.id).values()
        if any(v.attachment and v.attachment.ready > world.now for v in disks):
            return shown
        it.xml = shown
    return it.xml


def description(world: World, it: Instance) -> Tree:
    """A machine as EC2 describes it."""
    return {
        "InstanceId": it.id,
        "ImageId": it.image.id,
        "InstanceType": it.type,
        "State": state(it),
        "LaunchTime": it.launched,
        "Architecture": it.image.architecture,
        "KeyName": it.key,
        "ClientToken": it.token or "",
        "Tags": shown(tags_seen(world, it)),
        "HibernationOptions": {"Configured": it.hibernates},
        "IamInstanceProfile": _profile(world, it),
        "InstanceLifecycle": "spot" if it.market else None,
        "SpotInstanceRequestId": it.spot_request,
        "RootDeviceName": it.root,
        "BlockDeviceMappings": [_device(world, *each) for each in world.disks(it.id).items()],
        "StateReason": _reason(it),
        "StateTransitionReason": it.transition,
        "MetadataOptions": _metadata(it),
        **_place(world, it),
        **ALWAYS,
    }


ALWAYS = {
    "RootDeviceType": "ebs",
    "Monitoring": {"State": "disabled"},
    "AmiLaunchIndex": 0,
    "EbsOptimized": False,
    "EnaSupport": True,
    "SourceDestCheck": True,
    "Hypervisor": "xen",
    "VirtualizationType": "hvm",
    "PlatformDetails": "Linux/UNIX",
    "UsageOperation": "RunInstances",
}


def _place(world: World, it: Instance) -> Tree:
    """Where it stands, and where it is reached."""
    groups = [{"GroupId": id, "GroupName": world.groups[id].name} for id in it.groups]
    return {
        "Placement": {"AvailabilityZone": it.zone, "Tenancy": "default", "GroupName": ""},
        "PrivateIpAddress": it.private_ip or None,
        "PrivateDnsName": _dns("ip", it.private_ip, f"{world.region}.compute.internal"),
        "PublicIpAddress": it.public_ip,
        "PublicDnsName": _dns("ec2", it.public_ip, f"{world.region}.compute.amazonaws.com"),
        "SubnetId": it.subnet.id,
        "VpcId": it.subnet.network,
        "SecurityGroups": groups,
        "NetworkInterfaces": _interfaces(world, it, groups),
    }


def state(it: Instance) -> Tree:
    """Its state, as word and code."""
    return {"Name": it.state, "Code": STATES[it.state]}


def _reason(it: Instance) -> Tree | None:
    if it.reason is None or it.state in {"pending", "running"}:
        return None
    return {"Code": it.reason, "Message": REASONS[it.reason]}


def _dns(word: str, ip: str | None, domain: str) -> str:
    return f"{word}-{ip.replace('.', '-')}.{domain}" if ip else ""


def _profile(world: World, it: Instance) -> Tree | None:
    if it.profile is None:
        return None
    arn = f"arn:aws:iam::{world.account}:instance-profile/{it.profile}"
    return {"Arn": arn, "Id": f"AIPA{it.id[2:].upper()}"}


def _metadata(it: Instance) -> Tree:
    said = it.metadata
    return {
        "State": "applied",
        "HttpTokens": said.get("HttpTokens", "optional"),
        "HttpEndpoint": said.get("HttpEndpoint", "enabled"),
        "HttpPutResponseHopLimit": said.get("HttpPutResponseHopLimit", 1),
        "HttpProtocolIpv6": said.get("HttpProtocolIpv6", "disabled"),
        "InstanceMetadataTags": said.get("InstanceMetadataTags", "disabled"),
    }


def _device(world: World, device: str, volume: Volume) -> Tree:
    ebs = None
    if (at := volume.attachment) is not None:
        ebs = {
            "VolumeId": volume.id,
            "AttachTime": at.at,
            "DeleteOnTermination": at.dies,
            "Status": "attached" if at.ready <= world.now else "attaching",
        }
    return {"DeviceName": device, "Ebs": ebs}


def _interfaces(world: World, it: Instance, groups: list[Tree]) -> list[Tree]:
    if it.state == "terminated":
        return []
    return [
        {
            "NetworkInterfaceId": it.interface,
            "SubnetId": it.subnet.id,
            "VpcId": it.subnet.network,
            "OwnerId": world.account,
            "Status": "in-use",
            "PrivateIpAddress": it.private_ip,
            "Groups": groups,
            "Association": {"PublicIp": it.public_ip, "IpOwnerId": "amazon"}
            if it.public_ip
            else None,
        }
    ]


def _status(it: Instance) -> Tree:
    ok = it.state == "running"
    details = {"Name": "reachability", "Status": "passed" if ok else "initializing"}
    checks = {"Status": "ok" if ok else "not-applicable", "Details": [details]}
    return {
        "InstanceId": it.id,
        "AvailabilityZone": it.zone,
        "InstanceState": state(it),
        "InstanceStatus": checks,
        "SystemStatus": checks,
    }
