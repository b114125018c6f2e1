"""`prism aws check` asks for each limit of a new account, and says what will work."""

import pytest

from aws_double.rulebook import build
from prism.catalog.plan import TYPES
from prism.providers.aws.account.checks import account_checks
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import CredentialsMissing
from prism.providers.aws.prerequisites.free_plan import advice, cheapest, free_types

CANONICAL = "099720109477"


@pytest.fixture
def cloud(aws):
    return Cloud("us-west-2", sleep=lambda _: None)


def checked(cloud):
    return {check.name: check for check in account_checks(cloud)}


def test_usual_account_passes_every_check(cloud):
    checks = checked(cloud)
    assert list(checks) == ["plan", "vCPUs", "GPUs", "images", "disk key"]
    assert all(check.ok and not check.remediation for check in checks.values()), checks


def test_free_plan_names_the_types_that_work_and_one_to_launch(cloud, aws):
    aws.rules = build({"free_plan": True})
    plan = checked(cloud)["plan"]
    assert plan.ok is False
    assert "only t3.micro, t3.small" in plan.message
    assert "t3.medium" not in plan.message
    assert "--instance-type t3.small`" in plan.remediation
    assert "t3.small" in (free_types(cloud) or ())


def test_paid_plan_has_no_list_of_types(cloud):
    assert free_types(cloud) is None
    assert cheapest(set()) is None
    assert advice(set()).startswith("Upgrade the plan")
    assert cheapest({"t4g.small", "t3.micro"}) == TYPES["t4g.small"]


@pytest.mark.parametrize(
    ("vcpus", "gpus", "ok", "words"),
    [
        (5, 0, True, "5 vCPUs at once; too few for"),
        (1, 0, False, "1 vCPUs at once; too few for every type"),
        (256, 8, True, "256 vCPUs at once"),
    ],
)
def test_quotas_name_the_types_that_never_fit(cloud, aws, vcpus, gpus, ok, words):
    aws.rules = build({"quotas": {"standard": vcpus, "gpu": gpus}})
    checks = checked(cloud)
    assert (checks["vCPUs"].ok, words in checks["vCPUs"].message) == (ok, True)
    assert ("t3.2xlarge" in checks["vCPUs"].message) is (1 < vcpus < 8)
    assert checks["GPUs"].ok is (gpus >= 4)
    if not checks["GPUs"].ok:
        assert "too few for every type" in checks["GPUs"].message
        assert "higher quota" in checks["GPUs"].remediation


def test_allowed_amis_names_the_systems_that_it_hides(cloud, aws):
    aws.rules = build({"image_owners": [CANONICAL]})
    images = checked(cloud)["images"]
    assert images.ok is False
    assert "hides those of debian-12, amazon-linux-2023, rocky-9" in images.message
    assert "136693071363" in images.remediation
    assert CANONICAL not in images.remediation


def test_own_key_for_disks_is_named_with_what_it_must_allow(cloud, aws):
    key = "arn:aws:kms:us-west-2:1:key/a"
    aws.rules = build({"disk_key": key})
    check = checked(cloud)["disk key"]
    assert (check.ok, key in check.message) == (None, True)
    assert "kms:CreateGrant" in check.remediation


def test_check_that_may_not_ask_is_not_known_and_the_others_are(cloud, aws):
    aws.rules = build({"denied": ["GetAccountPlanState", "GetServiceQuota"]})
    checks = checked(cloud)
    assert [checks[name].ok for name in ("plan", "vCPUs", "GPUs")] == [None] * 3
    assert "freetier:GetAccountPlanState" in checks["plan"].message
    assert checks["images"].ok


def test_expired_login_is_no_answer_of_a_check(cloud, aws):
    aws.fault(action="GetEbsDefaultKmsKeyId", do="error", code="ExpiredToken", status=403)
    with pytest.raises(CredentialsMissing):
        account_checks(cloud)
