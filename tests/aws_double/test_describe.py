"""Filters, pagination and tags."""

import pytest

from tests.aws_double.boto import (
    client,
    image,
    instance_ids,
    launch_instance,
    order,
    refusal_message,
    refused,
    running_instance,
)


def where(name, *values):
    return {"Filters": [{"Name": name, "Values": list(values)}]}


def test_client_token_filter_lists_the_instance_of_a_launch(ec2):
    """client-token: the idempotency token you provided when you launched the instance.

    DescribeInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
    """
    id = launch_instance(ec2, ClientToken="mine")
    launch_instance(ec2, ClientToken="theirs")
    assert instance_ids(ec2, **where("client-token", "mine")) == [id]
    assert instance_ids(ec2, **where("client-token", "nobody")) == []


def test_filters_are_combined_with_and_and_their_values_with_or(aws, ec2):
    """Any of the values, all of the filters; * and ? are wildcards, a backslash escapes.

    Find your Amazon EC2 resources: filtering
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
    """
    small = running_instance(aws, ec2, {"Name": "a1", "prism:managed": "true"})
    large = launch_instance(ec2, {"Name": "a2*"}, InstanceType="t3.large")
    assert instance_ids(ec2, **where("tag:Name", "a1", "a2*")) == [small, large]
    assert instance_ids(ec2, **where("tag:Name", "a?")) == [small]
    assert instance_ids(ec2, **where("tag:Name", "a*")) == [small, large]
    assert instance_ids(ec2, **where("tag:Name", "a2\\*")) == [large]
    assert instance_ids(ec2, **where("tag:name", "a1")) == []
    assert instance_ids(ec2, **where("tag-key", "prism:*")) == [small]
    both = [
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
        {"Name": "instance-type", "Values": ["t3.large"]},
    ]
    assert instance_ids(ec2, Filters=both) == [large]
    assert instance_ids(ec2, **where("instance-state-code", "16")) == [small]


def test_unknown_filter_is_refused(ec2):
    """InvalidParameterValue: the filter is invalid.

    Find your Amazon EC2 resources: filtering
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
    """
    assert "'colour'" in refusal_message(
        "InvalidParameterValue", ec2.describe_instances, **where("colour")
    )


def test_pagination_lists_every_instance_despite_changes(ec2):
    """MaxResults is 5 to 1000; NextToken leads on, whatever changes in between.

    DescribeInstances, Pagination
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
    """
    ids = [launch_instance(ec2) for _ in range(12)]
    first = ec2.describe_instances(MaxResults=5)
    ec2.terminate_instances(InstanceIds=ids[:2])
    later = [launch_instance(ec2)]
    rest, listed_ids = first, []
    while True:
        listed_ids += [
            instance["InstanceId"] for r in rest["Reservations"] for instance in r["Instances"]
        ]
        if "NextToken" not in rest:
            break
        rest = ec2.describe_instances(MaxResults=5, NextToken=rest["NextToken"])
    assert listed_ids == ids + later
    for size in (4, 1001):
        refused("InvalidParameterValue", ec2.describe_instances, MaxResults=size)
    refused("InvalidNextToken", ec2.describe_instances, MaxResults=5, NextToken="x")
    refused("InvalidParameterValue", ec2.describe_instances, MaxResults=5, InstanceIds=ids[:1])


def test_describe_instances_with_an_unknown_id_is_refused(ec2):
    """InvalidInstanceID.NotFound names the ids that do not exist.

    Error codes for the Amazon EC2 API
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    id, unknown = launch_instance(ec2), "i-0123456789abcdef0"
    request = {"InstanceIds": [id, unknown]}
    refusal = refusal_message("InvalidInstanceID.NotFound", ec2.describe_instances, **request)
    assert unknown in refusal
    assert id not in refusal


def test_instances_of_one_launch_have_one_reservation(ec2):
    """One reservation for each launch request.

    Reservation
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Reservation.html
    """
    ec2.run_instances(**order(MinCount=2, MaxCount=2))
    launch_instance(ec2)
    sizes = [
        len(reservation["Instances"]) for reservation in ec2.describe_instances()["Reservations"]
    ]
    assert sorted(sizes) == [1, 2]


def test_instance_status_lists_running_instances_by_default(aws, ec2):
    """By default only running instances are described.

    DescribeInstanceStatus
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html
    """
    running_instance(aws, ec2)
    launch_instance(ec2)
    assert len(ec2.describe_instance_status()["InstanceStatuses"]) == 1
    assert len(ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]) == 2


BAD_TAGS = {
    "reserved": ([("aws:x", "y")], "InvalidParameterValue"),
    "twice": ([("a", "1"), ("a", "2")], "InvalidParameterValue"),
    "long key": ([("k" * 129, "")], "InvalidParameterValue"),
    "long value": ([("a", "v" * 257)], "InvalidParameterValue"),
    "too many": ([(f"k{n}", "") for n in range(51)], "TagLimitExceeded"),
}


@pytest.mark.parametrize("pairs, code", BAD_TAGS.values(), ids=BAD_TAGS)
def test_tags_beyond_the_limits_are_refused(ec2, pairs, code):
    """50 tags; keys of 128, values of 256 characters; aws: is reserved; keys are unique.

    Tag your Amazon EC2 resources: tag restrictions
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
    """
    tags = [{"Key": key, "Value": value} for key, value in pairs]
    spec = [{"ResourceType": "instance", "Tags": tags}]
    refused(code, ec2.run_instances, **order(TagSpecifications=spec))
    assert instance_ids(ec2) == []
    id = launch_instance(ec2)
    refused(code, ec2.create_tags, Resources=[id], Tags=tags)


def test_tags_are_overwritten_and_deleted(ec2):
    """CreateTags overwrites; DeleteTags with a value deletes only that value.

    DeleteTags
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
    """
    id = launch_instance(ec2, {"a": "1", "b": "2"})
    ec2.create_tags(Resources=[id], Tags=[{"Key": "a", "Value": "3"}])
    ec2.delete_tags(Resources=[id], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    lines = ec2.describe_tags(**where("resource-id", id))["Tags"]
    assert [(line["Key"], line["Value"], line["ResourceType"]) for line in lines] == [
        ("a", "3", "instance")
    ]


def test_instances_are_listed_in_their_own_region_only(aws, ec2):
    """Resources are tied to a Region; listing shows those of one.

    Regions and Zones
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html
    """
    west = client(aws, "ec2", "us-west-2")
    id = launch_instance(west, ImageId=image(region="us-west-2"))
    assert (instance_ids(ec2), instance_ids(west)) == ([], [id])
    assert "us-west-2" in {region["RegionName"] for region in ec2.describe_regions()["Regions"]}
