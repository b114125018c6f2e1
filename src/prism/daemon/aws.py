"""AWS as the daemon sees it: who it is there, what it may not do, and the way to AWS's pages."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Struct

from prism.connections.model import AwsCredentialsMissing
from prism.errors import Problem
from prism.profiles.model import Profile
from prism.profiles.service import ProfileService
from prism.providers.aws.federation import sign_in
from prism.providers.aws.identity import partition_of
from prism.providers.aws.permissions import permissions
from prism.providers.aws.places import AwsPlaces
from prism.providers.aws.policy import policy


class AwsAccess(Struct, frozen=True, kw_only=True):
    """Who a profile is to AWS and what it lacks of what Prism does.

    `how` says how that was found out: IAM `simulated` it, or calls were `tried` without being
    done; then `unknown` are those that cannot be tried. `problem` says why nobody knows.
    """

    profile: str
    aws_profile: str | None
    region: str | None
    account: str | None = None
    identity: str | None = None
    how: Literal["simulated", "tried"] | None = None
    missing: Sequence[str] = ()
    unknown: Sequence[str] = ()
    problem: str | None = None
    remediation: str | None = None


class AwsDesk:
    """What may be asked about AWS. It asks AWS, for profiles that are used or named only."""

    def __init__(
        self,
        places: Callable[[], AwsPlaces],
        profiles: ProfileService,
        active: Callable[[], Sequence[Profile]],
    ) -> None:
        self._places, self._profiles, self._active = places, profiles, active

    def accesses(self, name: str | None) -> list[AwsAccess]:
        """Of the profile with that name, else of all that somebody works with."""
        profiles = self._active() if name is None else [self._profiles.named(name)]
        return [self._access(it) for it in profiles if it.provider == "aws"]

    def policy(self) -> dict[str, Any]:
        """The least policy, in the words of the partition that somebody works in; asks nobody."""
        used = [it for it in self._active() if it.provider == "aws"]
        known = [self._places().identities.known(it.aws_profile) for it in used]
        partitions = map(partition_of, used, known)
        return policy(min(partitions, default="aws"))

    def link(self, service: str, token: str | None) -> str:
        """Implements `connections.model.Consoles`, for the profile of whoever asks."""
        profile = self._profiles.current()
        if profile.provider != "aws":
            raise AwsCredentialsMissing(
                f"Profile {profile.name!r} leads to no AWS account",
                details="an aws profile that is active says which account is meant",
                remediation="Use `prism profile switch NAME`, one of `prism profile list`",
            )
        cloud, identity = self._places().cloud_of(profile)
        return sign_in(cloud, identity, service, token)

    def _access(self, profile: Profile) -> AwsAccess:
        said: dict[str, Any] = {"profile": profile.name, "aws_profile": profile.aws_profile}
        said["region"] = profile.region
        try:
            cloud, identity = self._places().cloud_of(profile)
            said |= {"region": cloud.region, "account": identity.account, "identity": identity.arn}
            found = permissions(cloud, identity)
            self._places().note(cloud, identity, found)
        except Problem as problem:
            why = f"{problem.message}: {problem.details}" if problem.details else problem.message
            return AwsAccess(**said, problem=why, remediation=problem.remediation or None)
        return AwsAccess(**said, how=found.how, missing=found.missing, unknown=found.unknown)


Desk = NamedDependency[AwsDesk]


@get("", sync_to_thread=True)
def show_aws_access(
    desk: Desk,
    profile: Annotated[
        str | None, QueryParameter(description="A profile, also one that nobody works with.")
    ] = None,
) -> list[AwsAccess]:
    """Who the daemon is to AWS, and which permissions it lacks; asks AWS."""
    return desk.accesses(profile)


@get("/policy", sync_to_thread=True)
def show_aws_policy(desk: Desk) -> dict[str, Any]:
    """The least policy of IAM that covers every call that Prism makes."""
    return desk.policy()


router = Router(
    "/api/v1/daemon/aws", tags=["daemon"], route_handlers=[show_aws_access, show_aws_policy]
)
