"""The security group: SSH, and ports only where they were asked for, from one address."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.api.tagging import accepting, tagged

SSH = 22
OURS = "prism: where its user comes from"


class IngressRule(NamedTuple):
    """One TCP port that opens to one range."""

    port: int
    cidr: str


def group_name(fingerprint: str, ports: Collection[int]) -> str:
    """One group for each key and set of ports, so that two homes do not shut each other out."""
    more = "".join(f"-{port}" for port in sorted(set(ports) - {SSH}))
    return f"prism-{fingerprint}{more}"


def group(cloud: Cloud, network: str, name: str, cidr: str, ports: Collection[int]) -> str:
    """The group, made where it is missing, open to `cidr` as it is now; its id."""
    said = _find(cloud, network, name)
    if said is None:
        with accepting("InvalidGroup.Duplicate"):  # made meanwhile, or by a lost reply
            cloud.call(
                "ec2",
                "CreateSecurityGroup",
                GroupName=name,
                Description="Prism: lets in whoever launched",
                VpcId=network,
                TagSpecifications=tagged("security-group", name),
            )
        if (said := _find(cloud, network, name)) is None:
            raise Unavailable(f"Security group {name} was made and is not visible yet")
    admit(cloud, said, cidr, ports)
    return str(said["GroupId"])


def groups_of(cloud: Cloud, network: str, fingerprint: str) -> list[Mapping[str, Any]]:
    """Every group of one key, as EC2 describes it."""
    first = group_name(fingerprint, ())
    return list(_described(cloud, network, [first, f"{first}-*"]))


def ports_of(said: Mapping[str, Any]) -> set[int]:
    """The ports that a group of ours is for, by its name."""
    return {SSH, *map(int, said["GroupName"].split("-")[2:])}


def admit(cloud: Cloud, said: Mapping[str, Any], cidr: str, ports: Collection[int]) -> None:
    """Let `cidr` in and our former addresses out; what others have entered stays."""
    there = set(_rules(said, mine=False))
    wanted = {IngressRule(port, cidr) for port in {SSH, *ports}}
    old = set(_rules(said, mine=True)) - wanted
    try:
        with accepting("InvalidPermission.Duplicate"):
            _change(cloud, "AuthorizeSecurityGroupIngress", said["GroupId"], wanted - there)
    except Missing as unseen:
        raise Unavailable(f"Security group {said['GroupName']} is not visible yet") from unseen
    # After the new one is in: no moment in which nobody is let in.
    with accepting("InvalidPermission.NotFound"):
        _change(cloud, "RevokeSecurityGroupIngress", said["GroupId"], old)


def _find(cloud: Cloud, network: str, name: str) -> Mapping[str, Any] | None:
    return next(_described(cloud, network, [name]), None)


def _described(cloud: Cloud, network: str, names: list[str]) -> Any:
    wanted = {"group-name": names, "vpc-id": [network]}
    filters = [{"Name": name, "Values": values} for name, values in wanted.items()]
    return cloud.pages("ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=filters)


def _rules(said: Mapping[str, Any], *, mine: bool) -> Iterable[IngressRule]:
    """Those that open a single TCP port to a range; only ours, or all of them."""
    for permission in said.get("IpPermissions", []):
        low, high = permission.get("FromPort"), permission.get("ToPort")
        if permission["IpProtocol"] == "tcp" and low == high:
            for peer in (*permission.get("IpRanges", []), *permission.get("Ipv6Ranges", [])):
                if not mine or peer.get("Description") == OURS:
                    yield IngressRule(low, peer.get("CidrIp") or peer["CidrIpv6"])


def _change(cloud: Cloud, action: str, group: str, rules: Collection[IngressRule]) -> None:
    if rules:
        said = [_permission(rule) for rule in sorted(rules)]
        cloud.call("ec2", action, GroupId=group, IpPermissions=said)


def _permission(rule: IngressRule) -> dict[str, Any]:
    kind, word = ("Ipv6Ranges", "CidrIpv6") if ":" in rule.cidr else ("IpRanges", "CidrIp")
    peer = {word: rule.cidr, "Description": OURS}
    return {"IpProtocol": "tcp", "FromPort": rule.port, "ToPort": rule.port, kind: [peer]}
