"""How the tests ask: boto3 itself, over HTTP, with dummy keys and no retries."""

from functools import cache

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

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
def _client(url, service, region, account, patience):
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=account,
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=patience),
    )


def client(aws, service, region="us-east-1", account=ACCOUNT, patience=60):
    return _client(aws.url, service, region, account, patience)


def image(architecture="amd64", region="us-east-1", parameter=DEBIAN):
    return parameters(region)[parameter.format(architecture)]


def order(tags=None, **more):
    """What a launch of one small machine needs, and whatever else is said."""
    said = {"ImageId": image(), "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    if tags:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        said["TagSpecifications"] = [{"ResourceType": "instance", "Tags": listed}]
    return said | more


def launched(ec2, tags=None, **more):
    return ec2.run_instances(**order(tags, **more))["Instances"][0]["InstanceId"]


def running(aws, ec2, tags=None, **more):
    id = launched(ec2, tags, **more)
    aws.clock.advance(1)
    assert state(ec2, id) == "running"
    return id


def seen(ec2, id):
    [reservation] = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    return reservation["Instances"][0]


def state(ec2, id):
    return seen(ec2, id)["State"]["Name"]


def listed(ec2, **said):
    return [
        instance["InstanceId"]
        for reservation in ec2.describe_instances(**said)["Reservations"]
        for instance in reservation["Instances"]
    ]


def refused(code, call, **args):
    """The call is refused with that code; what is said to it."""
    with pytest.raises(ClientError) as caught:
        call(**args)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response


def message(code, call, **args):
    return refused(code, call, **args)["Error"]["Message"]


def order_rules(aws, **said):
    """Other rules; without a word about it, AWS is consistent in these tests."""
    aws.rules = build({"like": "consistent", **said})


def console(ec2, id):
    return ec2.get_console_output(InstanceId=id).get("Output", "")


def disk(size, device="/dev/xvda", **more):
    return {"DeviceName": device, "Ebs": {"VolumeSize": size, **more}}


def asleep_ready(**more):
    """What a launch needs so that its machine can hibernate."""
    return {
        "ImageId": image(parameter=UBUNTU),
        "HibernationOptions": {"Configured": True},
        "BlockDeviceMappings": [disk(20, "/dev/sda1", Encrypted=True)],
        **more,
    }
