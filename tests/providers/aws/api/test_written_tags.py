"""What we have written counts, for as long as EC2 describes what was there before."""

import pytest

from aws_double.rulebook import build
from prism.providers.aws.api.written_tags import CONSISTENT_AFTER
from tests.providers.aws.place import AwsParts

LATE = {"times": {"tags": 200}}


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


@pytest.fixture
def machine_id(aws_parts):
    """One that runs; from now on changed tags are described minutes later."""
    id = aws_parts.on()
    aws_parts.aws.rules = build(LATE)
    return id


def tag(place, id, value, key="Name"):
    place.cloud.call("ec2", "CreateTags", Resources=[id], Tags=[{"Key": key, "Value": value}])


def test_who_has_written_a_tag_reads_it_and_others_read_the_old_one(
    aws_parts, machine_id, other_user
):
    tag(aws_parts, machine_id, "new")
    assert aws_parts.look().key == "ws_1"
    assert aws_parts.instances.look(machine_id).tags["Name"] == "new"
    aws_parts.compute.survey()
    assert aws_parts.instances.known(machine_id).tags["Name"] == "new"
    answer = other_user.call("ec2", "DescribeInstances", InstanceIds=[machine_id])
    [instance] = answer["Reservations"][0]["Instances"]
    assert {"Key": "Name", "Value": "mine"} in instance["Tags"], "EC2 does not show it yet"


def test_a_tag_that_was_removed_stays_so(aws_parts, machine_id):
    gone = [{"Key": "Name"}]
    aws_parts.cloud.call("ec2", "DeleteTags", Resources=[machine_id], Tags=gone)
    assert "Name" not in aws_parts.instances.look(machine_id).tags


def test_what_was_removed_only_if_it_said_something_is_not_guessed(aws_parts, machine_id):
    other = [{"Key": "Name", "Value": "somebody else's"}]
    aws_parts.cloud.call("ec2", "DeleteTags", Resources=[machine_id], Tags=other)
    assert aws_parts.instances.look(machine_id).tags["Name"] == "mine"


def test_there_and_back_is_written_twice(aws_parts, machine_id):
    """A tag is put back although EC2 still describes it as it was at first."""
    for project in ("reef", ""):
        aws_parts.compute.describe(machine_id, aws_parts.order(project=project or None))
        aws_parts.compute.survey()
    aws_parts.aws.clock.advance(201)
    assert aws_parts.instances.look(machine_id).tags["prism:project"] == ""


def test_once_it_was_described_others_may_change_it(aws_parts, machine_id, other_user):
    tag(aws_parts, machine_id, "new")
    aws_parts.aws.clock.advance(201)
    assert aws_parts.instances.look(machine_id).tags["Name"] == "new"
    aws_parts.aws.rules = build({"like": "consistent"})
    other_user.call(
        "ec2", "CreateTags", Resources=[machine_id], Tags=[{"Key": "Name", "Value": "theirs"}]
    )
    assert aws_parts.instances.look(machine_id).tags["Name"] == "theirs"


def test_it_counts_no_longer_than_ec2_needs(aws_parts, machine_id, other_user):
    aws_parts.aws.rules = build({"like": "consistent"})
    tag(aws_parts, machine_id, "new")
    other_user.call(
        "ec2", "CreateTags", Resources=[machine_id], Tags=[{"Key": "Name", "Value": "theirs"}]
    )
    assert aws_parts.instances.look(machine_id).tags["Name"] == "new"
    aws_parts.aws.clock.advance(CONSISTENT_AFTER.total_seconds())
    assert aws_parts.instances.look(machine_id).tags["Name"] == "theirs"
