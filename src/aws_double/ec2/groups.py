"""Security groups, and their rules."""

from typing import Any

from aws_double.ec2 import tags
from aws_double.ec2.consistency import is_visible, tags_seen
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import Entry, Group
from aws_double.ec2.network import default_network, network_of
from aws_double.refusals import Refusal, invalid
from aws_double.tree import Tree
from aws_double.world import Call, World

FIELDS = {
    "group-id": lambda it: it.id,
    "group-name": lambda it: it.name,
    "vpc-id": lambda it: it.network,
    "description": lambda it: it.description,
    "owner-id": lambda it: None,
}


def groups_for(world: World, ids: list[str], names: list[str], network: str) -> list[str]:
    """The ids of a machine's groups in that network; by default, of the default group."""
    in_network = [known for known in _visible(world) if known.network == network]
    groups = [group_of(world, id) for id in ids]
    for name in names:
        groups += [_named(in_network, name)]
    for group in groups:
        if group.network != network:
            raise invalid(
                f"Security group {group.id} and the subnet belong to different networks."
            )
    return [group.id for group in groups or [_named(in_network, "default")]]


def _named(groups: list[Group], name: str) -> Group:
    for group in groups:
        if group.name == name:
            return group
    raise Refusal("InvalidGroup.NotFound", f"The security group '{name}' does not exist")


def group_of(world: World, id: str) -> Group:
    """One group, or EC2's refusal."""
    if (group := world.groups.get(id)) is None or not is_visible(world, group):
        raise Refusal("InvalidGroup.NotFound", f"The security group '{id}' does not exist")
    return group


def _visible(world: World) -> list[Group]:
    return [group for group in world.groups.values() if is_visible(world, group)]


def _requested_group(call: Call) -> Group:
    if id := call.args.get("GroupId"):
        return group_of(call.world, id)
    network = default_network(call.world)
    groups = [group for group in _visible(call.world) if network and group.network == network.id]
    return _named(groups, call.args.get("GroupName", ""))


def create_security_group(call: Call) -> Tree:
    """CreateSecurityGroup: there is no client token, but names are unique."""
    world, args = call.world, call.args
    network = default_network(world)
    if args.get("VpcId"):
        network = network_of(world, args["VpcId"])
    if network is None:
        raise Refusal("VPCIdNotSpecified", "No default VPC for this user")
    name = args["GroupName"]
    if any((other.name, other.network) == (name, network.id) for other in world.groups.values()):
        raise Refusal(
            "InvalidGroup.Duplicate",
            f"The security group '{name}' already exists for VPC '{network.id}'",
        )
    group = Group(world.new_id("sg"), name, network.id, args["Description"])
    group.tags = tags.requested(args, "security-group")
    group.visible = world.after("unseen")
    group.entries.append(Entry(world.new_id("sgr"), "-1", -1, -1, "0.0.0.0/0", outward=True))
    world.groups[group.id] = group
    return {"GroupId": group.id, "Tags": tags.tag_list(group.tags)}


def delete_security_group(call: Call) -> Tree:
    """DeleteSecurityGroup: not while a machine or another group uses it."""
    group = _requested_group(call)
    if group.name == "default":
        raise Refusal("CannotDelete", "the specified group: default cannot be deleted by a user")
    used = any(
        group.id in instance.groups and instance.state != "terminated"
        for instance in call.world.instances.values()
    )
    other_groups = (other for other in call.world.groups.values() if other is not group)
    if used or any(entry.peer == group.id for other in other_groups for entry in other.entries):
        raise Refusal("DependencyViolation", f"resource {group.id} has a dependent object")
    del call.world.groups[group.id]
    return {"Return": True, "GroupId": group.id}


def describe_security_groups(call: Call) -> Tree:
    """DescribeSecurityGroups."""
    world, args = call.world, call.args
    groups = _visible(world)
    if ids := args.get("GroupIds"):
        groups = [group_of(world, id) for id in ids]
    if names := args.get("GroupNames"):
        groups = [_named(groups, name) for name in names]
    groups = chosen(groups, args, FIELDS, lambda it: tags_seen(world, it))
    return {"SecurityGroups": [_group(world, group) for group in groups]}


def describe_security_group_rules(call: Call) -> Tree:
    """DescribeSecurityGroupRules: every entry with its own id and tags."""
    world = call.world
    lines = [(group, entry) for group in _visible(world) for entry in _entries_seen(world, group)]
    if ids := call.args.get("SecurityGroupRuleIds"):
        lines = [line for line in lines if line[1].id in ids]
    fields = {
        "group-id": lambda line: line[0].id,
        "security-group-rule-id": lambda line: line[1].id,
    }
    lines = chosen(lines, call.args, fields, lambda line: line[1].tags)
    return {"SecurityGroupRules": [_rule(world, group, entry) for group, entry in lines]}


# ------------------------------------------------------------------ entries
def authorize_security_group_ingress(call: Call) -> Tree:
    """AuthorizeSecurityGroupIngress: an existing entry is refused as a duplicate."""
    return _authorize(call, outward=False)


def authorize_security_group_egress(call: Call) -> Tree:
    """AuthorizeSecurityGroupEgress."""
    return _authorize(call, outward=True)


def _authorize(call: Call, outward: bool) -> Tree:
    world, group = call.world, _requested_group(call)
    entries = _entries(world, call.args, outward)
    existing = {_identity(known) for known in group.entries}
    for entry in entries:
        if _identity(entry) in existing:
            raise Refusal(
                "InvalidPermission.Duplicate",
                f'the specified rule "peer: {entry.peer}, {entry.protocol.upper()}, from port: '
                f'{entry.low}, to port: {entry.high}, ALLOW" already exists',
            )
        entry.tags = tags.requested(call.args, "security-group-rule")
        entry.visible = world.after("unseen")
    group.entries += entries
    return {"Return": True, "SecurityGroupRules": [_rule(world, group, each) for each in entries]}


def revoke_security_group_ingress(call: Call) -> Tree:
    """RevokeSecurityGroupIngress: by id, or by the fields of the rule."""
    return _revoke(call, outward=False)


def revoke_security_group_egress(call: Call) -> Tree:
    """RevokeSecurityGroupEgress."""
    return _revoke(call, outward=True)


def _revoke(call: Call, outward: bool) -> Tree:
    group = _requested_group(call)
    if ids := call.args.get("SecurityGroupRuleIds"):
        if missing := set(ids) - {entry.id for entry in group.entries}:
            raise Refusal("InvalidSecurityGroupRuleId.NotFound", f"{', '.join(missing)}")
        group.entries = [entry for entry in group.entries if entry.id not in ids]
        return {"Return": True}
    revoked = {_identity(entry) for entry in _entries(call.world, call.args, outward)}
    if revoked - {_identity(entry) for entry in group.entries}:
        raise Refusal(
            "InvalidPermission.NotFound",
            "The specified rule does not exist in this security group.",
        )
    group.entries = [entry for entry in group.entries if _identity(entry) not in revoked]
    return {"Return": True}


def _identity(entry: Entry) -> tuple[Any, ...]:
    return (entry.outward, entry.protocol, entry.low, entry.high, entry.peer)


def _entries(world: World, args: Tree, outward: bool) -> list[Entry]:
    permissions = args.get("IpPermissions") or [
        {
            "IpProtocol": args.get("IpProtocol", "-1"),
            "FromPort": args.get("FromPort", -1),
            "ToPort": args.get("ToPort", -1),
            "IpRanges": [{"CidrIp": args.get("CidrIp", "")}],
        }
    ]
    entries = []
    for each in permissions:
        peers = [(address["CidrIp"], address) for address in each.get("IpRanges", [])]
        peers += [(address["CidrIpv6"], address) for address in each.get("Ipv6Ranges", [])]
        peers += [(pair["GroupId"], pair) for pair in each.get("UserIdGroupPairs", [])]
        for peer, of in peers:
            if not peer:
                raise Refusal("MissingParameter", "The request must name who may call")
            entry = Entry(
                world.new_id("sgr"),
                str(each.get("IpProtocol", "-1")),
                int(each.get("FromPort", -1)),
                int(each.get("ToPort", -1)),
                peer,
                outward,
                of.get("Description", ""),
            )
            entries.append(entry)
    return entries


def _entries_seen(world: World, group: Group) -> list[Entry]:
    return [entry for entry in group.entries if is_visible(world, entry)]


def _group(world: World, group: Group) -> Tree:
    entries = _entries_seen(world, group)
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "VpcId": group.network,
        "OwnerId": world.account,
        "IpPermissions": [_permission(world, e) for e in entries if not e.outward],
        "IpPermissionsEgress": [_permission(world, e) for e in entries if e.outward],
        "Tags": tags.tag_list(tags_seen(world, group)),
    }


def _permission(world: World, entry: Entry) -> Tree:
    description = entry.description or None
    v6, group = ":" in entry.peer, entry.peer.startswith("sg-")
    return {
        "IpProtocol": entry.protocol,
        "FromPort": entry.low if entry.protocol != "-1" else None,
        "ToPort": entry.high if entry.protocol != "-1" else None,
        "IpRanges": [] if v6 or group else [{"CidrIp": entry.peer, "Description": description}],
        "Ipv6Ranges": [{"CidrIpv6": entry.peer, "Description": description}] if v6 else [],
        "UserIdGroupPairs": [{"GroupId": entry.peer, "UserId": world.account}] if group else [],
        "PrefixListIds": [],
    }


def _rule(world: World, group: Group, entry: Entry) -> Tree:
    v6, peer = ":" in entry.peer, entry.peer.startswith("sg-")
    return {
        "SecurityGroupRuleId": entry.id,
        "GroupId": group.id,
        "GroupOwnerId": world.account,
        "IsEgress": entry.outward,
        "IpProtocol": entry.protocol,
        "FromPort": entry.low,
        "ToPort": entry.high,
        "CidrIpv4": None if v6 or peer else entry.peer,
        "CidrIpv6": entry.peer if v6 else None,
        "ReferencedGroupInfo": {"GroupId": entry.peer} if peer else None,
        "Description": entry.description or None,
        "Tags": tags.tag_list(entry.tags),
    }
