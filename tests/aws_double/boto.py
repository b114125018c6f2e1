"""Requests to the double through boto3, with dummy keys and no retries."""

from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_double.double import AwsDouble
from aws_double.facts.images import parameters
from aws_double.rulebook import build

CANONICAL = "/aws/service/canonical/ubuntu/server"
UBUNTUS = {
    "22.04": f"{CANONICAL}/22.04/stable/current/{{}}/hvm/ebs-gp2/ami-id",
    "24.04": f"{CANONICAL}/24.04/stable/current/{{}}/hvm/ebs-gp3/ami-id",
}
UBUNTU = UBUNTUS["22.04"]  # the newest that AWS hibernates
DEBIAN = "/aws/service/debian/release/12/latest/{}"
ACCOUNT, OTHER = "123456789012", "210987654321"


@cache
def _client(url: str, service: str, region: str, account: str, patience: float) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=account,
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=patience),
    )


def client(
    aws: AwsDouble,
    service: str,
    region: str = "us-east-1",
    account: str = ACCOUNT,
    patience: float = 60,
) -> Any:
    return _client(aws.url, service, region, account, patience)


def image(architecture: str = "amd64", region: str = "us-east-1", parameter: str = DEBIAN) -> str:
    return parameters(region)[parameter.format(architecture)]


def order(tags: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """The parameters of a launch of one small instance, and `more`."""
    request = {"ImageId": image(), "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    if tags:
        tag_list = [{"Key": key, "Value": value} for key, value in tags.items()]
        request["TagSpecifications"] = [{"ResourceType": "instance", "Tags": tag_list}]
    return request | more


def launch_instance(ec2: Any, tags: dict[str, str] | None = None, **more: Any) -> Any:
    return ec2.run_instances(**order(tags, **more))["Instances"][0]["InstanceId"]


def running_instance(
    aws: AwsDouble, ec2: Any, tags: dict[str, str] | None = None, **more: Any
) -> Any:
    id = launch_instance(ec2, tags, **more)
    aws.clock.advance(1)
    assert state(ec2, id) == "running"
    return id


def described_instance(ec2: Any, id: str) -> Any:
    [reservation] = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    return reservation["Instances"][0]


def state(ec2: Any, id: str) -> Any:
    return described_instance(ec2, id)["State"]["Name"]


def instance_ids(ec2: Any, **filters: Any) -> list[str]:
    return [
        instance["InstanceId"]
        for reservation in ec2.describe_instances(**filters)["Reservations"]
        for instance in reservation["Instances"]
    ]


def refused(code: str, call: Callable[..., object], **args: Any) -> Any:
    """Assert that the call is refused with that code; return the answer."""
    with pytest.raises(ClientError) as caught:
        call(**args)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response


def refusal_message(code: str, call: Callable[..., object], **args: Any) -> Any:
    return refused(code, call, **args)["Error"]["Message"]


def set_rules(aws: AwsDouble, **rules: Any) -> None:
    """Set rules of the double; unless `like` is given, AWS is consistent."""
    aws.rules = build({"like": "consistent", **rules})


def console(ec2: Any, id: str) -> Any:
    return ec2.get_console_output(InstanceId=id).get("Output", "")


def disk(size: int, device: str = "/dev/xvda", **more: Any) -> dict[str, Any]:
    return {"DeviceName": device, "Ebs": {"VolumeSize": size, **more}}


def hibernation_order(**more: Any) -> dict[str, Any]:
    """The parameters of a launch of an instance that can hibernate."""
    return {
        "ImageId": image(parameter=UBUNTU),
        "HibernationOptions": {"Configured": True},
        "BlockDeviceMappings": [disk(20, "/dev/sda1", Encrypted=True)],
        **more,
    }
