"""Images: where they are found."""

import pytest

from aws_double.facts.images import published
from tests.aws_double.asked import (
    client,
    launched,
    refused,
)

UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id"
DEBIAN = "/aws/service/debian/release/12/latest/{}"
AMAZON = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
PUBLIC = [
    (path.format(word), architecture)
    for path, words in (
        (UBUNTU, ("amd64", "arm64")),
        (DEBIAN, ("amd64", "arm64")),
        (AMAZON, ("x86_64", "arm64")),
    )
    for word, architecture in zip(words, ("x86_64", "arm64"), strict=True)
]


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
@pytest.mark.parametrize("name, architecture", PUBLIC)
def test_a_public_parameter_leads_to_the_newest_image(aws, region, name, architecture):
    """The publishers keep the latest AMI id in a public parameter of each Region.

    Calling AMI public parameters in Parameter Store
    https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-ami.html
    """
    value = client(aws, "ssm", region).get_parameter(Name=name)["Parameter"]["Value"]
    [found] = client(aws, "ec2", region).describe_images(ImageIds=[value])["Images"]
    assert found["Architecture"] == architecture
    same_owner = client(aws, "ec2", region).describe_images(Owners=[found["OwnerId"]])["Images"]
    series = found["Name"].partition("-2026")[0]
    of_it = [it for it in same_owner if it["Name"].startswith(series)]
    assert max(of_it, key=lambda it: it["CreationDate"]) == found


def test_a_parameter_that_nobody_publishes_is_not_found(aws):
    """ParameterNotFound.

    GetParameter
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
    """
    refused("ParameterNotFound", client(aws, "ssm").get_parameter, Name="/aws/service/rocky/9")


def test_rocky_is_found_by_owner_and_name(ec2):
    """DescribeImages by owner and name; the newest is chosen by CreationDate.

    Find an AMI that meets the requirements
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/finding-an-ami.html
    """
    filters = [
        {"Name": "name", "Values": ["Rocky-9-EC2-Base-9.*"]},
        {"Name": "architecture", "Values": ["arm64"]},
        {"Name": "state", "Values": ["available"]},
    ]
    found = ec2.describe_images(Owners=["792107900819"], Filters=filters)["Images"]
    dates = sorted(it["CreationDate"] for it in found)
    assert len(found) == 2
    assert dates[0] < dates[1]
    assert all(it["Name"].endswith("aarch64") for it in found)


def test_every_image_of_every_base_can_be_launched(ec2):
    """An AMI and a type of its architecture make an instance.

    RunInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    kinds = {"x86_64": "t3.small", "arm64": "t4g.small"}
    for it in published("us-east-1"):
        assert launched(ec2, ImageId=it.id, InstanceType=kinds[it.architecture])
