"""The AWS identity of each login: looked up once, in the background, and remembered.

AWS is not asked before an aws profile is used. A request waits at most a few seconds for the
first answer. After a failed call it waits one second at most, and raises the last error if
the new call has not answered by then.
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
from prism.providers.aws.api.credentials import CredentialChain, LoginMethod
from prism.providers.aws.api.faults import (
    CREDENTIAL_CODES,
    AwsUnavailable,
    CredentialsMissing,
    RegionNotEnabled,
    code_of,
    credentials_missing,
)
from prism.providers.aws.unavailable import anew

FIRST_ANSWER_TIMEOUT = 4.0  # seconds that a request waits for AWS's first answer
RETRY_TIMEOUT = 1.0  # seconds that a request waits if the last call failed
RETRY_AFTER = timedelta(seconds=10)  # before a failed call is repeated
DEFAULT_REGION = "us-east-1"  # every region of the partition `aws` returns the same identity
# Prefixes of the regions of the partition `aws`; China and GovCloud are other partitions.
PREFIXES = ("af-", "ap-", "ca-", "eu-", "il-", "me-", "mx-", "sa-", "us-east-", "us-west-")


class RegionMissing(Invalid, code="AWS_REGION_MISSING"):
    """Neither the profile nor AWS's own settings name a region."""


class AwsIdentity(Struct, frozen=True, kw_only=True):
    """The account, and the user or role, to which the credentials belong."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` (China) or `aws-us-gov` (GovCloud)."""
        return self.arn.split(":")[1]


Ask = Callable[[str | None], AwsIdentity]


def ask_aws(aws_profile: str | None) -> AwsIdentity:
    """Ask AWS in the configured region: China and GovCloud know only their own logins."""
    region = _configured_region(aws_profile)
    sts_region = region if region in _regions() else DEFAULT_REGION
    try:
        caller = Cloud(sts_region or DEFAULT_REGION, aws_profile).call("sts", "GetCallerIdentity")
    except CredentialsMissing as error:  # perhaps the account has not enabled this region
        another = sts_region and sts_region != DEFAULT_REGION and sts_region.startswith(PREFIXES)
        if not another or code_of(error) not in CREDENTIAL_CODES:
            raise
        caller = Cloud(DEFAULT_REGION, aws_profile).call("sts", "GetCallerIdentity")
    return AwsIdentity(account=caller["Account"], arn=caller["Arn"])


def try_login(aws_profile: str | None, code: str | None) -> LoginMethod:
    """How a profile logs in; uses the code of an MFA device, or raises what AWS says to it."""
    region = _configured_region(aws_profile) or DEFAULT_REGION
    chain = CredentialChain(aws_profile, region, (lambda: code) if code is not None else None)
    if code is not None:
        chain.require()
    return chain.method()


def location_of(account: str, region: str) -> str:
    """The name of the location where an account's machines of one region are."""
    return f"aws:{account}:{region}"


def parts_of(location: str) -> tuple[str, str]:
    """Account and region of a location."""
    _, account, region = location.split(":")
    return account, region


def region_of(profile: Profile) -> str:
    """The profile's region, else AWS's setting; raises `RegionMissing` or `ValidationFailed`."""
    configured = profile.region or _configured_region(profile.aws_profile)
    region = configured or os.environ.get("AWS_REGION")
    if region and region not in _regions():
        similar = get_close_matches(region, _regions(), 1)
        hint = f"did you mean {similar[0]}? " if similar else ""
        raise ValidationFailed.of(("region", f"{hint}AWS has no region {region!r}"))
    if not region:
        raise RegionMissing(
            f"Profile {profile.name!r} has no region",
            details="AWS's own settings name none either: AWS_DEFAULT_REGION, ~/.aws/config",
            remediation=f"Use `prism profile update {profile.name} --region us-east-1`",
        )
    return region


class LoginStatus(Struct, frozen=True, kw_only=True):
    """The identity or the problem of a login; both are null before the first answer."""

    identity: AwsIdentity | None = None
    problem: Problem | None = None
    at: datetime | None = None


def partition_of(profile: Profile, login: LoginStatus) -> str:
    """The partition of a profile, by its identity or else by its region; makes no call."""
    import botocore.session  # noqa: PLC0415  cold start: only AWS needs it
    from botocore.exceptions import UnknownRegionError  # noqa: PLC0415  the same

    if login.identity is not None:
        return login.identity.partition
    try:
        name: str = botocore.session.get_session().get_partition_for_region(region_of(profile))
    except (Problem, UnknownRegionError):
        return "aws"
    return name


class Identities:
    """The identities of AWS profiles, shared by all threads."""

    def __init__(self, clock: Clock, ask: Ask = ask_aws) -> None:
        self._clock, self._ask = clock, ask
        self._lock = threading.Lock()
        self._logins: dict[str | None, LoginStatus] = {}
        self._asking: dict[str | None, threading.Event] = {}  # set when AWS has answered
        self.listeners: list[Callable[[], object]] = []
        """Called after each answer, in the thread that brought it."""

    def known(self, aws_profile: str | None) -> LoginStatus:
        """The known identity, if any; makes no call."""
        return self._logins.get(aws_profile, LoginStatus())

    def begin(self, aws_profile: str | None) -> threading.Event:
        """Ask in the background, unless the answer is known, awaited, or just failed."""
        with self._lock:
            if (under_way := self._asking.get(aws_profile)) is not None:
                return under_way
            done = threading.Event()
            if not self._worth_asking(aws_profile):
                done.set()
                return done
            self._asking[aws_profile] = done
        # A daemon thread: Prism can exit while the call waits for the network.
        threading.Thread(
            target=self._run, args=(aws_profile,), name="aws who", daemon=True
        ).start()
        return done

    def of(self, aws_profile: str | None, patience: float | None = None) -> AwsIdentity:
        """The identity; waits for an answer if none is known, and raises if there is none."""
        if (login := self.known(aws_profile)).identity is not None:
            return login.identity
        done = self.begin(aws_profile)
        waits = FIRST_ANSWER_TIMEOUT if patience is None else patience
        done.wait(waits if login.problem is None else min(waits, RETRY_TIMEOUT))
        if (login := self.known(aws_profile)).identity is not None:
            return login.identity
        raise anew(login.problem or AwsUnavailable(details="sts:GetCallerIdentity: no answer yet"))

    def fresh(self, aws_profile: str | None) -> AwsIdentity:
        """Ask now, and store the answer; for threads that may wait."""
        login = self._logins[aws_profile] = self._ask_now(aws_profile, self._clock.now())
        if login.identity is None:
            raise anew(login.problem or AwsUnavailable())
        return login.identity

    def _ask_now(self, aws_profile: str | None, now: datetime) -> LoginStatus:
        try:
            return LoginStatus(identity=self._ask(aws_profile), at=now)
        except Problem as problem:
            return LoginStatus(problem=problem, at=now)

    def _worth_asking(self, aws_profile: str | None) -> bool:
        login = self.known(aws_profile)
        if login.identity is not None:
            return False
        return login.at is None or self._clock.now() >= login.at + RETRY_AFTER

    def _run(self, aws_profile: str | None) -> None:
        done, now = self._asking[aws_profile], self._clock.now()
        try:
            self._logins[aws_profile] = self._ask_now(aws_profile, now)
        finally:
            with self._lock:
                self._asking.pop(aws_profile)
            done.set()
        for listener in self.listeners:
            listener()


class AccountCloud(Cloud):
    """A `Cloud` of one account only.

    When AWS refuses credentials, boto3 loads them anew, and the new ones may belong to another
    account. A survey of that account would show none of our machines, as if all were gone.
    """

    def __init__(
        self, account: str, region: str, aws_profile: str | None, identify: Ask, **more: Any
    ) -> None:
        super().__init__(region, aws_profile, **more)
        self._account, self._identify, self._closed = account, identify, False
        self._sure_of: Any = None

    def call(self, service: str, action: str, /, **arguments: Any) -> dict[str, Any]:
        """Call AWS; raises if the daemon is stopping."""
        if self._closed:
            raise AwsUnavailable(details=f"{service}:{action}: the daemon is stopping")
        try:
            return super().call(service, action, **arguments)
        except CredentialsMissing as error:
            answered = code_of(error) in CREDENTIAL_CODES  # by AWS, not by the login itself
            if answered and not is_enabled(self.region, self.aws_profile):
                raise RegionNotEnabled(
                    f"The AWS account has not enabled the region {self.region}",
                    details="AWS accepts no credentials of the account there until it is enabled",
                    remediation="Enable it in AWS's console (Account, AWS Regions), or choose "
                    "another: `prism profile update --help`",
                ) from error
            raise

    def endpoint(self, service: str) -> str:
        """The URL of a service."""
        return str(self._client(service).meta.endpoint_url)

    def close(self) -> None:
        """Refuse all calls from now on."""
        self._closed = True

    def use(self, aws_profile: str | None) -> None:
        """Use other credentials of the account from now on."""
        if aws_profile != self.aws_profile:
            self.aws_profile = aws_profile
            self._forget_session()

    def session(self) -> Any:
        """The session; raises if it belongs to another account."""
        session = super().session()
        if session is not self._sure_of:
            account = self._identify(self.aws_profile).account
            if account != self._account:
                self._forget_session()
                raise of_another(self.aws_profile, self._account, account)
            self._sure_of = session
        return session


def is_enabled(region: str, aws_profile: str | None) -> bool:
    """Whether the account has enabled a region; true as well if that cannot be found out.

    A region that is not enabled refuses good credentials (`AuthFailure`), so this asks one that
    is always enabled: AWS General Reference, "Managing AWS Regions".
    """
    if region == DEFAULT_REGION or not region.startswith(PREFIXES):
        return True
    try:
        answer = Cloud(DEFAULT_REGION, aws_profile).call(
            "ec2", "DescribeRegions", RegionNames=[region], AllRegions=True
        )
    except Problem:
        return True
    return all(entry.get("OptInStatus") != "not-opted-in" for entry in answer["Regions"])


def of_another(aws_profile: str | None, expected: str, actual: str) -> CredentialsMissing:
    """The problem that the credentials are valid, but for another account than the machines'."""
    owner = f"AWS profile {aws_profile!r}" if aws_profile else "the default credentials"
    return credentials_missing(f"{owner}: account {actual}, but the machines are in {expected}")


@cache
def _regions() -> frozenset[str]:
    """Every region that the SDK knows; makes no call."""
    import botocore.session  # noqa: PLC0415  cold start: only AWS needs it

    session = botocore.session.get_session()
    return frozenset(
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition)
    )


def _configured_region(aws_profile: str | None) -> str | None:
    import botocore.session  # noqa: PLC0415  cold start: only AWS needs it
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415  the same

    try:
        session = botocore.session.Session(profile=aws_profile)
        region: str | None = session.get_config_variable("region")
    except BotoCoreError as error:
        raise credentials_missing(str(error)) from error
    return region
