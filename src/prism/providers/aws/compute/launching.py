"""The arguments of RunInstances, the one call that makes a machine."""

import math
from typing import Any

from prism.catalog.plan import root_iops
from prism.providers.aws.api import tags as names
from prism.providers.aws.compute.parts import Scripts
from prism.providers.aws.network.subnets import Subnet
from prism.providers.aws.prerequisites.images import ImageChoice, ImageSource
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites
from prism.providers.aws.prerequisites.machine_types import MachineTypeFacts
from prism.workspaces.ports import MachineSpec

Arguments = dict[str, Any]
MIB = 1024


def token(spec: MachineSpec) -> str:
    """The ClientToken, with which a repeated attempt makes no second machine."""
    return f"{spec.key}-{spec.attempt}"


def arguments(
    spec: MachineSpec, prerequisites: AwsLaunchPrerequisites, script: Scripts, subnet: Subnet
) -> Arguments:
    """The arguments of RunInstances; the same spec gets the same ones.

    The disk is encrypted, is deleted with the machine, and has room for the RAM if it may
    hibernate. A shutdown from inside stops the machine and never terminates it.
    """
    kind = prerequisites.kind(spec.instance_type)
    image = prerequisites.image(spec.template.base, spec.instance_type)
    key = prerequisites.key()
    ports = spec.template.ports if spec.open_ports else ()
    request: Arguments = {
        "ClientToken": token(spec),
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": image.id,
        "InstanceType": spec.instance_type,
        "KeyName": key.name,
        "UserData": script(spec, image, key),
        "NetworkInterfaces": [_network_interface(subnet, prerequisites.group(ports))],
        "BlockDeviceMappings": [_root_disk(spec, image, kind)],
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpEndpoint": "enabled",
            "InstanceMetadataTags": "enabled",  # the machine's timer reads `prism:ttl` there
        },
        "InstanceInitiatedShutdownBehavior": "stop",
        "TagSpecifications": _tag_specifications(spec, image),
    }
    if kind.burstable:
        request["CreditSpecification"] = {"CpuCredits": credits_of(spec.unlimited)}
    if spec.hibernation:
        request["HibernationOptions"] = {"Configured": True}
    if spec.spot:
        request["InstanceMarketOptions"] = _spot_options(spec)
    if (role := prerequisites.role()) is not None:
        request["IamInstanceProfile"] = {"Name": role}
    return request


def credits_of(unlimited: bool) -> str:
    """The credit option. The default of T3, T3a and T4g is `unlimited`.

    EC2 User Guide, "Unlimited mode for burstable performance instances": then CPU use beyond the
    baseline costs extra, for each vCPU-hour.
    """
    return "unlimited" if unlimited else "standard"


def login(spec: MachineSpec, image: ImageChoice | ImageSource) -> str:
    """The account to log in as; all files of the workspace are in its home.

    Other accounts may not even read that home (0750 on Ubuntu). The image's own login accepts the
    key too, so that a machine can be repaired.
    """
    return (spec.template.users or (image.user,))[-1]


def root_gb(spec: MachineSpec, image: ImageChoice, kind: MachineTypeFacts) -> int:
    """The size of the root disk: at least as requested, with room for the image and the memory."""
    ram = math.ceil(kind.memory_mib / MIB) if spec.hibernation else 0
    return max(spec.root_gb, image.min_gb + ram)


def _root_disk(spec: MachineSpec, image: ImageChoice, kind: MachineTypeFacts) -> Arguments:
    size = root_gb(spec, image, kind)
    disk: Arguments = {
        "VolumeSize": size,
        "VolumeType": spec.root_type,
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    if (iops := root_iops(spec.root_type, size)) is not None:
        disk["Iops"] = iops
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


def _spot_options(spec: MachineSpec) -> Arguments:
    """The options of a persistent spot request; empty for a machine on demand.

    A machine of a one-time request can never be stopped, and an interruption destroys it with its
    disk. With a persistent request it is only stopped or hibernated; but the request must be
    cancelled before the machine is terminated, else EC2 launches another.
    """
    behaviour = "hibernate" if spec.hibernation else "stop"
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": behaviour}
    return {"MarketType": "spot", "SpotOptions": options}


def _tag_specifications(spec: MachineSpec, image: ImageChoice) -> list[Arguments]:
    tags = {**names.instance_tags(spec), names.LOGIN: login(spec, image)}
    kinds = ["instance", "volume", "network-interface"]
    return names.specified(tags, *kinds, *(["spot-instances-request"] if spec.spot else []))
