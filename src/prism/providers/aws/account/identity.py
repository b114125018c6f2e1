"""Who we are to AWS: asked once for each login, in the background, and remembered.

Nobody is asked before an aws profile is used. A request waits a few seconds at most for a
first answer, and hardly at all where it failed before: what went wrong is said again while
it is asked anew behind it.
"""

import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any

from msgspec import Struct

from prism.errors import Invalid, Problem, ValidationFailed
from prism.kit.clock import Clock
from prism.profiles.model import Profile
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import (
    AwsUnavailable,
    CredentialsMissing,
    RegionNotEnabled,
    credentials_missing,
)
from prism.providers.aws.unavailable import anew

PATIENCE = 4.0  # seconds that a request waits for the first answer
SHORT = 1.0  # and for the next one, where the last was a failure
AGAIN = timedelta(seconds=10)  # how soon a failure is looked into again
ANYWHERE = "us-east-1"  # who we are is the same in every region of AWS proper
# What the names of its regions begin with; those of China and GovCloud begin otherwise.
PROPER = ("af-", "ap-", "ca-", "eu-", "il-", "me-", "mx-", "sa-", "us-east-", "us-west-")


class RegionMissing(Invalid, code="AWS_REGION_MISSING"):
    """The profile names no region, and neither do AWS's own settings."""


class AwsIdentity(Struct, frozen=True, kw_only=True):
    """The account, and the user or role, that AWS takes us for."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, or that of another cloud of theirs: `aws-cn`, `aws-us-gov`."""
        return self.arn.split(":")[1]


Ask = Callable[[str | None], AwsIdentity]


def ask_aws(aws_profile: str | None) -> AwsIdentity:
    """Ask AWS now, where its own settings point: China and GovCloud know their own only."""
    region = _configured(aws_profile)
    where = region if region in _regions() else ANYWHERE
    try:
        said = Cloud(where or ANYWHERE, aws_profile).call("sts", "GetCallerIdentity")
    except CredentialsMissing:  # perhaps only there: the account may not have enabled that region
        if not where or where == ANYWHERE or not where.startswith(PROPER):
            raise
        said = Cloud(ANYWHERE, aws_profile).call("sts", "GetCallerIdentity")
    return AwsIdentity(account=said["Account"], arn=said["Arn"])


def place_of(account: str, region: str) -> str:
    """The name of the place where an account's machines of one region are."""
    return f"aws:{account}:{region}"


def parts_of(place: str) -> tuple[str, str]:
    """Account and region of a place."""
    _, account, region = place.split(":")
    return account, region


def region_of(profile: Profile) -> str:
    """The profile's region, else AWS's setting; raises `RegionMissing` or `ValidationFailed`."""
    configured = profile.region or _configured(profile.aws_profile)
    found = configured or os.environ.get("AWS_REGION")
    if found and found not in _regions():
        near = get_close_matches(found, _regions(), 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValidationFailed.of(("region", f"{hint}AWS has no region {found!r}"))
    if not found:
        raise RegionMissing(
            f"Profile {profile.name!r} has no region",
            details="AWS's own settings name none either: AWS_DEFAULT_REGION, ~/.aws/config",
            remediation=f"Use `prism profile update {profile.name} --region us-east-1`",
        )
    return found


class LoginStatus(Struct, frozen=True, kw_only=True):
    """What is known of a login; both are null before the first answer."""

    identity: AwsIdentity | None = None
    problem: Problem | None = None
    at: datetime | None = None


def partition_of(profile: Profile, found: LoginStatus) -> str:
    """The partition that a profile leads to: as AWS has said, else by its region; asks nobody."""
    import botocore.session  # noqa: PLC0415  cold start: only who uses AWS pays
    from botocore.exceptions import UnknownRegionError  # noqa: PLC0415  the same

    if found.identity is not None:
        return found.identity.partition
    try:
        said: str = botocore.session.get_session().get_partition_for_region(region_of(profile))
    except (Problem, UnknownRegionError):
        return "aws"
    return said


class Identities:
    """Who each of AWS's profiles is, for everybody who wants to know."""

    def __init__(self, clock: Clock, ask: Ask = ask_aws) -> None:
        self._clock, self._ask = clock, ask
        self._lock = threading.Lock()
        self._found: dict[str | None, LoginStatus] = {}
        self._asking: dict[str | None, threading.Event] = {}  # set once there is an answer
        self.told: list[Callable[[], object]] = []
        """Called after each answer, in the thread that brought it."""

    def known(self, aws_profile: str | None) -> LoginStatus:
        """What is known; nobody is asked."""
        return self._found.get(aws_profile, LoginStatus())

    def begin(self, aws_profile: str | None) -> threading.Event:
        """Ask behind the scenes, unless it is known, on its way, or failed a moment ago."""
        with self._lock:
            if (under_way := self._asking.get(aws_profile)) is not None:
                return under_way
            done = threading.Event()
            if not self._worth_asking(aws_profile):
                done.set()
                return done
            self._asking[aws_profile] = done
        # A daemon's thread: one that waits for a dead network must not keep us from going home.
        who = threading.Thread(target=self._find, args=(aws_profile,), name="aws who", daemon=True)
        who.start()
        return done

    def of(self, aws_profile: str | None, patience: float | None = None) -> AwsIdentity:
        """Who it is; waits once, for a first answer; else raises why nobody knows."""
        if (found := self.known(aws_profile)).identity is not None:
            return found.identity
        done = self.begin(aws_profile)
        waits = PATIENCE if patience is None else patience
        done.wait(waits if found.problem is None else min(waits, SHORT))
        if (found := self.known(aws_profile)).identity is not None:
            return found.identity
        raise anew(found.problem or AwsUnavailable(details="sts:GetCallerIdentity: no answer yet"))

    def fresh(self, aws_profile: str | None) -> AwsIdentity:
        """Ask now, whatever was known, and remember that; for threads that may wait."""
        found = self._found[aws_profile] = self._answer(aws_profile, self._clock.now())
        if found.identity is None:
            raise anew(found.problem or AwsUnavailable())
        return found.identity

    def _answer(self, aws_profile: str | None, now: datetime) -> LoginStatus:
        try:
            return LoginStatus(identity=self._ask(aws_profile), at=now)
        except Problem as problem:
            return LoginStatus(problem=problem, at=now)

    def _worth_asking(self, aws_profile: str | None) -> bool:
        found = self.known(aws_profile)
        if found.identity is not None:
            return False
        return found.at is None or self._clock.now() >= found.at + AGAIN

    def _find(self, aws_profile: str | None) -> None:
        done, now = self._asking[aws_profile], self._clock.now()
        try:
            self._found[aws_profile] = self._answer(aws_profile, now)
        finally:
            with self._lock:
                self._asking.pop(aws_profile)
            done.set()
        for tell in self.told:
            tell()


class OwnCloud(Cloud):
    """A `Cloud` that speaks for one account only.

    Credentials that AWS refuses are looked for anew, and what turns up may be another
    account's. Asked there, none of our machines would exist: all of them would be gone.
    """

    def __init__(
        self, account: str, region: str, aws_profile: str | None, who: Ask, **more: Any
    ) -> None:
        super().__init__(region, aws_profile, **more)
        self._account, self._who, self._closed = account, who, False
        self._sure_of: Any = None

    def call(self, service: str, action: str, /, **arguments: Any) -> dict[str, Any]:
        """Ask, unless the daemon is stopping."""
        if self._closed:
            raise AwsUnavailable(details=f"{service}:{action}: the daemon is stopping")
        try:
            return super().call(service, action, **arguments)
        except CredentialsMissing as no:
            if not is_enabled(self.region, self.aws_profile):
                raise RegionNotEnabled(
                    f"The AWS account has not enabled the region {self.region}",
                    details="AWS takes no credentials of the account there until it is enabled",
                    remediation="Enable it in AWS's console (Account, AWS Regions), or take "
                    "another: `prism profile update --help`",
                ) from no
            raise

    def endpoint(self, service: str) -> str:
        """Where a service is asked."""
        return str(self._client(service).meta.endpoint_url)

    def close(self) -> None:
        """Ask nothing any more."""
        self._closed = True

    def use(self, aws_profile: str | None) -> None:
        """Ask by other credentials of the account from now on."""
        if aws_profile != self.aws_profile:
            self.aws_profile = aws_profile
            self._forget()

    def session(self) -> Any:
        """The session, once it is sure to be of our account."""
        session = super().session()
        if session is not self._sure_of:
            found = self._who(self.aws_profile).account
            if found != self._account:
                self._forget()
                raise of_another(self.aws_profile, self._account, found)
            self._sure_of = session
        return session


def is_enabled(region: str, aws_profile: str | None) -> bool:
    """Whether the account has enabled a region; true as well where nobody can say.

    In a region that is not, EC2 takes good credentials for bad ones (`AuthFailure`); so one is
    asked that always is: AWS General Reference, "Managing AWS Regions".
    """
    if region == ANYWHERE or not region.startswith(PROPER):
        return True
    try:
        said = Cloud(ANYWHERE, aws_profile).call(
            "ec2", "DescribeRegions", RegionNames=[region], AllRegions=True
        )
    except Problem:
        return True
    return all(entry.get("OptInStatus") != "not-opted-in" for entry in said["Regions"])


def of_another(aws_profile: str | None, wanted: str, found: str) -> CredentialsMissing:
    """The credentials are good, but of an account that these machines are not in."""
    whose = f"AWS profile {aws_profile!r}" if aws_profile else "the default credentials"
    return credentials_missing(f"{whose}: of account {found}, and this place is in {wanted}")


@cache
def _regions() -> frozenset[str]:
    """Every region that the SDK knows; asks nobody."""
    import botocore.session  # noqa: PLC0415  cold start: only who uses AWS pays

    session = botocore.session.get_session()
    return frozenset(
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition)
    )


def _configured(aws_profile: str | None) -> str | None:
    import botocore.session  # noqa: PLC0415  cold start: only who uses AWS pays
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415  the same

    try:
        session = botocore.session.Session(profile=aws_profile)
        found: str | None = session.get_config_variable("region")
    except BotoCoreError as error:
        raise credentials_missing(str(error)) from error
    return found
