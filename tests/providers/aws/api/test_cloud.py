"""The one way out: what is repeated, what is not, and what each refusal becomes."""

import subprocess
import sys

import pytest

from prism.errors import Denied, Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import (
    AwsDenied,
    AwsRefused,
    AwsThrottled,
    AwsUnavailable,
    CapacityUnavailable,
    CredentialsMissing,
    ImageNotAuthorized,
    Missing,
    NotSubscribed,
    QuotaExceeded,
    TermsNotAccepted,
    TokenMismatch,
    fault_of,
)
from prism.providers.aws.api.rate_limits import RateLimiter
from prism.workspaces.ports import ProviderRefused

TAG = {"Resources": ["i-00000000000000000"], "Tags": [{"Key": "a", "Value": "b"}]}


def calls(aws, action):
    return [call.outcome for call in aws.calls if call.action == action]


def test_what_is_not_listed_cannot_be_called(cloud):
    with pytest.raises(LookupError, match="RebootInstances"):
        cloud.call("ec2", "RebootInstances", InstanceIds=[])


def test_what_was_throttled_was_not_done_and_is_asked_again(aws, cloud):
    aws.fault(action="DescribeInstances", do="throttle", times=3)
    assert cloud.call("ec2", "DescribeInstances")["Reservations"] == []
    assert calls(aws, "DescribeInstances") == ["RequestLimitExceeded"] * 3 + ["ok"]


def test_who_is_throttled_has_all_others_wait(aws):
    slept: list[float] = []
    budget = RateLimiter(now=lambda: 0.0, sleep=slept.append)
    cloud = Cloud("us-east-1", budget=budget, sleep=lambda _: None)
    cloud.call("ec2", "DescribeInstances")
    assert slept == []
    aws.fault(action="DescribeInstances", do="throttle")
    cloud.call("ec2", "DescribeInstances")
    cloud.call("ec2", "DescribeInstances")
    assert slept == [pytest.approx(1 / 19), pytest.approx(2 / 19)]


def test_who_is_throttled_for_ever_hears_so(aws, monkeypatch):
    slept: list[float] = []
    cloud = Cloud("us-east-1", sleep=slept.append)
    aws.fault(action="DescribeInstances", do="throttle", times=None)
    monkeypatch.setattr(cloud, "_delay", lambda *_: 30 if len(slept) > 1 else 0.1)
    with pytest.raises(AwsThrottled) as caught:
        cloud.call("ec2", "DescribeInstances")
    assert caught.value.code == "AWS_THROTTLED"
    assert len(slept) == 2


@pytest.mark.parametrize("do", ["drop", "lost", "error"])
def test_what_only_reads_is_asked_again(aws, cloud, do):
    aws.fault(action="DescribeInstances", do=do, times=2)
    assert cloud.call("ec2", "DescribeInstances")["Reservations"] == []
    aws.fault(action="DescribeInstances", do=do, times=3)
    with pytest.raises(AwsUnavailable):
        cloud.call("ec2", "DescribeInstances")


@pytest.mark.parametrize("do", ["drop", "lost", "error"])
def test_what_changes_something_is_asked_once(aws, cloud, do):
    aws.fault(action="CreateTags", do=do)
    with pytest.raises(AwsUnavailable) as caught:
        cloud.call("ec2", "CreateTags", **TAG)
    assert caught.value.code == "AWS_UNAVAILABLE"
    assert isinstance(caught.value, Unavailable)
    assert len(calls(aws, "CreateTags")) == 1


def test_a_dry_run_that_would_succeed_answers_nothing(aws):
    cloud = Cloud("us-east-1", agent="somebody")
    order = {"MinCount": 1, "MaxCount": 1, "ImageId": "ami-1", "InstanceType": "t3.small"}
    with pytest.raises((Missing, AwsRefused)):
        cloud.call("ec2", "RunInstances", **order)
    assert cloud.call("ec2", "DescribeInstances", DryRun=True) == {}


def test_a_denial_names_the_action_and_is_both_a_refusal_and_a_denial(aws, cloud):
    aws.fault(action="CreateTags", do="error", code="UnauthorizedOperation", status=403)
    with pytest.raises(AwsDenied, match="ec2:CreateTags") as caught:
        cloud.call("ec2", "CreateTags", **TAG)
    assert isinstance(caught.value, Denied)
    assert isinstance(caught.value, ProviderRefused)
    assert caught.value.code == "AWS_PERMISSION_DENIED"


def test_who_has_no_credentials_hears_so_and_is_asked_anew(aws, monkeypatch):
    cloud = Cloud("us-east-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialsMissing) as caught:
        cloud.call("sts", "GetCallerIdentity")
    assert caught.value.code == "AWS_CREDENTIALS_MISSING"
    assert aws.calls == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "123456789012")
    assert cloud.call("sts", "GetCallerIdentity")["Account"] == "123456789012"


def test_a_profile_that_no_file_has_is_credentials_missing(aws):
    with pytest.raises(CredentialsMissing):
        Cloud("us-east-1", "nobody").call("sts", "GetCallerIdentity")


def test_credentials_that_aws_refuses_are_looked_for_anew(aws, cloud):
    cloud.call("sts", "GetCallerIdentity")
    before = cloud.session()
    aws.fault(action="GetCallerIdentity", do="error", code="ExpiredToken", status=403)
    with pytest.raises(CredentialsMissing):
        cloud.call("sts", "GetCallerIdentity")
    assert cloud.session() is not before


def test_a_profile_of_awss_own_files_is_used(aws, monkeypatch, tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id=210987654321\naws_secret_access_key=s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    identity = Cloud("us-east-1", "lab").call("sts", "GetCallerIdentity")
    assert identity["Account"] == "210987654321"


def test_pages_are_followed_to_the_end(aws, cloud):
    machines = list(
        cloud.pages("ec2", "DescribeInstanceTypeOfferings", "InstanceTypeOfferings", MaxResults=50)
    )
    assert len(machines) > 100
    assert len(calls(aws, "DescribeInstanceTypeOfferings")) == -(-len(machines) // 50)


def test_what_is_asked_for_by_its_name_has_no_page_size(cloud):
    names = ["t3.small", "t3.large"]
    types = cloud.pages("ec2", "DescribeInstanceTypes", "InstanceTypes", InstanceTypes=names)
    assert {type_["InstanceType"] for type_ in types} == set(names)


def test_a_mistake_of_ours_stays_one(cloud):
    with pytest.raises(Exception, match="validation failed") as caught:
        cloud.call("ec2", "CreateTags", Resources="no list", Tags=[])
    assert type(caught.value).__name__ == "ParamValidationError"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RequestLimitExceeded", 503, AwsThrottled),
        ("Throttling", 400, AwsThrottled),
        ("InsufficientInstanceCapacity", 500, CapacityUnavailable),
        ("Unsupported", 400, CapacityUnavailable),
        ("VcpuLimitExceeded", 400, QuotaExceeded),
        ("MaxSpotInstanceCountExceeded", 400, QuotaExceeded),
        ("FileSystemLimitExceeded", 403, QuotaExceeded),
        ("IdempotentParameterMismatch", 400, TokenMismatch),
        ("InvalidInstanceID.NotFound", 400, Missing),
        ("InvalidInstanceID.Malformed", 400, Missing),
        ("FileSystemNotFound", 404, Missing),
        ("NoSuchEntity", 404, Missing),
        ("ParameterNotFound", 400, Missing),
        ("InvalidUserData.Malformed", 400, AwsRefused),
        ("IncorrectInstanceState", 400, AwsRefused),
        ("AuthFailure", 401, CredentialsMissing),
        ("AccessDeniedException", 400, AwsDenied),
        ("InternalError", 500, AwsUnavailable),
        ("Whatever", 502, AwsUnavailable),
        ("Whatever", 400, AwsRefused),
    ],
)
def test_each_refusal_becomes_its_problem_and_keeps_awss_word(code, status, kind):
    fault = fault_of("ec2:RunInstances", code, "Because.", status)
    assert type(fault) is kind
    assert fault.aws_code == code
    assert "ec2:RunInstances" in fault.details
    assert "Because." in fault.details


@pytest.mark.parametrize(
    ("code", "message", "kind", "words"),
    [
        ("AuthFailure", "Not authorized for images: [ami-1]", ImageNotAuthorized, "that image"),
        ("OptInRequired", "In order to use this AWS Marketplace product you need to accept terms "
         "and subscribe. To do so please visit https://aws.amazon.com/marketplace/pp?sku=1",
         TermsNotAccepted, "terms"),
        ("OptInRequired", "You are not subscribed to this service.", NotSubscribed, "signed up"),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "The provided credentials do not "
         "have permission to create the service-linked role for EC2 Spot Instances.",
         AwsDenied, "iam:CreateServiceLinkedRole"),
        ("AuthFailure", "AWS was not able to validate the provided access credentials",
         CredentialsMissing, "credentials"),
        ("SnapshotCreationPerVolumeRateExceeded", "wait 15 seconds", AwsThrottled, "throttles"),
        ("ConcurrentSnapshotLimitExceeded", "Maximum allowed in-progress snapshots for a single "
         "volume exceeded", AwsThrottled, "under way"),
        ("PendingSnapshotLimitExceeded", "too many pending", AwsThrottled, "under way"),
    ],
)  # fmt: skip
def test_one_code_of_awss_says_several_things_and_each_has_its_own_words(
    code, message, kind, words
):
    """EC2 API Reference, "Error codes for the Amazon EC2 API"."""
    fault = fault_of("ec2:RunInstances", code, message, 400)
    assert type(fault) is kind
    assert words in fault.message
    assert message in fault.details


def test_credentials_of_another_partition_are_not_dropped_for_the_sake_of_prices(aws, cloud):
    """The price list of AWS proper knows no credentials of GovCloud or China."""
    cloud.call("ec2", "DescribeVpcs")
    session = cloud.session()
    aws.fault(action="GetProducts", do="error", code="UnrecognizedClientException", status=400)
    with pytest.raises(AwsRefused):
        cloud.call("pricing", "GetProducts", ServiceCode="AmazonEC2")
    assert cloud.session() is session


def test_what_is_missing_has_awss_code():
    assert fault_of("x:Y", "InvalidVolume.NotFound", "", 400).code == "InvalidVolume.NotFound"


def test_boto3_is_not_loaded_before_aws_is_asked():
    look = "import sys, prism.providers.aws.compute.lifecycle; print('boto3' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"
