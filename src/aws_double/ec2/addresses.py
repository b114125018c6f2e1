"""Elastic addresses: no client token, so two calls make two."""

from aws_double.ec2 import life, look, tags
from aws_double.ec2.filters import chosen
from aws_double.ec2.launch import new_address
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call


def allocate_address(call: Call) -> Tree:
    """AllocateAddress."""
    id, ip = call.world.new_id("eipalloc"), new_address(call.world)
    address: Tree = {"AllocationId": id, "PublicIp": ip, "Domain": "vpc"}
    own_tags = tags.tag_list(tags.requested(call.args, "elastic-ip"))
    _addresses(call)[id] = {**address, "Tags": own_tags}
    return address


def _addresses(call: Call) -> dict[str, Tree]:
    return call.world.service_state.setdefault("elastic", {})


def _address(call: Call) -> Tree:
    id = call.args.get("AllocationId", "")
    if (address := _addresses(call).get(id)) is None:
        raise Refusal("InvalidAllocationID.NotFound", f"The allocation ID '{id}' does not exist")
    return address


def associate_address(call: Call) -> Tree:
    """AssociateAddress: idempotent."""
    address, instance = _address(call), look.machine(call, call.args["InstanceId"])
    association = address.get("AssociationId") or call.world.new_id("eipassoc")
    address |= {"InstanceId": instance.id, "AssociationId": association}
    instance.address = instance.public_ip = address["PublicIp"]
    life.refresh(call.world, instance.id)
    return {"AssociationId": association}


def disassociate_address(call: Call) -> Tree:
    """DisassociateAddress."""
    association = call.args.get("AssociationId")
    for address in _addresses(call).values():
        if address.get("AssociationId") == association:
            instance = call.world.instances.get(address.pop("InstanceId"))
            address.pop("AssociationId")
            if instance is not None:
                instance.address = instance.public_ip = None
                life.refresh(call.world, instance.id)
            return {}
    raise Refusal("InvalidAssociationID.NotFound", f"'{association}' does not exist")


def release_address(call: Call) -> Tree:
    """ReleaseAddress: not while a machine has it."""
    address = _address(call)
    if address.get("InstanceId") in call.world.instances:
        raise Refusal("InvalidIPAddress.InUse", f"Address {address['PublicIp']} is in use.")
    del _addresses(call)[address["AllocationId"]]
    return {}


def describe_addresses(call: Call) -> Tree:
    """DescribeAddresses."""
    ids = call.args.get("AllocationIds")
    addresses = [address for id, address in _addresses(call).items() if not ids or id in ids]
    fields = {
        "allocation-id": lambda it: it["AllocationId"],
        "public-ip": lambda it: it["PublicIp"],
        "instance-id": lambda it: it.get("InstanceId"),
    }
    addresses = chosen(addresses, call.args, fields, _tags_by_key)
    return {"Addresses": addresses}


def _tags_by_key(address: Tree) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in address["Tags"]}
