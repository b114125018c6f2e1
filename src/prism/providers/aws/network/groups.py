"""Security groups, which open SSH and the ports of a launch to one address."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.api.tagging import accepting, tagged

SSH = 22
OWN_RULE = "prism: where its user comes from"


class IngressRule(NamedTuple):
    """One TCP port, open to one range."""

    port: int
    cidr: str


def group_name(fingerprint: str, ports: Collection[int]) -> str:
    """The name of the group of a key and a set of ports; two homes never share a group."""
    more = "".join(f"-{port}" for port in sorted(set(ports) - {SSH}))
    return f"prism-{fingerprint}{more}"


def group(cloud: Cloud, network: str, name: str, cidr: str, ports: Collection[int]) -> str:
    """The id of the group, which is made if missing, and opened to `cidr`."""
    group = find_or_make(cloud, network, name, "Prism: lets in whoever launched")
    admit(cloud, group, cidr, ports)
    return str(group["GroupId"])


def find_or_make(cloud: Cloud, network: str, name: str, purpose: str) -> Mapping[str, Any]:
    """The group of that name, as EC2 describes it; made, open to nobody, if it is missing."""
    if (group := _find_group(cloud, network, name)) is not None:
        return group
    with accepting("InvalidGroup.Duplicate"):  # made meanwhile, or by a lost reply
        cloud.call(
            "ec2",
            "CreateSecurityGroup",
            GroupName=name,
            Description=purpose,
            VpcId=network,
            TagSpecifications=tagged("security-group", name),
        )
    if (group := _find_group(cloud, network, name)) is None:
        raise Unavailable(f"Security group {name} was made and is not visible yet")
    return group


def groups_of(cloud: Cloud, network: str, fingerprint: str) -> list[Mapping[str, Any]]:
    """Every group of one key, as EC2 describes it."""
    name = group_name(fingerprint, ())
    return list(_describe_groups(cloud, network, [name, f"{name}-*"]))


def ports_of(group: Mapping[str, Any]) -> set[int]:
    """The ports of one of our groups, from its name."""
    return {SSH, *map(int, group["GroupName"].split("-")[2:])}


def admit(cloud: Cloud, group: Mapping[str, Any], cidr: str, ports: Collection[int]) -> None:
    """Open the group to `cidr`, and close it to our former addresses; others' rules stay."""
    present = set(_single_port_rules(group, only_ours=False))
    needed = {IngressRule(port, cidr) for port in {SSH, *ports}}
    former = set(_single_port_rules(group, only_ours=True)) - needed
    try:
        with accepting("InvalidPermission.Duplicate"):
            _change(cloud, "AuthorizeSecurityGroupIngress", group["GroupId"], needed - present)
    except Missing as unseen:
        raise Unavailable(f"Security group {group['GroupName']} is not visible yet") from unseen
    # After adding the new rule, so that the group is never closed to us.
    with accepting("InvalidPermission.NotFound"):
        _change(cloud, "RevokeSecurityGroupIngress", group["GroupId"], former)


def _find_group(cloud: Cloud, network: str, name: str) -> Mapping[str, Any] | None:
    return next(_describe_groups(cloud, network, [name]), None)


def _describe_groups(cloud: Cloud, network: str, names: list[str]) -> Any:
    criteria = {"group-name": names, "vpc-id": [network]}
    filters = [{"Name": name, "Values": values} for name, values in criteria.items()]
    return cloud.pages("ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=filters)


def _single_port_rules(group: Mapping[str, Any], *, only_ours: bool) -> Iterable[IngressRule]:
    """The rules that open a single TCP port to a range; only ours, or all."""
    for permission in group.get("IpPermissions", []):
        low, high = permission.get("FromPort"), permission.get("ToPort")
        if permission["IpProtocol"] == "tcp" and low == high:
            for peer in (*permission.get("IpRanges", []), *permission.get("Ipv6Ranges", [])):
                if not only_ours or peer.get("Description") == OWN_RULE:
                    yield IngressRule(low, peer.get("CidrIp") or peer["CidrIpv6"])


def _change(cloud: Cloud, action: str, group: str, rules: Collection[IngressRule]) -> None:
    if rules:
        permissions = [_ip_permission(rule) for rule in sorted(rules)]
        cloud.call("ec2", action, GroupId=group, IpPermissions=permissions)


def _ip_permission(rule: IngressRule) -> dict[str, Any]:
    kind, word = ("Ipv6Ranges", "CidrIpv6") if ":" in rule.cidr else ("IpRanges", "CidrIp")
    peer = {word: rule.cidr, "Description": OWN_RULE}
    return {"IpProtocol": "tcp", "FromPort": rule.port, "ToPort": rule.port, kind: [peer]}
