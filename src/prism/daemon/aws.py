"""The routes of AWS accounts: login, identity, permissions, setup, links to AWS's pages."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct
from msgspec.structs import replace

from prism.connections.model import AwsCredentialsMissing
from prism.errors import Problem, ValidationFailed
from prism.kit.actor import Who
from prism.kit.routes import Routes
from prism.profiles.model import Profile
from prism.profiles.providers import AWS
from prism.profiles.service import ProfileService
from prism.providers.aws.account import setup as account_setup
from prism.providers.aws.account.checks import AccountCheck, account_checks
from prism.providers.aws.account.federation import sign_in
from prism.providers.aws.account.identity import partition_of, try_login
from prism.providers.aws.account.leftovers import delete_all, leftovers
from prism.providers.aws.account.permissions import (
    USUAL_CALL,
    Permissions,
    SimulatedCall,
    permissions,
)
from prism.providers.aws.account.policy import OwnMachines, PolicyLimits, policy, setup_policy
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.credentials import LoginKind
from prism.providers.aws.locations import AwsLocations
from prism.providers.aws.prerequisites.keys import has_key, key_of
from prism.providers.aws.prerequisites.roles import lacking


class AwsAccess(Struct, frozen=True, kw_only=True):
    """The AWS identity of a profile, and the permissions that it lacks.

    `how` says how that was found out: IAM `simulated` it, or calls were `tried` without being
    done; then `unknown` are those that cannot be tried.
    `reasons` says which policy denies each. `hint` says how to learn the unknown ones, and
    `problem` why nothing is known.
    """

    profile: str
    aws_profile: str | None
    region: str | None
    account: str | None = None
    identity: str | None = None
    how: Literal["simulated", "tried"] | None = None
    missing: Sequence[str] = ()
    reasons: Sequence[str] = ()
    unknown: Sequence[str] = ()
    checks: Sequence[AccountCheck] = ()
    hint: str | None = None
    note: str | None = None  # what machines cannot do because they have no role
    problem: str | None = None
    remediation: str | None = None


class AwsSetup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to make what an account needs once; by default the active profile's.

    `aws_profile` names a section of AWS's files with other credentials, such as an
    administrator's.
    """

    profile: str | None = None
    aws_profile: str | None = None
    dry_run: bool = False


class AwsSetupAnswer(Struct, frozen=True, kw_only=True):
    """The resources that the account needs, and which of them exist."""

    account: str
    identity: str
    steps: Sequence[account_setup.SetupStep]


class AwsLogin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to log in to AWS again: with the code of an MFA device, or to learn how.

    `aws_profile` names a section of AWS's files, instead of the one of the profile.
    """

    profile: str | None = None
    aws_profile: str | None = None
    code: Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")] | None = None


class AwsLoginAnswer(Struct, frozen=True, kw_only=True):
    """How a profile logs in, and who it is to AWS; `identity` is null until that works.

    `serial` is the MFA device whose code is needed; `command` logs in with AWS's own program.
    """

    aws_profile: str
    kind: LoginKind
    serial: str | None = None
    command: Sequence[str] = ()
    account: str | None = None
    identity: str | None = None
    problem: str | None = None


class AwsLeftover(Struct, frozen=True, kw_only=True):
    """A security group or key pair that Prism has made in an account, or why none are known."""

    profile: str
    region: str | None = None
    kind: str = ""
    id: str = ""
    name: str = ""
    problem: str | None = None


class AwsSetupText(Struct, frozen=True):
    """The setup, as a file for another tool."""

    text: str


class AwsAccessService:
    """Answers questions about AWS; asks AWS for used or named profiles only."""

    def __init__(
        self,
        locations: Callable[[], AwsLocations],
        profiles: ProfileService,
        active: Callable[[], Sequence[Profile]],
        home: Path,
        user: Who,
    ) -> None:
        """`user` returns the name of the caller, which launches write into `prism:user`."""
        self._locations, self._profiles, self._active = locations, profiles, active
        self._home, self._user = home, user

    def accesses(self, name: str | None) -> list[AwsAccess]:
        """The access of the profile with this name, else of all profiles in use."""
        profiles = self._active() if name is None else [self._profiles.named(name)]
        return [self._access(profile) for profile in profiles if profile.provider == AWS]

    def policy(self, kind: str, limits: PolicyLimits) -> dict[str, Any]:
        """A policy for the partition of the profiles in use; makes no request."""
        used = [profile for profile in self._active() if profile.provider == AWS]
        known = [self._locations().identities.known(profile.aws_profile) for profile in used]
        partitions = map(partition_of, used, known)
        partition = min(partitions, default="aws")
        if kind == "setup":
            return setup_policy(partition)
        if limits.role is not None and not ROLE_NAME.fullmatch(limits.role):
            rule = "it is the name of a role without its path: at most 64 letters, digits, +=,.@_-"
            raise ValidationFailed.of(("role", rule))
        return policy(partition, limits=limits)

    def setup(self, request: AwsSetup) -> AwsSetupAnswer:
        """Make what the account needs once, or only list it."""
        profile = self._profiles.named(request.profile) if request.profile else self._aws_profile()
        if request.aws_profile is not None:
            profile = replace(profile, aws_profile=request.aws_profile)
        _, identity = self._locations().cloud_of(profile)
        cloud = self._locations().administrator(profile)
        steps = account_setup.look(cloud) if request.dry_run else account_setup.apply(cloud)
        return AwsSetupAnswer(account=identity.account, identity=identity.arn, steps=steps)

    def log_in(self, request: AwsLogin) -> AwsLoginAnswer:
        """Use a code of an MFA device, if there is one, and try the login."""
        if request.aws_profile is not None:
            aws_profile: str | None = request.aws_profile
        elif request.profile is not None:
            aws_profile = self._profiles.named(request.profile).aws_profile
        else:
            aws_profile = self._aws_profile().aws_profile
        method = try_login(aws_profile, request.code)
        answer: dict[str, Any] = {"aws_profile": method.profile, "kind": method.kind}
        answer |= {"serial": method.serial or None, "command": method.command}
        try:
            identity = self._locations().identities.fresh(aws_profile)
        except Problem as problem:
            return AwsLoginAnswer(**answer, problem=problem.message)
        self._locations().wake()
        return AwsLoginAnswer(**answer, account=identity.account, identity=identity.arn)

    def leftovers(self, *, deleting: bool = False) -> list[AwsLeftover]:
        """The groups and key pairs of this home in AWS; asks only where this home has a key."""
        names = [known.name for known in self._profiles.every() if known.provider == AWS]
        answers: list[AwsLeftover] = []
        for name in filter(partial(has_key, self._home), names):
            try:
                answers += self._leftovers_of(self._profiles.named(name), deleting)
            except Problem as problem:
                answers.append(AwsLeftover(profile=name, problem=problem.message))
        return answers

    def _leftovers_of(self, profile: Profile, deleting: bool) -> list[AwsLeftover]:
        cloud, _ = self._locations().cloud_of(profile)
        items = leftovers(cloud, {key_of(self._home, profile.name).fingerprint})
        done = delete_all(cloud, items) if deleting else items
        return [
            AwsLeftover(
                profile=profile.name,
                region=cloud.region,
                kind=item.kind,
                id=item.id,
                name=item.name,
                problem=item.problem or None,
            )
            for item in done
        ]

    def _aws_profile(self) -> Profile:
        """The active profile, if it leads to AWS."""
        profile = self._profiles.current()
        if profile.provider != AWS:
            raise AwsCredentialsMissing(
                f"Profile {profile.name!r} leads to no AWS account",
                details="the active AWS profile decides which account is used",
                remediation="Use `prism profile switch NAME`, one of `prism profile list`",
            )
        return profile

    def link(self, service: str, token: str | None) -> str:
        """Implements `connections.model.ConsoleLinks`, for the caller's profile."""
        cloud, identity = self._locations().cloud_of(self._aws_profile())
        return sign_in(cloud, identity, service, token)

    def _access(self, profile: Profile) -> AwsAccess:
        base: dict[str, Any] = {"profile": profile.name, "aws_profile": profile.aws_profile}
        base["region"] = profile.region
        try:
            cloud, identity = self._locations().cloud_of(profile)
            base |= {"region": cloud.region, "account": identity.account, "identity": identity.arn}
            call = self._simulated_call(cloud, profile.name)
            check, note = permissions(cloud, identity, call), lacking(cloud)
            self._locations().note(cloud, identity, check)
            checks = account_checks(cloud, launch=partial(self._check_launch, profile.name, check))
        except Problem as problem:
            why = f"{problem.message}: {problem.details}" if problem.details else problem.message
            return AwsAccess(**base, problem=why, remediation=problem.remediation or None)
        base |= {"how": check.how, "missing": check.missing, "unknown": check.unknown}
        base |= {"checks": checks, "reasons": check.reasons, "remediation": check.remediation}
        return AwsAccess(**base, note=note, hint=check.hint)

    def _simulated_call(self, cloud: Cloud, profile: str) -> SimulatedCall:
        from prism.providers.aws.account.launch_check import network_id  # noqa: PLC0415  cold start

        vpc = network_id(cloud, self._home, profile) or USUAL_CALL.vpc
        return SimulatedCall(user=self._user(), vpc=vpc)

    def _check_launch(self, profile: str, check: Permissions, cloud: Cloud) -> AccountCheck:
        from prism.providers.aws.account.launch_check import launch_check  # noqa: PLC0415  the same

        has_policy = check.how == "simulated" and not check.missing
        return launch_check(cloud, self._home, profile, self._user(), has_policy=has_policy)


ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
Access = NamedDependency[AwsAccessService]
RoleName = Annotated[
    str | None,
    QueryParameter(
        description="The role that will have the policy, without its path; `AWSReservedSSO_` and "
        "the name of a permission set, of IAM Identity Center.",
    ),
]
router = Routes("/api/v1/daemon/aws", tags=["daemon"])


@router.get(sync_to_thread=True)
def show_aws_access(
    aws_access: Access,
    profile: Annotated[
        str | None, QueryParameter(description="A profile, also one that nobody works with.")
    ] = None,
) -> list[AwsAccess]:
    """Ask AWS for the daemon's identity and missing permissions."""
    return aws_access.accesses(profile)


@router.get("/policy", sync_to_thread=True)
def show_aws_policy(
    aws_access: Access,
    *,
    kind: Annotated[
        Literal["daily", "setup"],
        QueryParameter(description="What Prism needs each day, or an administrator once."),
    ] = "daily",
    own_machines: Annotated[
        OwnMachines | None,
        QueryParameter(
            description="Only what has the holder's name in `prism:user`: that of the tag of the "
            "IAM principal, or of the IAM user."
        ),
    ] = None,
    role: RoleName = None,
    types: Annotated[
        list[str] | None, QueryParameter(description="Only machines of these types, such as t3.*.")
    ] = None,
    regions: Annotated[
        list[str] | None, QueryParameter(description="Makes and starts only in these regions.")
    ] = None,
    vpcs: Annotated[
        list[str] | None, QueryParameter(description="Machines and groups only in these VPCs.")
    ] = None,
) -> dict[str, Any]:
    """The least policy of IAM that covers every call that Prism makes, with optional limits."""
    limits = PolicyLimits(
        own_machines=own_machines,
        role=role,
        types=tuple(types or ()),
        regions=tuple(regions or ()),
        vpcs=tuple(vpcs or ()),
    )
    return aws_access.policy(kind, limits)


@router.post("/setup", sync_to_thread=True, status_code=200)
def set_aws_up(aws_access: Access, data: JSONBody[AwsSetup]) -> AwsSetupAnswer:
    """Make the role of machines in an account, as its administrator."""
    return aws_access.setup(data)


@router.post("/login", sync_to_thread=True, status_code=200)
def log_in_to_aws(aws_access: Access, data: JSONBody[AwsLogin]) -> AwsLoginAnswer:
    """Log in to AWS with a code of an MFA device, or learn how this profile logs in."""
    return aws_access.log_in(data)


@router.get("/leftovers", sync_to_thread=True)
def show_aws_leftovers(aws_access: Access) -> list[AwsLeftover]:
    """The security groups and key pairs that this home has made in AWS."""
    return aws_access.leftovers()


@router.delete("/leftovers", sync_to_thread=True, status_code=200)
def delete_aws_leftovers(aws_access: Access) -> list[AwsLeftover]:
    """Delete these groups and key pairs, as far as nothing uses them."""
    return aws_access.leftovers(deleting=True)


@router.get("/setup", sync_to_thread=False)
def show_aws_setup(
    tool: Annotated[
        Literal["cloudformation", "terraform"], QueryParameter(name="format")
    ] = "cloudformation",
) -> AwsSetupText:
    """The setup as a file for CloudFormation or Terraform."""
    render = account_setup.terraform if tool == "terraform" else account_setup.cloudformation
    return AwsSetupText(text=render())
