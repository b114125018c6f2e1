"""Tags that Prism has written override older descriptions of EC2."""

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
    """A running machine, whose changed tags EC2 describes minutes later."""
    id = aws_parts.on()
    aws_parts.aws.rules = build(LATE)
    return id


def tag(place, id, value, key="Name"):
    place.cloud.call("ec2", "CreateTags", Resources=[id], Tags=[{"Key": key, "Value": value}])


def test_written_tag_is_read_before_ec2_describes_it(aws_parts, machine_id, other_user):
    tag(aws_parts, machine_id, "new")
    assert aws_parts.look().key == "ws_1"
    assert aws_parts.instances.look(machine_id).tags["Name"] == "new"
    aws_parts.compute.survey()
    assert aws_parts.instances.known(machine_id).tags["Name"] == "new"
    answer = other_user.call("ec2", "DescribeInstances", InstanceIds=[machine_id])
    [instance] = answer["Reservations"][0]["Instances"]
    assert {"Key": "Name", "Value": "mine"} in instance["Tags"], "EC2 does not show it yet"


def test_deleted_tag_is_not_read_while_ec2_still_describes_it(aws_parts, machine_id):
    gone = [{"Key": "Name"}]
    aws_parts.cloud.call("ec2", "DeleteTags", Resources=[machine_id], Tags=gone)
    assert "Name" not in aws_parts.instances.look(machine_id).tags


def test_conditional_deletion_of_a_tag_is_not_assumed(aws_parts, machine_id):
    other = [{"Key": "Name", "Value": "somebody else's"}]
    aws_parts.cloud.call("ec2", "DeleteTags", Resources=[machine_id], Tags=other)
    assert aws_parts.instances.look(machine_id).tags["Name"] == "mine"


def test_tag_is_written_again_when_its_old_value_returns(aws_parts, machine_id):
    """The tag is restored although EC2 still describes its first value."""
    for project in ("reef", ""):
        aws_parts.compute.describe(machine_id, aws_parts.spec(project=project or None))
        aws_parts.compute.survey()
    aws_parts.aws.clock.advance(201)
    assert aws_parts.instances.look(machine_id).tags["prism:project"] == ""


def test_tag_changed_by_others_is_read_after_ec2_described_ours(aws_parts, machine_id, other_user):
    tag(aws_parts, machine_id, "new")
    aws_parts.aws.clock.advance(201)
    assert aws_parts.instances.look(machine_id).tags["Name"] == "new"
    aws_parts.aws.rules = build({"like": "consistent"})
    other_user.call(
        "ec2", "CreateTags", Resources=[machine_id], Tags=[{"Key": "Name", "Value": "theirs"}]
    )
    assert aws_parts.instances.look(machine_id).tags["Name"] == "theirs"


def test_written_tag_overrides_descriptions_for_a_limited_time(aws_parts, machine_id, other_user):
    aws_parts.aws.rules = build({"like": "consistent"})
    tag(aws_parts, machine_id, "new")
    other_user.call(
        "ec2", "CreateTags", Resources=[machine_id], Tags=[{"Key": "Name", "Value": "theirs"}]
    )
    assert aws_parts.instances.look(machine_id).tags["Name"] == "new"
    aws_parts.aws.clock.advance(CONSISTENT_AFTER.total_seconds())
    assert aws_parts.instances.look(machine_id).tags["Name"] == "theirs"
