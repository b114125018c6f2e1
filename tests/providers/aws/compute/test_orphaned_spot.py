"""Machines that EC2 launches for spot requests of ours while no daemon looks.

EC2 User Guide, "Persistent requests": EC2 launches another machine when the one of a persistent
request is gone. It carries none of the tags; the request keeps them.
"""

import boto3
import pytest

from prism.providers.aws.compute.spot_requests import SURVEY_EVERY
from prism.workspaces.model import Observed
from tests.aws_policies import by_an_administrator
from tests.providers.aws.place import AwsParts

LONG = 2 * 3600  # EC2 remembers a machine that is gone for an hour


@pytest.fixture
def ec2(aws):
    return boto3.client("ec2")


def replaced(place, ec2):
    """A spot machine is destroyed at its console, and replaced, and nobody looks for long."""
    gone = place.on(spot=True)
    ec2.terminate_instances(InstanceIds=[gone])
    place.aws.clock.advance(LONG)
    return gone


def living(place):
    return [machine["id"] for machine in place.aws.machines() if machine["state"] != "terminated"]


def came_back(place, cloud, tmp_path):
    """Another daemon, which knows nothing of what was; what it sees by its second look."""
    later = AwsParts(place.aws, cloud, tmp_path)
    later.compute.survey()
    return later, later.compute.survey()


def test_one_that_came_while_the_daemon_was_away_is_found_and_may_be_destroyed(
    aws_parts, ec2, cloud, tmp_path
):
    gone = replaced(aws_parts, ec2)
    [heir] = living(aws_parts)
    assert heir != gone
    later, [orphan] = came_back(aws_parts, cloud, tmp_path)
    assert (orphan.id, orphan.key) == (heir, heir), "an orphan: no workspace has that key"
    [machine] = later.compute.found([heir])
    assert (machine.name, machine.profile, machine.spot) == ("mine", "lab", True)
    later.compute.terminate(heir)
    aws_parts.aws.clock.advance(60)
    assert living(aws_parts) == [], "and nothing came after it"


def test_it_is_told_from_a_machine_of_ours_whose_tags_somebody_removed(
    aws_parts, ec2, cloud, tmp_path
):
    mine = aws_parts.on(spot=True)
    ec2.delete_tags(Resources=[mine])
    aws_parts.pass_on()
    _, orphans = came_back(aws_parts, cloud, tmp_path)
    assert orphans == [], "its workspace looks for it by its id"
    [request] = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["State"] == "active"


@by_an_administrator  # whom a fault denies to tag
def test_one_that_may_not_be_tagged_is_shown_all_the_same(aws_parts, ec2, cloud, tmp_path, caplog):
    replaced(aws_parts, ec2)
    aws_parts.aws.fault(action="CreateTags", do="error", code="UnauthorizedOperation", status=403)
    _, [orphan] = came_back(aws_parts, cloud, tmp_path)
    assert orphan.seen in {Observed.ON, Observed.STARTING}
    assert "cannot be tagged" in caplog.text


def test_requests_are_looked_through_now_and_then(aws_parts):
    aws_parts.compute.survey()
    for _ in range(3):
        aws_parts.compute.survey()
    assert len(aws_parts.calls("DescribeSpotInstanceRequests")) == 1
    aws_parts.aws.clock.advance(SURVEY_EVERY.total_seconds())
    aws_parts.compute.survey()
    assert len(aws_parts.calls("DescribeSpotInstanceRequests")) == 2
