"""Images: public ones, and those of the caller's own instances."""

import pytest

from aws_double.facts.images import parameters, published
from tests.aws_double.boto import (
    client,
    hibernation_order,
    launch_instance,
    order,
    refusal_message,
    refused,
    running_instance,
    set_rules,
    state,
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
def test_public_parameter_contains_the_newest_image(aws, region, name, architecture):
    """The publishers keep the latest AMI id in a public parameter of each Region.

    Calling AMI public parameters in Parameter Store
    https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-ami.html
    """
    value = client(aws, "ssm", region).get_parameter(Name=name)["Parameter"]["Value"]
    [image] = client(aws, "ec2", region).describe_images(ImageIds=[value])["Images"]
    assert image["Architecture"] == architecture
    same_owner = client(aws, "ec2", region).describe_images(Owners=[image["OwnerId"]])["Images"]
    series = image["Name"].partition("-2026")[0]
    of_it = [candidate for candidate in same_owner if candidate["Name"].startswith(series)]
    assert max(of_it, key=lambda it: it["CreationDate"]) == image


def test_unknown_public_parameter_is_not_found(aws):
    """ParameterNotFound; GetParameters lists such names instead.

    GetParameters
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
    """
    ssm, unknown = client(aws, "ssm"), "/aws/service/rocky/9"
    refused("ParameterNotFound", ssm.get_parameter, Name=unknown)
    known = DEBIAN.format("amd64")
    answer = ssm.get_parameters(Names=[known, unknown])
    assert [parameter["Name"] for parameter in answer["Parameters"]] == [known]
    assert answer["InvalidParameters"] == [unknown]
    pages = ssm.get_paginator("get_parameters_by_path")
    listing = pages.paginate(Path="/aws/service", Recursive=True, PaginationConfig={"PageSize": 2})
    names = {parameter["Name"] for page in listing for parameter in page["Parameters"]}
    assert names == set(parameters("us-east-1"))


def test_own_parameter_is_stored_overwritten_and_deleted(aws):
    """ParameterAlreadyExists without Overwrite; names that begin with aws are reserved.

    PutParameter
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    """
    ssm = client(aws, "ssm")
    parameter = {"Name": "/mine", "Value": "x", "Type": "String"}
    ssm.put_parameter(**parameter)
    refused("ParameterAlreadyExists", ssm.put_parameter, **parameter)
    assert ssm.put_parameter(**parameter | {"Value": "y"}, Overwrite=True)["Version"] == 2
    assert ssm.get_parameter(Name="/mine")["Parameter"]["Value"] == "y"
    refused("AccessDeniedException", ssm.put_parameter, **parameter | {"Name": "/aws/mine"})
    ssm.delete_parameter(Name="/mine")
    refused("ParameterNotFound", ssm.delete_parameter, Name="/mine")


def test_describe_images_finds_rocky_by_owner_and_name(ec2):
    """DescribeImages by owner and name; the newest is chosen by CreationDate.

    Find an AMI that meets the requirements
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/finding-an-ami.html
    """
    filters = [
        {"Name": "name", "Values": ["Rocky-9-EC2-Base-9.*"]},
        {"Name": "architecture", "Values": ["arm64"]},
        {"Name": "state", "Values": ["available"]},
    ]
    images = ec2.describe_images(Owners=["792107900819"], Filters=filters)["Images"]
    dates = sorted(image["CreationDate"] for image in images)
    assert len(images) == 2
    assert dates[0] < dates[1]
    assert all(image["Name"].endswith("aarch64") for image in images)


def test_every_published_image_can_be_launched(ec2):
    """An AMI and a type of its architecture make an instance.

    RunInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    kinds = {"x86_64": "t3.small", "arm64": "t4g.small"}
    for published_image in published("us-east-1"):
        assert launch_instance(
            ec2, ImageId=published_image.id, InstanceType=kinds[published_image.architecture]
        )


# ---------------------------------------------------------------- own images
def test_image_of_an_instance_is_pending_then_available(aws, ec2):
    """The image is available when its snapshots are complete.

    CreateImage
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
    """
    set_rules(aws, times={"snapshot": 30})
    machine = running_instance(aws, ec2, **hibernation_order())
    ami = ec2.create_image(InstanceId=machine, Name="mine", NoReboot=True)["ImageId"]
    [now] = ec2.describe_images(Owners=["self"])["Images"]
    assert (now["ImageId"], now["State"]) == (ami, "pending")
    refused("IncorrectState", ec2.run_instances, **order(ImageId=ami))
    aws.clock.advance(30)
    instance_id = ec2.run_instances(**order(ImageId=ami))["Instances"][0]["InstanceId"]
    disks = ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
    )["Volumes"]
    assert [(disk["Size"], disk["Encrypted"]) for disk in disks] == [(20, True)]


def test_duplicate_image_name_is_refused(aws, ec2):
    """InvalidAMIName.Duplicate names the image that has it.

    Error codes for the Amazon EC2 API
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    machine = running_instance(aws, ec2)
    ami = ec2.create_image(InstanceId=machine, Name="mine")["ImageId"]
    request = {"InstanceId": machine, "Name": "mine"}
    assert ami in refusal_message("InvalidAMIName.Duplicate", ec2.create_image, **request)


def test_create_image_reboots_the_instance_unless_no_reboot(aws, ec2):
    """By default EC2 shuts down and reboots the instance.

    CreateImage
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
    """
    machine = running_instance(aws, ec2)

    def boots():
        return ec2.get_console_output(InstanceId=machine)["Output"].count("Linux version")

    ec2.create_image(InstanceId=machine, Name="quiet", NoReboot=True)
    assert boots() == 1
    ec2.create_image(InstanceId=machine, Name="loud")
    assert (boots(), state(ec2, machine)) == (2, "running")


def test_deregistering_an_image_of_another_owner_is_refused(ec2):
    """AuthFailure: only the owner may.

    DeregisterImage
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html
    """
    refused("AuthFailure", ec2.deregister_image, ImageId=published("us-east-1")[0].id)
