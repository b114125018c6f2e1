"""`Cloud` makes all calls to AWS: which are repeated, and the error for each refusal."""

import subprocess
import sys

import pytest

from prism.errors import Denied, Unavailable
from prism.providers.aws.api.call_counts import CallCounts
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import (
    AccountPending,
    AwsDenied,
    AwsRefused,
    AwsThrottled,
    AwsUnavailable,
    CapacityUnavailable,
    CredentialsMissing,
    ImageNotAuthorized,
    Missing,
    NotInFreePlan,
    NotSubscribed,
    QuotaExceeded,
    TermsNotAccepted,
    TokenMismatch,
    TypeNotOffered,
    fault_of,
)
from prism.providers.aws.api.rate_limits import RateLimiter
from prism.workspaces.ports import ProviderRefused
from tests.tls import inspected_network

TAG = {"Resources": ["i-00000000000000000"], "Tags": [{"Key": "a", "Value": "b"}]}


def calls(aws, action):
    return [call.outcome for call in aws.calls if call.action == action]


def test_call_of_an_unlisted_action_raises_lookup_error(cloud):
    with pytest.raises(LookupError, match="RebootInstances"):
        cloud.call("ec2", "RebootInstances", InstanceIds=[])


def test_throttled_call_is_repeated(aws, cloud):
    aws.fault(action="DescribeInstances", do="throttle", times=3)
    assert cloud.call("ec2", "DescribeInstances")["Reservations"] == []
    assert calls(aws, "DescribeInstances") == ["RequestLimitExceeded"] * 3 + ["ok"]


def test_throttled_call_delays_the_next_calls(aws):
    slept: list[float] = []
    rate_limiter = RateLimiter(now=lambda: 0.0, sleep=slept.append)
    cloud = Cloud("us-east-1", rate_limiter=rate_limiter, sleep=lambda _: None)
    cloud.call("ec2", "DescribeInstances")
    assert slept == []
    aws.fault(action="DescribeInstances", do="throttle")
    cloud.call("ec2", "DescribeInstances")
    cloud.call("ec2", "DescribeInstances")
    assert slept == [pytest.approx(1 / 19), pytest.approx(2 / 19)]


def test_call_that_stays_throttled_raises_aws_throttled(aws, monkeypatch):
    slept: list[float] = []
    cloud = Cloud("us-east-1", sleep=slept.append)
    aws.fault(action="DescribeInstances", do="throttle", times=None)
    monkeypatch.setattr(cloud, "_delay", lambda *_: 30 if len(slept) > 1 else 0.1)
    with pytest.raises(AwsThrottled) as caught:
        cloud.call("ec2", "DescribeInstances")
    assert caught.value.code == "AWS_THROTTLED"
    assert len(slept) == 2


@pytest.mark.parametrize("do", ["drop", "lost", "error"])
def test_failed_reading_call_is_repeated_up_to_three_times(aws, cloud, do):
    aws.fault(action="DescribeInstances", do=do, times=2)
    assert cloud.call("ec2", "DescribeInstances")["Reservations"] == []
    aws.fault(action="DescribeInstances", do=do, times=3)
    with pytest.raises(AwsUnavailable):
        cloud.call("ec2", "DescribeInstances")


@pytest.mark.parametrize("do", ["drop", "lost", "error"])
def test_failed_changing_call_is_not_repeated(aws, cloud, do):
    aws.fault(action="CreateTags", do=do)
    with pytest.raises(AwsUnavailable) as caught:
        cloud.call("ec2", "CreateTags", **TAG)
    assert caught.value.code == "AWS_UNAVAILABLE"
    assert isinstance(caught.value, Unavailable)
    assert len(calls(aws, "CreateTags")) == 1


def test_successful_dry_run_returns_an_empty_answer(aws):
    cloud = Cloud("us-east-1", agent="somebody")
    order = {"MinCount": 1, "MaxCount": 1, "ImageId": "ami-1", "InstanceType": "t3.small"}
    with pytest.raises((Missing, AwsRefused)):
        cloud.call("ec2", "RunInstances", **order)
    assert cloud.call("ec2", "DescribeInstances", DryRun=True) == {}


def test_untrusted_certificate_is_named(monkeypatch, tmp_path):
    with inspected_network(tmp_path) as (authority, _, proxy):
        for name in ("AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        with pytest.raises(AwsUnavailable, match="certificate that is not trusted") as refused:
            Cloud("us-east-1", sleep=lambda _: None).call("ec2", "DescribeInstances")
        assert "SSL_CERT_FILE" in refused.value.remediation
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))  # as the daemon sets it
        with pytest.raises(AwsUnavailable, match="does not answer"):  # but the proxy, with 501
            Cloud("us-east-1", sleep=lambda _: None).call("ec2", "DescribeInstances")


def test_denied_call_names_the_action_and_is_a_provider_refusal(aws, cloud):
    aws.fault(action="CreateTags", do="error", code="UnauthorizedOperation", status=403)
    with pytest.raises(AwsDenied, match="ec2:CreateTags") as caught:
        cloud.call("ec2", "CreateTags", **TAG)
    assert isinstance(caught.value, Denied)
    assert isinstance(caught.value, ProviderRefused)
    assert caught.value.code == "AWS_PERMISSION_DENIED"


def test_missing_credentials_are_reported_and_looked_up_again(aws, monkeypatch):
    cloud = Cloud("us-east-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialsMissing) as caught:
        cloud.call("sts", "GetCallerIdentity")
    assert caught.value.code == "AWS_CREDENTIALS_MISSING"
    assert aws.calls == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "123456789012")
    assert cloud.call("sts", "GetCallerIdentity")["Account"] == "123456789012"


def test_unknown_aws_profile_raises_credentials_missing(aws):
    with pytest.raises(CredentialsMissing):
        Cloud("us-east-1", "nobody").call("sts", "GetCallerIdentity")


def test_refused_credentials_lead_to_a_new_session(aws, cloud):
    cloud.call("sts", "GetCallerIdentity")
    before = cloud.session()
    aws.fault(action="GetCallerIdentity", do="error", code="ExpiredToken", status=403)
    with pytest.raises(CredentialsMissing):
        cloud.call("sts", "GetCallerIdentity")
    assert cloud.session() is not before


def test_aws_profile_is_read_from_the_credentials_file(aws, monkeypatch, tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id=210987654321\naws_secret_access_key=s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    identity = Cloud("us-east-1", "lab").call("sts", "GetCallerIdentity")
    assert identity["Account"] == "210987654321"


def test_pages_returns_the_items_of_all_pages(aws, cloud):
    machines = list(
        cloud.pages("ec2", "DescribeInstanceTypeOfferings", "InstanceTypeOfferings", MaxResults=50)
    )
    assert len(machines) > 100
    assert len(calls(aws, "DescribeInstanceTypeOfferings")) == -(-len(machines) // 50)


def test_pages_sends_no_page_size_for_named_items(cloud):
    names = ["t3.small", "t3.large"]
    types = cloud.pages("ec2", "DescribeInstanceTypes", "InstanceTypes", InstanceTypes=names)
    assert {type_["InstanceType"] for type_ in types} == set(names)


def test_invalid_arguments_raise_the_error_of_boto3(cloud):
    with pytest.raises(Exception, match="validation failed") as caught:
        cloud.call("ec2", "CreateTags", Resources="no list", Tags=[])
    assert type(caught.value).__name__ == "ParamValidationError"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RequestLimitExceeded", 503, AwsThrottled),
        ("Throttling", 400, AwsThrottled),
        ("InsufficientInstanceCapacity", 500, CapacityUnavailable),
        ("Unsupported", 400, AwsRefused),
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
def test_fault_of_maps_each_aws_code_to_its_problem(code, status, kind):
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
        ("Unsupported", "Your requested instance type (t3.nano) is not supported in your "
         "requested Availability Zone (us-east-1e).", TypeNotOffered, "does not offer"),
        ("Unsupported", "The requested configuration is currently not supported. Please check "
         "the documentation for supported configurations.", AwsRefused, "currently not supported"),
        ("InvalidParameterCombination", "The specified instance type is not eligible for Free "
         "Tier. For a list", NotInFreePlan, "Free plan"),
        ("InvalidParameterCombination", "Network interfaces and", AwsRefused, "Network"),
        ("PendingVerification", "Your request for accessing resources in this region is being "
         "validated", AccountPending, "four hours"),
    ],
)  # fmt: skip
def test_fault_of_distinguishes_several_causes_of_one_aws_code(code, message, kind, words):
    """EC2 API Reference, "Error codes for the Amazon EC2 API"."""
    fault = fault_of("ec2:RunInstances", code, message, 400)
    assert type(fault) is kind
    assert words in fault.message
    assert message in fault.details


@pytest.mark.parametrize(
    ("code", "helps"),
    [
        ("VcpuLimitExceeded", "choose a smaller machine"),
        ("SecurityGroupLimitExceeded", "delete some that are not used"),
        ("KeyPairLimitExceeded", "delete some that are not used"),
    ],
)
def test_quota_says_what_helps_against_it(code, helps):
    fault = fault_of("ec2:RunInstances", code, "Too many. Please visit http://a for more.", 400)
    assert helps in fault.remediation
    assert fault.message.startswith("Too many") and "Please visit" in fault.details
    assert "Please visit" not in fault.message


def test_refused_price_call_keeps_the_session(aws, cloud):
    """The price list of AWS refuses credentials of GovCloud and China."""
    cloud.call("ec2", "DescribeVpcs")
    session = cloud.session()
    aws.fault(action="GetProducts", do="error", code="UnrecognizedClientException", status=400)
    with pytest.raises(AwsRefused):
        cloud.call("pricing", "GetProducts", ServiceCode="AmazonEC2")
    assert cloud.session() is session


def test_missing_resource_has_the_code_of_aws():
    assert fault_of("x:Y", "InvalidVolume.NotFound", "", 400).code == "InvalidVolume.NotFound"


def test_import_of_the_provider_does_not_load_boto3():
    look = "import sys, prism.providers.aws.compute.lifecycle; print('boto3' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"


def test_client_of_credentials_that_were_replaced_meanwhile_is_not_kept(aws, monkeypatch):
    cloud = Cloud("us-east-1", sleep=lambda _: None)
    session = cloud.session

    def replaced():
        before = session()
        cloud._forget_session()
        return before

    monkeypatch.setattr(cloud, "session", replaced)
    cloud._client("ec2")
    assert cloud._clients == {}
    monkeypatch.setattr(cloud, "session", session)
    assert cloud._client("ec2") is cloud._client("ec2")


def test_each_try_of_a_call_is_counted_by_its_result(aws, cloud, monkeypatch):
    counts = CallCounts()
    monkeypatch.setattr("prism.providers.aws.api.cloud.AWS_CALLS", counts)
    aws.fault(action="DescribeInstances", do="throttle", times=2)
    cloud.call("ec2", "DescribeInstances")
    with pytest.raises(Missing):
        cloud.call("ec2", "CreateTags", **TAG)
    assert counts.snapshot() == {
        ("ec2:DescribeInstances", "throttled"): 2,
        ("ec2:DescribeInstances", "ok"): 1,
        ("ec2:CreateTags", "refused"): 1,
    }
