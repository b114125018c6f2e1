"""The identity of the AWS caller: requested once, in the background, with a time limit."""

import threading
from datetime import UTC, datetime

import pytest

from aws_double.rulebook import build
from prism.errors import ValidationFailed
from prism.kit.clock import StoppedClock
from prism.profiles.model import Profile
from prism.providers.aws.account.identity import (
    RETRY_AFTER,
    AccountCloud,
    AwsIdentity,
    Identities,
    RegionMissing,
    ask_aws,
    location_of,
    parts_of,
    region_of,
)
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsUnavailable, CredentialsMissing, RegionNotEnabled

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA = AwsIdentity(account="111111111111", arn="arn:aws:iam::111111111111:user/ada")
BOB = AwsIdentity(account="222222222222", arn="arn:aws:iam::222222222222:user/bob")


@pytest.fixture
def clock():
    return StoppedClock(NOW)


class ScriptedRequest:
    """Returns or raises the given answers in turn, and counts the calls."""

    def __init__(self, *answers):
        self.answers, self.count = list(answers), 0

    def __call__(self, aws_profile):
        self.count += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_ask_aws_returns_account_arn_and_partition(aws, monkeypatch):
    identity = ask_aws(None)
    assert (identity.account, identity.arn) == (
        "123456789012",
        "arn:aws:iam::123456789012:user/prism",
    )
    assert identity.partition == "aws"
    assert [call.action for call in aws.calls] == ["GetCallerIdentity"]


def test_location_name_contains_account_and_region():
    assert parts_of(location_of("1", "eu-west-1")) == ("1", "eu-west-1")


def test_identity_is_requested_once(clock):
    ask = ScriptedRequest(ADA)
    identities = Identities(clock, ask)
    assert identities.known("lab").identity is None and ask.count == 0, (
        "`known` requests no identity"
    )
    assert [identities.of("lab") for _ in range(3)] == [ADA] * 3
    assert ask.count == 1


def test_concurrent_callers_wait_for_one_identity_request(clock):
    calls, go = [], threading.Event()

    def ask(_):
        calls.append(1)
        go.wait(120)
        return ADA

    identities, answers = Identities(clock, ask), []
    waiting = [
        threading.Thread(target=lambda: answers.append(identities.of("lab", 20))) for _ in range(8)
    ]
    for thread in waiting:
        thread.start()
    go.set()
    for thread in waiting:
        thread.join()
    assert (answers, calls) == ([ADA] * 8, [1])


def test_identity_request_times_out_and_can_complete_later(clock):
    go = threading.Event()

    def ask(_):
        go.wait(120)
        return ADA

    identities = Identities(clock, ask)
    with pytest.raises(AwsUnavailable, match="does not answer"):
        identities.of("lab", patience=0.01)
    done = identities.begin("lab")
    go.set()
    assert done.wait(120) and identities.of("lab") == ADA


def test_identity_failure_is_repeated_and_requested_again_later(clock):
    ask = ScriptedRequest(CredentialsMissing(details="none found"), ADA)
    identities = Identities(clock, ask)
    for _ in range(3):
        with pytest.raises(CredentialsMissing) as caught:
            identities.of("lab")
        assert caught.value.details == "none found"
        assert "no AWS credentials" in caught.value.message, (
            "it does not claim that AWS refused them"
        )
    assert ask.count == 1
    clock.advance(seconds=RETRY_AFTER.total_seconds())
    assert identities.of("lab", 20) == ADA


def test_listeners_are_called_when_the_identity_is_known(clock):
    heard = threading.Event()
    identities = Identities(clock, ScriptedRequest(ADA))
    identities.listeners.append(heard.set)
    identities.begin("lab")
    assert heard.wait(120)


def test_cloud_refuses_credentials_of_another_account(clock, aws):
    ask = ScriptedRequest(ADA, ADA, BOB)
    identities = Identities(clock, ask)
    cloud = AccountCloud(identities.of(None).account, "us-east-1", None, identities.fresh)
    assert cloud.call("ec2", "DescribeVpcs")["Vpcs"], "the account is verified once"
    cloud.call("ec2", "DescribeVpcs")
    assert ask.count == 2
    aws.fault(action="DescribeVpcs", do="error", code="ExpiredToken", status=403)
    with pytest.raises(CredentialsMissing, match="ExpiredToken"):
        cloud.call("ec2", "DescribeVpcs")
    seen = len(aws.calls)
    with pytest.raises(CredentialsMissing) as caught:
        cloud.call("ec2", "DescribeVpcs")
    assert "account 222222222222" in caught.value.details
    assert len(aws.calls) == seen, "no call is made with the other account"
    assert identities.of(None) == BOB, "the next launch uses the account of the credentials"


@pytest.mark.parametrize(
    ("region", "environ", "expected"),
    [
        ("eu-west-1", {"AWS_DEFAULT_REGION": "us-west-2"}, "eu-west-1"),
        (None, {"AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "x"}, "us-west-2"),
        (None, {"AWS_REGION": "eu-north-1"}, "eu-north-1"),
    ],
)
def test_region_is_that_of_the_profile_or_of_the_environment(
    no_aws_settings, region, environ, expected
):
    for name, value in environ.items():
        no_aws_settings.setenv(name, value)
    assert region_of(profile(region=region)) == expected


def test_region_is_read_from_the_aws_config_file(no_aws_settings, tmp_path):
    (tmp_path / "config").write_text("[profile lab]\nregion = ap-south-1\n")
    assert region_of(profile(aws_profile="lab")) == "ap-south-1"
    with pytest.raises(CredentialsMissing):
        region_of(profile(aws_profile="lost"))


def test_missing_region_is_refused_with_a_command(no_aws_settings):
    with pytest.raises(RegionMissing) as caught:
        region_of(profile())
    assert "prism profile update lab --region" in caught.value.remediation


@pytest.fixture
def no_aws_settings(monkeypatch, tmp_path):
    """An environment without settings of AWS."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


def profile(**more):
    return Profile(name="lab", provider="aws", created_at=NOW, **more)


def test_call_without_credentials_raises_credentials_missing(no_aws_settings):
    no_aws_settings.delenv("AWS_ACCESS_KEY_ID", raising=False)
    no_aws_settings.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    no_aws_settings.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsMissing):
        Cloud("us-east-1").call("sts", "GetCallerIdentity")


def test_unknown_region_is_refused_with_a_suggestion():
    with pytest.raises(ValidationFailed) as caught:
        region_of(profile(region="us-wset-2"))
    assert "did you mean us-west-2" in caught.value.details


def test_cloud_uses_a_changed_aws_profile_until_it_is_closed(clock, aws):
    aws_profiles = []

    def ask(aws_profile):
        aws_profiles.append(aws_profile)
        return ADA

    cloud = AccountCloud(ADA.account, "us-east-1", None, ask)
    cloud.call("ec2", "DescribeVpcs")
    cloud.use(None)
    cloud.call("ec2", "DescribeVpcs")
    cloud.use("lost")
    with pytest.raises(CredentialsMissing):
        cloud.call("ec2", "DescribeVpcs")
    cloud.close()
    with pytest.raises(AwsUnavailable, match="does not answer"):
        cloud.call("ec2", "DescribeVpcs")
    assert aws_profiles == [None]


@pytest.mark.parametrize(
    ("configured", "region"),
    [("cn-north-1", "cn-north-1"), ("no-such-1", "us-east-1"), (None, "us-east-1")],
)
def test_identity_is_requested_in_the_configured_region_if_it_exists(
    aws, no_aws_settings, configured, region
):
    """Keys of AWS China are unknown in us-east-1."""
    if configured:
        no_aws_settings.setenv("AWS_DEFAULT_REGION", configured)
    assert ask_aws(None).account == "123456789012"
    assert [call.region for call in aws.calls] == [region]


def account_1(_):
    return AwsIdentity(account="123456789012", arn="arn:aws:iam::123456789012:user/ada")


def own(region):
    return AccountCloud("123456789012", region, None, account_1, sleep=lambda _: None)


def test_region_that_is_not_enabled_is_named_in_the_error(aws):
    """In such a region EC2 answers AuthFailure to valid credentials."""
    aws.rules = build({"regions_off": ["me-south-1"]})
    with pytest.raises(RegionNotEnabled, match="has not enabled the region me-south-1") as raised:
        own("me-south-1").call("ec2", "DescribeVpcs")
    assert raised.value.code == "AWS_REGION_NOT_ENABLED"


def test_identity_is_known_if_the_configured_region_is_not_enabled(aws, monkeypatch):
    aws.rules = build({"regions_off": ["me-south-1"]})
    monkeypatch.setenv("AWS_DEFAULT_REGION", "me-south-1")
    assert ask_aws(None).account == "123456789012"


def test_invalid_credentials_are_not_reported_as_a_disabled_region(aws):
    aws.fault(action="DescribeVpcs", do="error", code="AuthFailure", status=401, times=None)
    with pytest.raises(CredentialsMissing) as raised:
        own("us-west-2").call("ec2", "DescribeVpcs")
    assert raised.value.code != "AWS_REGION_NOT_ENABLED"
