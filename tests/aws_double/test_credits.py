"""CPU credits of burstable instances: defaults, requested values and refusals."""

import pytest

from tests.aws_double.boto import (
    console,
    image,
    launch_instance,
    refused,
    running_instance,
    set_rules,
    state,
)


def credits_of(ec2, id):
    answer = ec2.describe_instance_credit_specifications(InstanceIds=[id])
    return [
        instancecreditspecification["CpuCredits"]
        for instancecreditspecification in answer["InstanceCreditSpecifications"]
    ]


@pytest.mark.parametrize(
    ("type", "usual"), [("t3.small", ["unlimited"]), ("t2.small", ["standard"]), ("c6i.large", [])]
)
def test_default_cpu_credits_depend_on_the_family(ec2, type, usual):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode.html"""
    assert credits_of(ec2, launch_instance(ec2, InstanceType=type)) == usual


@pytest.mark.parametrize(
    ("type", "credits", "minutes"),
    [
        ("t3.small", "standard", 10),  # 2 CPUs at 20 %, so one at 40 %
        ("t4g.large", "standard", 4 / 0.6),
        ("t3.xlarge", "standard", 4),  # 4 CPUs at 40 %: one is always free
        ("t3.small", "unlimited", 4),
        ("t2.small", "standard", 4),
    ],
)
def test_boot_without_launch_credits_runs_at_the_baseline(aws, ec2, type, credits, minutes):
    """T2 gets launch credits; T3, T3a and T4g do not.

    Standard mode for burstable performance instances
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-standard-mode.html
    """
    set_rules(aws, times={"boot": 240, "pending": 0}, slow_start=True)
    id = launch_instance(
        ec2,
        InstanceType=type,
        ImageId=image("arm64" if type.startswith("t4g") else "amd64"),
        CreditSpecification={"CpuCredits": credits},
        UserData="prism-boot: ready",
    )
    aws.clock.advance(minutes * 60 - 5)
    assert "ready" not in console(ec2, id)
    aws.clock.advance(10)
    assert "ready" in console(ec2, id)


def test_requested_cpu_credits_are_applied_or_refused(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreditSpecificationRequest.html"""
    standard = {"CreditSpecification": {"CpuCredits": "standard"}}
    assert credits_of(ec2, launch_instance(ec2, **standard)) == ["standard"]
    refused(
        "InvalidParameterValue", launch_instance, ec2=ec2, CreditSpecification={"CpuCredits": "x"}
    )
    refused(
        "InvalidParameterCombination",
        launch_instance,
        ec2=ec2,
        InstanceType="c6i.large",
        **standard,
    )


def test_resized_instance_has_the_default_cpu_credits_of_its_new_type(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceCreditSpecification.html"""
    id = running_instance(aws, ec2, InstanceType="c6i.large")
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(1)
    assert state(ec2, id) == "stopped"
    ec2.modify_instance_attribute(InstanceId=id, InstanceType={"Value": "t3.large"})
    assert credits_of(ec2, id) == ["unlimited"]
    wish = [{"InstanceId": id, "CpuCredits": "standard"}]
    ec2.modify_instance_credit_specification(InstanceCreditSpecifications=wish)
    assert credits_of(ec2, id) == ["standard"]


def test_failure_for_an_instance_is_part_of_a_successful_answer(aws, ec2):
    """Each instance succeeds or fails by itself; the call answers with status 200.

    UnsuccessfulInstanceCreditSpecificationItemError
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UnsuccessfulInstanceCreditSpecificationItemError.html
    """
    good = running_instance(aws, ec2, InstanceType="t3.small")
    other = running_instance(aws, ec2, InstanceType="c6i.large")
    off = running_instance(aws, ec2, InstanceType="t3.small")
    set_rules(aws, times={"stopping": 60})
    ec2.stop_instances(InstanceIds=[off])
    ids = (good, other, off, "i-0123456789abcdef0")
    answer = ec2.modify_instance_credit_specification(
        InstanceCreditSpecifications=[{"InstanceId": id, "CpuCredits": "standard"} for id in ids]
    )
    [changed] = answer["SuccessfulInstanceCreditSpecifications"]
    assert changed["InstanceId"] == good
    failed = answer["UnsuccessfulInstanceCreditSpecifications"]
    assert {item["InstanceId"]: item["Error"]["Code"] for item in failed} == {
        other: "InstanceCreditSpecification.NotSupported",
        off: "IncorrectInstanceState",
        ids[3]: "InvalidInstanceID.NotFound",
    }
