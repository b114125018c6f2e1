"""Whether a launch would be allowed: a dry run of RunInstances, with what this home has in EC2.

A dry run asks every policy, also those that no simulation knows: policies of the organization with
conditions, and limits on tags, types and networks (API Reference, "RunInstances", `DryRun`).
"""

from collections.abc import Collection
from pathlib import Path

from prism.errors import Problem
from prism.providers.aws.account.checks import AccountCheck
from prism.providers.aws.account.permissions import USUAL_TYPE
from prism.providers.aws.account.policy import USER
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.denials import ATTACH
from prism.providers.aws.api.faults import AwsDenied
from prism.providers.aws.compute.launching import Arguments, arguments
from prism.providers.aws.network.groups import group_name, groups_of
from prism.providers.aws.prerequisites.free_plan import cheapest, free_types
from prism.providers.aws.prerequisites.keys import KeyPair, has_key
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites
from prism.providers.aws.prerequisites.roles import LOST
from prism.templates.model import DEFAULT_BASE, Template
from prism.workspaces.ports import MachineSpec

NAME = "launch"
FIRST = "not known before the first launch, which makes a security group and a key pair"
WITHOUT_ROLE = f"without its role, so {LOST}"


class _NothingMade(Exception):
    """EC2 has no key pair or security group of this home."""


class _ExistingPrerequisites(AwsLaunchPrerequisites):
    """The key pair and the group of this home, if EC2 has them; makes neither."""

    def key(self) -> KeyPair:
        """The key pair; raises `_NothingMade` if EC2 has none."""
        if not has_key(self._home, self._profile):
            raise _NothingMade
        pair = self.pair()
        filters = [{"Name": "key-name", "Values": [pair.name]}]
        if not self._cloud.call("ec2", "DescribeKeyPairs", Filters=filters)["KeyPairs"]:
            raise _NothingMade
        return pair

    def group(self, ports: Collection[int] = ()) -> str:
        """The id of the group; raises `_NothingMade` if EC2 has none."""
        fingerprint = self.pair().fingerprint
        for group in groups_of(self._cloud, self._network().id, fingerprint):
            if group["GroupName"] == group_name(fingerprint, ports):
                return str(group["GroupId"])
        raise _NothingMade

    @property
    def vpc(self) -> str:
        """The id of the network in which machines are launched."""
        return self._network().id


def network_id(cloud: Cloud, home: Path, profile: str) -> str | None:
    """The network in which a profile launches machines; None if it is not known."""
    try:
        return _ExistingPrerequisites(cloud, home, profile).vpc
    except Problem:
        return None


def launch_check(
    cloud: Cloud, home: Path, profile: str, user: str, *, has_policy: bool = False
) -> AccountCheck:
    """Ask EC2 whether `user` may launch a usual machine; makes nothing.

    `has_policy` says that a simulation has found no missing permission.
    """
    prerequisites = _ExistingPrerequisites(cloud, home, profile)
    kind = _usual_type(cloud)
    spec = MachineSpec(
        key="ws_check",
        name="check",
        owner=user,
        profile=profile,
        template=Template(name="check", base=DEFAULT_BASE),
        instance_type=kind,
        root_gb=20,
        hibernation=False,
    )
    try:
        subnet = prerequisites.subnets(kind, spec.key)[0]
        request = arguments(spec, prerequisites, lambda *_, **__: b"", subnet)
    except _NothingMade:
        return AccountCheck(name=NAME, ok=None, message=FIRST)
    if (denied := _denial(cloud, request)) is None:
        return AccountCheck(name=NAME, ok=True, message=f"a {kind} would be allowed")
    without_role = {key: value for key, value in request.items() if key != "IamInstanceProfile"}
    if without_role != request and _denial(cloud, without_role) is None:  # as a launch does
        return AccountCheck(
            name=NAME,
            ok=True,
            message=f"a {kind} would be allowed, but {WITHOUT_ROLE}: {denied.message}",
            remediation=denied.remediation,
        )
    return AccountCheck(
        name=NAME,
        ok=False,
        message=f"a {kind} for {user} is refused: {denied.message}",
        remediation=_advice(denied, kind, user, has_policy=has_policy),
    )


def _advice(denied: AwsDenied, kind: str, user: str, *, has_policy: bool) -> str:
    """What helps; a policy that is there already can only fail by its limits."""
    if not has_policy or denied.remediation != ATTACH:
        return denied.remediation
    return (
        f"If the policy was printed with `--own-machines`, the tag {USER} of your IAM user or "
        f"role must be {user}; with `--types`, it must allow {kind}"
    )


def _usual_type(cloud: Cloud) -> str:
    """The usual type, or a small one if the account has AWS's Free plan."""
    try:
        included = free_types(cloud)
    except Problem:
        return USUAL_TYPE
    if included is None or USUAL_TYPE in included or (small := cheapest(included)) is None:
        return USUAL_TYPE
    return small.name


def _denial(cloud: Cloud, request: Arguments) -> AwsDenied | None:
    """Why a dry run is denied; None if it is allowed."""
    try:
        cloud.call("ec2", "RunInstances", DryRun=True, **request)
    except AwsDenied as denied:
        return denied
    return None
