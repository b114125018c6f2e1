"""What limits an account besides its policies: its plan, quotas, images, organization."""

import pytest

from tests.aws_double.boto import (
    ACCOUNT,
    UBUNTU,
    client,
    described_instance,
    disk,
    image,
    launch_instance,
    order,
    refusal_message,
    refused,
    set_rules,
)

CANONICAL = "099720109477"


def test_service_control_policy_denies_and_is_named(aws, ec2):
    """The message names the kind of policy, and EC2 adds an encoded message.

    Troubleshoot access denied error messages
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    set_rules(aws, organization=["ec2:RunInstances"])
    message = refusal_message("UnauthorizedOperation", ec2.run_instances, **order())
    assert "is not authorized to perform: ec2:RunInstances" in message
    assert "with an explicit deny in a service control policy: arn:aws:organizations::" in message
    assert "Encoded authorization failure message" in message


def test_simulation_says_apart_what_the_organization_allows(aws):
    """The decision is about the caller's policies; the organization's is beside it.

    EvaluationResult
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html
    """
    set_rules(aws, organization=["ec2:RunInstances"])
    [result] = client(aws, "iam").simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/prism", ActionNames=["ec2:RunInstances"]
    )["EvaluationResults"]
    assert result["EvalDecision"] == "allowed"
    assert result["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": False}


@pytest.mark.parametrize(
    "reason", ["Client.VolumeLimitExceeded", "Client.InternalError", "Server.InternalError"]
)
def test_accepted_launch_can_end_while_it_is_pending(aws, ec2, reason):
    """The state reason says why the machine went from pending to terminated.

    Troubleshoot Amazon EC2 instance launch issues
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
    """
    set_rules(aws, ends=[{"reason": reason, "machines": "Name=bad"}])
    bad, good = launch_instance(ec2, {"Name": "bad"}), launch_instance(ec2, {"Name": "good"})
    aws.clock.advance(1)
    instance = described_instance(ec2, bad)
    assert instance["State"]["Name"] == "terminated"
    assert instance["StateReason"]["Code"] == reason
    assert instance["StateReason"]["Message"].startswith(f"{reason}: ")
    assert described_instance(ec2, good)["State"]["Name"] == "running"


def test_free_plan_allows_only_eligible_types(aws, ec2):
    """Other types are refused; DescribeInstanceTypes lists the eligible ones.

    Track Free Tier usage for Amazon EC2
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-free-tier-usage.html
    """
    set_rules(aws, free_plan=True)
    medium = order() | {"InstanceType": "t3.medium"}
    message = refusal_message("InvalidParameterCombination", ec2.run_instances, **medium)
    assert "not eligible for Free Tier" in message
    launch_instance(ec2)
    eligible = [{"Name": "free-tier-eligible", "Values": ["true"]}]
    types = {
        t["InstanceType"] for t in ec2.describe_instance_types(Filters=eligible)["InstanceTypes"]
    }
    assert {"t3.micro", "t3.small"} <= types
    assert "t3.medium" not in types
    plan = client(aws, "freetier").get_account_plan_state()
    assert plan["accountPlanType"] == "FREE"


def test_allowed_amis_hide_images_of_others(aws, ec2):
    """An image that is not allowed is neither described nor launched.

    Control the discovery and use of AMIs in Amazon EC2 with Allowed AMIs
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-allowed-amis.html
    """
    assert ec2.get_allowed_images_settings()["State"] == "disabled"
    set_rules(aws, image_owners=[CANONICAL])
    assert ec2.get_allowed_images_settings()["State"] == "enabled"
    assert {i["OwnerId"] for i in ec2.describe_images()["Images"]} == {CANONICAL}
    refused("InvalidAMIID.NotFound", ec2.run_instances, **order())
    root = [disk(8, "/dev/sda1")]
    launch_instance(ec2, ImageId=image(parameter=UBUNTU), BlockDeviceMappings=root)


def test_quotas_of_vcpus_are_read_from_service_quotas(aws):
    """Quotas have codes; an account has a value for each.

    GetServiceQuota
    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
    """
    set_rules(aws, quotas={"standard": 5, "gpu": 0})
    quotas = client(aws, "service-quotas")
    value = lambda code: quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]  # noqa: E731
    assert (value("L-1216C47A")["Value"], value("L-DB2E81BA")["Value"]) == (5, 0)
    refused(
        "NoSuchResourceException", quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-1"
    )


def test_default_key_of_disks_is_awss_own_unless_the_account_has_another(aws, ec2):
    """GetEbsDefaultKmsKeyId names the key of disks whose request names none.

    GetEbsDefaultKmsKeyId
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetEbsDefaultKmsKeyId.html
    """
    assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    set_rules(aws, disk_key="arn:aws:kms:us-east-1:1:key/a")
    assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"].endswith("key/a")
