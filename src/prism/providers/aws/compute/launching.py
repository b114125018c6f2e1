"""The arguments of RunInstances, the one call that makes a machine."""

import math
from typing import Any

from prism.providers.aws.api import tags as names
from prism.providers.aws.compute.parts import Scripts
from prism.providers.aws.network.subnets import Subnet
from prism.providers.aws.prerequisites.images import ImageChoice, Published
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites
from prism.providers.aws.prerequisites.machine_types import MachineTypeFacts
from prism.workspaces.ports import MachineOrder

Arguments = dict[str, Any]
IOPS = 3000  # of an io2 disk, which has no default; a gp3 disk has as many
NEEDS_IOPS = {"io1", "io2"}
IOPS_PER_GB = 500
MIB = 1024


def token(order: MachineOrder) -> str:
    """The ClientToken, with which a repeated attempt makes no second machine."""
    return f"{order.key}-{order.attempt}"


def arguments(
    order: MachineOrder, prerequisites: AwsLaunchPrerequisites, script: Scripts, subnet: Subnet
) -> Arguments:
    """The arguments of RunInstances; the same order gets the same ones.

    The disk is encrypted, is deleted with the machine, and has room for the RAM if it may
    hibernate. A shutdown from inside stops the machine and never terminates it.
    """
    kind = prerequisites.kind(order.instance_type)
    image = prerequisites.image(order.template.base, order.instance_type)
    key = prerequisites.key()
    ports = order.template.ports if order.open_ports else ()
    request: Arguments = {
        "ClientToken": token(order),
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": image.id,
        "InstanceType": order.instance_type,
        "KeyName": key.name,
        "UserData": script(order, image, key),
        "NetworkInterfaces": [_network_interface(subnet, prerequisites.group(ports))],
        "BlockDeviceMappings": [_root_disk(order, image, kind)],
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpEndpoint": "enabled",
            "InstanceMetadataTags": "enabled",  # the machine's timer reads `prism:ttl` there
        },
        "InstanceInitiatedShutdownBehavior": "stop",
        "TagSpecifications": _tag_specifications(order, image),
    }
    if kind.burstable:
        request["CreditSpecification"] = {"CpuCredits": credits_of(order.unlimited)}
    if order.hibernation:
        request["HibernationOptions"] = {"Configured": True}
    if order.spot:
        request["InstanceMarketOptions"] = _spot_options(order)
    if (role := prerequisites.role()) is not None:
        request["IamInstanceProfile"] = {"Name": role}
    return request


def credits_of(unlimited: bool) -> str:
    """The credit option. The default of T3, T3a and T4g is `unlimited`.

    EC2 User Guide, "Unlimited mode for burstable performance instances": then CPU use beyond the
    baseline costs extra, for each vCPU-hour.
    """
    return "unlimited" if unlimited else "standard"


def login(order: MachineOrder, image: ImageChoice | Published) -> str:
    """The account to log in as; all files of the workspace are in its home.

    Other accounts may not even read that home (0750 on Ubuntu). The image's own login accepts the
    key too, so that a machine can be repaired.
    """
    return (order.template.users or (image.user,))[-1]


def root_gb(order: MachineOrder, image: ImageChoice, kind: MachineTypeFacts) -> int:
    """The size of the root disk: at least as ordered, with room for the image and the memory."""
    ram = math.ceil(kind.memory_mib / MIB) if order.hibernation else 0
    return max(order.root_gb, image.min_gb + ram)


def _root_disk(order: MachineOrder, image: ImageChoice, kind: MachineTypeFacts) -> Arguments:
    size = root_gb(order, image, kind)
    disk: Arguments = {
        "VolumeSize": size,
        "VolumeType": order.root_type,
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    if order.root_type in NEEDS_IOPS:
        disk["Iops"] = min(IOPS, IOPS_PER_GB * size)
    return {"DeviceName": image.root_device, "Ebs": disk}


def _network_interface(subnet: Subnet, group: str) -> Arguments:
    """An interface with a public address, since Prism connects from outside."""
    return {
        "DeviceIndex": 0,
        "SubnetId": subnet.id,
        "Groups": [group],
        "AssociatePublicIpAddress": True,
        "DeleteOnTermination": True,
    }


def _spot_options(order: MachineOrder) -> Arguments:
    """The options of a persistent spot request; empty for a machine on demand.

    A machine of a one-time request can never be stopped, and an interruption destroys it with its
    disk. With a persistent request it is only stopped or hibernated; but the request must be
    cancelled before the machine is terminated, else EC2 launches another.
    """
    behaviour = "hibernate" if order.hibernation else "stop"
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": behaviour}
    return {"MarketType": "spot", "SpotOptions": options}


def _tag_specifications(order: MachineOrder, image: ImageChoice) -> list[Arguments]:
    tags = {**names.instance_tags(order), names.LOGIN: login(order, image)}
    kinds = ["instance", "volume", "network-interface"]
    return names.specified(tags, *kinds, *(["spot-instances-request"] if order.spot else []))
