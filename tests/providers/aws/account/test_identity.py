"""Who we are: asked once, behind the scenes, and never for longer than a moment."""

import threading
from datetime import UTC, datetime

import pytest

from aws_double.rulebook import build
from prism.errors import ValidationFailed
from prism.kit.clock import StoppedClock
from prism.profiles.model import Profile
from prism.providers.aws.account.identity import (
    RETRY_AFTER,
    AwsIdentity,
    Identities,
    OwnCloud,
    RegionMissing,
    ask_aws,
    parts_of,
    place_of,
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


class Asked:
    """Answers what it is told to, and counts."""

    def __init__(self, *answers):
        self.answers, self.count = list(answers), 0

    def __call__(self, aws_profile):
        self.count += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_double_says_who_we_are(aws, monkeypatch):
    identity = ask_aws(None)
    assert (identity.account, identity.arn) == (
        "123456789012",
        "arn:aws:iam::123456789012:user/prism",
    )
    assert identity.partition == "aws"
    assert [call.action for call in aws.calls] == ["GetCallerIdentity"]


def test_places_have_names():
    assert parts_of(place_of("1", "eu-west-1")) == ("1", "eu-west-1")


def test_it_is_asked_once_for_all(clock):
    ask = Asked(ADA)
    identities = Identities(clock, ask)
    assert identities.known("lab").identity is None and ask.count == 0, "nobody is asked unasked"
    assert [identities.of("lab") for _ in range(3)] == [ADA] * 3
    assert ask.count == 1


def test_many_who_ask_at_once_wait_for_one_answer(clock):
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


def test_a_request_does_not_wait_for_ever(clock):
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


def test_a_failure_is_said_at_once_and_looked_into_again_later(clock):
    ask = Asked(CredentialsMissing(details="none found"), ADA)
    identities = Identities(clock, ask)
    for _ in range(3):
        with pytest.raises(CredentialsMissing) as caught:
            identities.of("lab")
        assert caught.value.details == "none found"
        assert "no AWS credentials" in caught.value.message, "AWS was perhaps never asked"
    assert ask.count == 1
    clock.advance(seconds=RETRY_AFTER.total_seconds())
    assert identities.of("lab", 20) == ADA


def test_whoever_wants_to_hear_of_answers_does(clock):
    heard = threading.Event()
    identities = Identities(clock, Asked(ADA))
    identities.listeners.append(heard.set)
    identities.begin("lab")
    assert heard.wait(120)


def test_other_credentials_that_turn_up_do_not_speak_for_our_account(clock, aws):
    ask = Asked(ADA, ADA, BOB)
    identities = Identities(clock, ask)
    cloud = OwnCloud(identities.of(None).account, "us-east-1", None, identities.fresh)
    assert cloud.call("ec2", "DescribeVpcs")["Vpcs"], "verified once"
    cloud.call("ec2", "DescribeVpcs")
    assert ask.count == 2
    aws.fault(action="DescribeVpcs", do="error", code="ExpiredToken", status=403)
    with pytest.raises(CredentialsMissing, match="ExpiredToken"):
        cloud.call("ec2", "DescribeVpcs")
    seen = len(aws.calls)
    with pytest.raises(CredentialsMissing) as caught:
        cloud.call("ec2", "DescribeVpcs")
    assert "account 222222222222" in caught.value.details
    assert len(aws.calls) == seen, "the other account is not asked for our machines"
    assert identities.of(None) == BOB, "the next launch goes where the credentials lead"


@pytest.mark.parametrize(
    ("region", "environ", "expected"),
    [
        ("eu-west-1", {"AWS_DEFAULT_REGION": "us-west-2"}, "eu-west-1"),
        (None, {"AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "x"}, "us-west-2"),
        (None, {"AWS_REGION": "eu-north-1"}, "eu-north-1"),
    ],
)
def test_the_region_is_the_profiles_else_awss_own(no_aws_settings, region, environ, expected):
    for name, value in environ.items():
        no_aws_settings.setenv(name, value)
    assert region_of(profile(region=region)) == expected


def test_the_region_of_a_section_of_awss_files(no_aws_settings, tmp_path):
    (tmp_path / "config").write_text("[profile lab]\nregion = ap-south-1\n")
    assert region_of(profile(aws_profile="lab")) == "ap-south-1"
    with pytest.raises(CredentialsMissing):
        region_of(profile(aws_profile="lost"))


def test_no_region_at_all_says_how_to_give_one(no_aws_settings):
    with pytest.raises(RegionMissing) as caught:
        region_of(profile())
    assert "prism profile update lab --region" in caught.value.remediation


@pytest.fixture
def no_aws_settings(monkeypatch, tmp_path):
    """AWS's own settings, without any."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


def profile(**more):
    return Profile(name="lab", provider="aws", created_at=NOW, **more)


def test_a_cloud_without_credentials_is_no_cloud(no_aws_settings):
    no_aws_settings.delenv("AWS_ACCESS_KEY_ID", raising=False)
    no_aws_settings.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    no_aws_settings.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsMissing):
        Cloud("us-east-1").call("sts", "GetCallerIdentity")


def test_a_region_that_aws_does_not_have_is_refused():
    with pytest.raises(ValidationFailed) as caught:
        region_of(profile(region="us-wset-2"))
    assert "did you mean us-west-2" in caught.value.details


def test_other_credentials_of_the_account_may_be_used_from_now_on(clock, aws):
    aws_profiles = []

    def ask(aws_profile):
        aws_profiles.append(aws_profile)
        return ADA

    cloud = OwnCloud(ADA.account, "us-east-1", None, ask)
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
def test_who_we_are_is_asked_in_the_cloud_that_knows(aws, no_aws_settings, configured, region):
    """Keys of AWS China are unknown in us-east-1."""
    if configured:
        no_aws_settings.setenv("AWS_DEFAULT_REGION", configured)
    assert ask_aws(None).account == "123456789012"
    assert [call.region for call in aws.calls] == [region]


def account_1(_):
    return AwsIdentity(account="123456789012", arn="arn:aws:iam::123456789012:user/ada")


def own(region):
    return OwnCloud("123456789012", region, None, account_1, sleep=lambda _: None)


def test_a_region_that_the_account_has_not_enabled_is_named_so(aws):
    """There EC2 says of good credentials that they are bad: AuthFailure."""
    aws.rules = build({"regions_off": ["me-south-1"]})
    with pytest.raises(RegionNotEnabled, match="has not enabled the region me-south-1") as raised:
        own("me-south-1").call("ec2", "DescribeVpcs")
    assert raised.value.code == "AWS_REGION_NOT_ENABLED"


def test_who_we_are_is_known_although_the_configured_region_is_not_enabled(aws, monkeypatch):
    aws.rules = build({"regions_off": ["me-south-1"]})
    monkeypatch.setenv("AWS_DEFAULT_REGION", "me-south-1")
    assert ask_aws(None).account == "123456789012"


def test_bad_credentials_stay_bad_credentials(aws):
    aws.fault(action="DescribeVpcs", do="error", code="AuthFailure", status=401, times=None)
    with pytest.raises(CredentialsMissing) as raised:
        own("us-west-2").call("ec2", "DescribeVpcs")
    assert raised.value.code != "AWS_REGION_NOT_ENABLED"
