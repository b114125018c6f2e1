"""Which permissions of the daily policy a login lacks: simulated by IAM, or else by dry runs."""

import os
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from prism.errors import Problem
from prism.providers.aws.account.identity import AwsIdentity
from prism.providers.aws.account.policy import (
    ANYTHING,
    IMPLIED,
    MANAGED,
    SSO_ROLE,
    USER,
    Condition,
    PolicyStatement,
    named,
    rules,
)
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.denials import ADVICE, ATTACH, REMOVE
from prism.providers.aws.api.faults import (
    AwsDenied,
    AwsThrottled,
    AwsUnavailable,
    CredentialsMissing,
    Missing,
)
from prism.providers.aws.prerequisites.images import CANONICAL

How = Literal["simulated", "tried"]
AWAY = (AwsThrottled, AwsUnavailable, CredentialsMissing)
USERNAME = "aws:username"
SAMPLE = "0123456789abcdef0"
SSO_PATH = "aws-reserved/sso.amazonaws.com/"
SSO_FIRST = "us-east-1"
TAGS = [{"Key": MANAGED, "Value": "true"}]
DRY_RUN_VOLUME = {"AvailabilityZone": "{region}a", "Size": 1, "VolumeType": "gp3"}
DRY_RUN_GROUP = {"GroupName": "prism-dry-run", "Description": "A dry run"}
DRY_RUN_KEY = {"KeyName": "prism-dry-run", "PublicKeyMaterial": b"ssh-ed25519 AAAA"}
# The kind of resource that a call makes, and what a dry run of the call needs.
MADE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ec2:CreateVolume": ("volume", DRY_RUN_VOLUME),
    "ec2:CreateSecurityGroup": ("security-group", DRY_RUN_GROUP),
    "ec2:ImportKeyPair": ("key-pair", DRY_RUN_KEY),
}
NEEDS_MORE = {"ec2:DescribeSpotPriceHistory"}
USER_TAGS = ("PrincipalTag", "RequestTag", "ResourceTag")
BOOLEAN_KEYS = {"aws:ViaAWSService"}
USUAL_TYPE = "t3.medium"  # for whose launch the check asks
ONESELF = "CheckOneself"  # the statement that allows the simulation itself
REPAIR = "ManageMachinesWithoutTags"  # the statement that a policy for own machines leaves out


class Permissions(Struct, frozen=True, kw_only=True):
    """Missing actions, named as in a policy; `unknown` are those that could not be checked.

    `reasons` says of each missing action which policy denies it. `hint` says how to find out
    what is unknown.
    """

    how: How
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    hint: str | None = None

    @property
    def remediation(self) -> str | None:
        """What helps, or who; None if nothing is missing."""
        if not self.missing:
            return None
        text = " ".join(self.reasons)
        advice = next((advice for kind, advice in ADVICE.items() if kind in text), ATTACH)
        if advice == ATTACH and all("policy denies it" in reason for reason in self.reasons):
            return REMOVE  # what is denied explicitly stays denied, whatever is attached
        return advice


class SimulatedCall(Struct, frozen=True, kw_only=True):
    """What calls would have in common: the name in `prism:user`, and the id of the network."""

    user: str = ""
    vpc: str = f"vpc-{SAMPLE}"


USUAL_CALL = SimulatedCall()


def permissions(
    cloud: Cloud, identity: AwsIdentity, call: SimulatedCall = USUAL_CALL
) -> Permissions:
    """The actions that Prism needs and a login may not call; changes nothing."""
    if identity.arn.endswith(":root"):
        return Permissions(how="simulated")  # IAM policies do not limit the root user
    try:
        return _simulate(cloud, identity, call)
    except AWAY:
        raise
    except Problem:  # the login may not call IAM, or IAM does not know this ARN
        return replace(_try_dry_runs(cloud), hint=_how_to_simulate(identity))


def _how_to_simulate(identity: AwsIdentity) -> str:
    kind, _, rest = identity.arn.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        return f"IAM would tell. {ATTACH}"
    role = rest.partition("/")[0]
    return f"IAM would tell. Attach what `prism aws policy --role {role}` prints"


def principals(identity: AwsIdentity, *sso_regions: str, configured: str = "") -> tuple[str, ...]:
    """The ARNs that IAM may know the caller by: for a session of a role, the role itself.

    A session's ARN lacks the path of its role. AWS's files may have `configured` the role with
    its path. Most roles have none. Those of Identity Center
    are in `aws-reserved/sso.amazonaws.com/`, and if Identity Center is not in us-east-1, in a
    folder of its region there (IAM Identity Center User Guide, "Referencing permission sets in
    resource policies"). `sso_regions` are the regions where it may be, the likeliest first.
    """
    kind, _, rest = identity.arn.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        return (identity.arn,)
    role = rest.partition("/")[0]
    folders = [""]
    root = f"arn:{identity.partition}:iam::{identity.account}:role/"
    if configured.startswith(root) and configured.endswith(f"/{role}"):
        return tuple(dict.fromkeys((configured, f"{root}{role}")))
    if role.startswith(SSO_ROLE):
        regions = [region for region in sso_regions if region]
        known = [f"{SSO_PATH}{name}/" if name != SSO_FIRST else SSO_PATH for name in regions]
        folders = list(dict.fromkeys([*known, SSO_PATH]))
    return tuple(f"{root}{folder}{role}" for folder in folders)


def _simulate(cloud: Cloud, identity: AwsIdentity, call: SimulatedCall) -> Permissions:
    """Ask IAM, by the first of the caller's possible ARNs that it knows."""
    login = cloud.login_method()
    configured = login.role or os.environ.get("AWS_ROLE_ARN", "")
    *likelier, last = principals(identity, login.region, cloud.region, configured=configured)
    for source in likelier:
        try:
            return _simulate_as(source, cloud, identity, call)
        except Missing:
            continue
    return _simulate_as(last, cloud, identity, call)


def _simulate_as(
    source: str, cloud: Cloud, identity: AwsIdentity, call: SimulatedCall
) -> Permissions:
    denied: dict[str, str] = {}
    common = _common_keys(identity, cloud.region, call)
    for rule in rules():
        if rule.sid in {ONESELF, REPAIR}:  # one is proven by this call, one may be left out
            continue
        keys = common | _fulfilled(rule.condition or {}, identity)
        for answer in cloud.pages(
            "iam",
            "SimulatePrincipalPolicy",
            "EvaluationResults",
            PolicySourceArn=source,
            ActionNames=[named(action) for action in rule.actions],
            ResourceArns=_sample_arns(rule, identity, cloud.region, call.vpc),
            ContextEntries=[_context_entry(key, value) for key, value in sorted(keys.items())],
        ):
            if why := _denial(answer):
                denied[answer["EvalActionName"]] = why
    reasons = tuple(f"{action}: {why}" for action, why in sorted(denied.items()))
    return Permissions(how="simulated", missing=tuple(sorted(denied)), reasons=reasons)


def _denial(answer: Mapping[str, Any]) -> str:
    """Why an action is denied, as far as IAM says; empty if it is allowed.

    IAM API Reference, "EvaluationResult": what the organization and the permissions boundary
    allow is beside the decision about the caller's own policies.
    """
    organization = answer.get("OrganizationsDecisionDetail") or {}
    if not organization.get("AllowedByOrganizations", True):
        return "a service control policy of the organization denies it"
    if answer["EvalDecision"] == "allowed":
        return ""
    boundary = answer.get("PermissionsBoundaryDecisionDetail") or {}
    if not boundary.get("AllowedByPermissionsBoundary", True):
        return "the permissions boundary does not allow it"
    explicit = answer["EvalDecision"] == "explicitDeny"
    return "a policy denies it" if explicit else "no policy allows it"


def _sample_arns(rule: PolicyStatement, identity: AwsIdentity, region: str, vpc: str) -> list[str]:
    if rule.resources == ANYTHING:
        return ["*"]
    fields = {"partition": identity.partition, "account": identity.account}
    scope = f":{region}:{identity.account}:"
    return [
        resource.format_map(fields)
        .replace(":*:*:", scope)
        .replace(":*:", f":{region}:")
        .replace("vpc/*", f"vpc/{vpc}")
        .replace("*", SAMPLE)
        for resource in rule.resources
    ]


def _common_keys(identity: AwsIdentity, region: str, call: SimulatedCall) -> dict[str, str]:
    """Condition keys that the limits of `prism aws policy` ask for, as calls would have them.

    The simulation has only the keys that it is given (IAM API Reference,
    "SimulatePrincipalPolicy"). That the holder's own tag `prism:user` is right is assumed; a dry
    run of a launch shows whether it is.
    """
    vpc = f"arn:{identity.partition}:ec2:{region}:{identity.account}:vpc/{call.vpc}"
    keys = {
        "aws:RequestedRegion": region,
        "ec2:InstanceType": USUAL_TYPE,
        "ec2:Vpc": vpc,
        **{f"aws:{kind}/{USER}": call.user for kind in USER_TAGS if call.user},
    }
    if ":user/" in identity.arn:
        keys[USERNAME] = identity.arn.rpartition("/")[2]
    return keys


def _fulfilled(condition: Condition, identity: AwsIdentity) -> dict[str, str]:
    """Keys that fulfil the condition, with the first of its values."""
    canonical = CANONICAL.get(identity.partition, CANONICAL["aws"])
    fields = {
        "partition": identity.partition,
        "account": identity.account,
        "canonical": canonical,
    }
    return {
        key: (value if isinstance(value, str) else value[0]).format_map(fields)
        for keys in condition.values()
        for key, value in keys.items()
    }


def _context_entry(key: str, value: str) -> dict[str, Any]:
    return {
        "ContextKeyName": key,
        "ContextKeyValues": [value],
        "ContextKeyType": "boolean" if key in BOOLEAN_KEYS else "string",
    }


def _try_dry_runs(cloud: Cloud) -> Permissions:
    """The actions that EC2 refuses in dry runs; those that need a machine stay unknown."""
    missing, unknown = dict[str, str](), set()
    for action in sorted({action for rule in rules() for action in rule.actions} - IMPLIED):
        if (arguments := _dry_run_arguments(action, cloud.region)) is None:
            unknown.add(named(action))
            continue
        service, _, name = action.partition(":")
        try:
            cloud.call(service, name, DryRun=True, **arguments)
        except AwsDenied as error:
            missing[named(action)] = error.message.partition(": ")[2] or "AWS does not say why"
        except AWAY:
            raise
        except Problem:  # the action is allowed, and something else was wrong
            continue
    return Permissions(
        how="tried",
        missing=tuple(sorted(missing)),
        unknown=tuple(sorted(unknown)),
        reasons=tuple(f"{action}: {why}" for action, why in sorted(missing.items())),
    )


def _dry_run_arguments(action: str, region: str) -> dict[str, Any] | None:
    """The arguments of a dry run of an action; None if there can be no dry run."""
    if action.startswith("ec2:Describe") and action not in NEEDS_MORE:
        return {}
    if action not in MADE:
        return None
    kind, args = MADE[action]
    filled = {k: v.format(region=region) if isinstance(v, str) else v for k, v in args.items()}
    return {**filled, "TagSpecifications": [{"ResourceType": kind, "Tags": TAGS}]}
