"""What we have written counts, for as long as EC2 describes what was there before."""

import pytest

from aws_double.rulebook import build
from prism.providers.aws.api.written_tags import CONSISTENT_AFTER
from tests.providers.aws.place import AwsParts

LATE = {"times": {"tags": 200}}


@pytest.fixture
def place(stopped, cloud, tmp_path):
    return AwsParts(stopped, cloud, tmp_path)


@pytest.fixture
def machine(place):
    """One that runs; from now on changed tags are described minutes later."""
    id = place.on()
    place.aws.rules = build(LATE)
    return id


def tag(place, id, value, key="Name"):
    place.cloud.call("ec2", "CreateTags", Resources=[id], Tags=[{"Key": key, "Value": value}])


def test_who_has_written_a_tag_reads_it_and_others_read_the_old_one(place, machine, somebody):
    tag(place, machine, "new")
    assert place.look().key == "ws_1"
    assert place.instances.look(machine).tags["Name"] == "new"
    place.compute.survey()
    assert place.instances.known(machine).tags["Name"] == "new"
    said = somebody.call("ec2", "DescribeInstances", InstanceIds=[machine])
    [it] = said["Reservations"][0]["Instances"]
    assert {"Key": "Name", "Value": "mine"} in it["Tags"], "EC2 does not show it yet"


def test_a_tag_that_was_removed_stays_so(place, machine):
    gone = [{"Key": "Name"}]
    place.cloud.call("ec2", "DeleteTags", Resources=[machine], Tags=gone)
    assert "Name" not in place.instances.look(machine).tags


def test_what_was_removed_only_if_it_said_something_is_not_guessed(place, machine):
    other = [{"Key": "Name", "Value": "somebody else's"}]
    place.cloud.call("ec2", "DeleteTags", Resources=[machine], Tags=other)
    assert place.instances.look(machine).tags["Name"] == "mine"


def test_there_and_back_is_written_twice(place, machine):
    """A tag is put back although EC2 still describes it as it was at first."""
    for project in ("reef", ""):
        place.compute.describe(machine, place.order(project=project or None))
        place.compute.survey()
    place.aws.clock.advance(201)
    assert place.instances.look(machine).tags["prism:project"] == ""


def test_once_it_was_described_others_may_change_it(place, machine, somebody):
    tag(place, machine, "new")
    place.aws.clock.advance(201)
    assert place.instances.look(machine).tags["Name"] == "new"
    place.aws.rules = build({"like": "consistent"})
    somebody.call(
        "ec2", "CreateTags", Resources=[machine], Tags=[{"Key": "Name", "Value": "theirs"}]
    )
    assert place.instances.look(machine).tags["Name"] == "theirs"


def test_it_counts_no_longer_than_ec2_needs(place, machine, somebody):
    place.aws.rules = build({"like": "consistent"})
    tag(place, machine, "new")
    somebody.call(
        "ec2", "CreateTags", Resources=[machine], Tags=[{"Key": "Name", "Value": "theirs"}]
    )
    assert place.instances.look(machine).tags["Name"] == "new"
    place.aws.clock.advance(CONSISTENT_AFTER.total_seconds())
    assert place.instances.look(machine).tags["Name"] == "theirs"
