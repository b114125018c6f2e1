"""Describing machines: all, some, page by page, fast."""

from typing import Any

from aws_double.ec2.consistency import all_described, as_described, is_visible, tags_seen
from aws_double.ec2.filters import chosen, page
from aws_double.ec2.model import REASONS, STATES, Instance, Volume
from aws_double.ec2.tags import tag_list
from aws_double.refusals import invalid, no_such
from aws_double.shapes import encoded
from aws_double.tree import Tree
from aws_double.world import Call, World

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


def machine(call: Call | World, id: str) -> Instance:
    """The machine with that id, if EC2 already finds it."""
    return machines(call, [id])[0]


def machines(call: Call | World, ids: list[str]) -> list[Instance]:
    """The machines with these ids; raises if one of them is unknown."""
    world = call.world if isinstance(call, Call) else call
    for id in ids:
        if not id.startswith("i-"):
            raise invalid(f'Invalid id: "{id}" (expecting "i-...")')
    instances = [world.instances.get(id) for id in ids]
    known = [
        instance for instance in instances if instance is not None and is_visible(world, instance)
    ]
    if len(known) < len(ids):
        unknown = sorted(set(ids) - {instance.id for instance in known})
        raise no_such("InvalidInstanceID.NotFound", "instance", unknown)
    return known


def describe_instances(call: Call) -> Tree:
    """DescribeInstances."""
    matching, token = _matching(call)
    together: dict[str, list[Any]] = {}
    for instance in matching:
        together.setdefault(instance.reservation, []).append(_xml_of(call.world, instance))
    owner = call.world.account
    listed = [
        {"ReservationId": id, "OwnerId": owner, "Groups": [], "Instances": instances}
        for id, instances in together.items()
    ]
    return {"Reservations": listed, "NextToken": token}


def describe_instance_status(call: Call) -> Tree:
    """DescribeInstanceStatus: running machines, unless all are requested."""
    instances, token = _matching(call)
    if not call.args.get("IncludeAllInstances"):
        instances = [instance for instance in instances if instance.state == "running"]
    return {"InstanceStatuses": [_status(instance) for instance in instances], "NextToken": token}


def _matching(call: Call) -> tuple[list[Instance], str | None]:
    world, args = call.world, call.args
    if ids := args.get("InstanceIds"):
        if args.get("MaxResults") is not None:
            raise invalid("The parameter instancesSet cannot be used with maxResults")
        instances = [
            as_described(world, instance) for instance in machines(call, list(dict.fromkeys(ids)))
        ]
    else:
        instances = list(all_described(world, world.instances, Instance).values())
    instances = chosen(instances, args, FIELDS, lambda it: tags_seen(world, it))
    return page({instance.number: instance for instance in instances}, args)


def reservation(world: World, instances: list[Instance]) -> Tree:
    """What a launch answers."""
    return {
        "ReservationId": instances[0].reservation,
        "OwnerId": world.account,
        "Groups": [],
        "Instances": [description(world, instance) for instance in instances],
    }


def _xml_of(world: World, instance: Instance) -> Any:
    """The machine's description as XML, cached until a change."""
    if instance.xml is None:
        xml = encoded("ec2", "Instance", "item", description(world, instance))
        disks = world.disks(instance.id).values()
        if any(v.attachment and v.attachment.ready > world.now for v in disks):
            return xml
        instance.xml = xml
    return instance.xml


def description(world: World, instance: Instance) -> Tree:
    """A machine as EC2 describes it."""
    return {
        "InstanceId": instance.id,
        "ImageId": instance.image.id,
        "InstanceType": instance.type,
        "State": state(instance),
        "LaunchTime": instance.launched,
        "Architecture": instance.image.architecture,
        "KeyName": instance.key,
        "ClientToken": instance.token or "",
        "Tags": tag_list(tags_seen(world, instance)),
        "HibernationOptions": {"Configured": instance.hibernates},
        "IamInstanceProfile": _profile(world, instance),
        "InstanceLifecycle": "spot" if instance.market else None,
        "SpotInstanceRequestId": instance.spot_request,
        "RootDeviceName": instance.root,
        "BlockDeviceMappings": [
            _device(world, *each) for each in world.disks(instance.id).items()
        ],
        "StateReason": _reason(instance),
        "StateTransitionReason": instance.transition,
        "MetadataOptions": _metadata(instance),
        **_place(world, instance),
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


def _place(world: World, instance: Instance) -> Tree:
    """The machine's zone, addresses and networks."""
    known = [world.groups[id] for id in instance.groups if id in world.groups]
    groups = [{"GroupId": group.id, "GroupName": group.name} for group in known]
    return {
        "Placement": {"AvailabilityZone": instance.zone, "Tenancy": "default", "GroupName": ""},
        "PrivateIpAddress": instance.private_ip or None,
        "PrivateDnsName": _dns("ip", instance.private_ip, f"{world.region}.compute.internal"),
        "PublicIpAddress": instance.public_ip,
        "PublicDnsName": _dns("ec2", instance.public_ip, f"{world.region}.compute.amazonaws.com"),
        "SubnetId": instance.subnet.id,
        "VpcId": instance.subnet.network,
        "SecurityGroups": groups,
        "NetworkInterfaces": _interfaces(world, instance, groups),
    }


def state(instance: Instance) -> Tree:
    """Its state, as word and code."""
    return {"Name": instance.state, "Code": STATES[instance.state]}


def _reason(instance: Instance) -> Tree | None:
    if instance.reason is None or instance.state in {"pending", "running"}:
        return None
    return {"Code": instance.reason, "Message": REASONS[instance.reason]}


def _dns(prefix: str, ip: str | None, domain: str) -> str:
    return f"{prefix}-{ip.replace('.', '-')}.{domain}" if ip else ""


def _profile(world: World, instance: Instance) -> Tree | None:
    if instance.profile is None:
        return None
    arn = f"arn:aws:iam::{world.account}:instance-profile/{instance.profile}"
    return {"Arn": arn, "Id": f"AIPA{instance.id[2:].upper()}"}


def _metadata(instance: Instance) -> Tree:
    options = instance.metadata
    return {
        "State": "applied",
        "HttpTokens": options.get("HttpTokens", "optional"),
        "HttpEndpoint": options.get("HttpEndpoint", "enabled"),
        "HttpPutResponseHopLimit": options.get("HttpPutResponseHopLimit", 1),
        "HttpProtocolIpv6": options.get("HttpProtocolIpv6", "disabled"),
        "InstanceMetadataTags": options.get("InstanceMetadataTags", "disabled"),
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


def _interfaces(world: World, instance: Instance, groups: list[Tree]) -> list[Tree]:
    if instance.state == "terminated":
        return []
    return [
        {
            "NetworkInterfaceId": instance.interface,
            "SubnetId": instance.subnet.id,
            "VpcId": instance.subnet.network,
            "OwnerId": world.account,
            "Status": "in-use",
            "PrivateIpAddress": instance.private_ip,
            "Groups": groups,
            "Association": {"PublicIp": instance.public_ip, "IpOwnerId": "amazon"}
            if instance.public_ip
            else None,
        }
    ]


def _status(instance: Instance) -> Tree:
    ok = instance.state == "running"
    details = {"Name": "reachability", "Status": "passed" if ok else "initializing"}
    checks = {"Status": "ok" if ok else "not-applicable", "Details": [details]}
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.zone,
        "InstanceState": state(instance),
        "InstanceStatus": checks,
        "SystemStatus": checks,
    }
