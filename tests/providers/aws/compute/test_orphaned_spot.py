"""Machines that EC2 launches for spot requests of Prism while no daemon runs.

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


def terminate_and_wait(place, ec2):
    """Terminate a spot machine outside Prism, which EC2 replaces; wait for a long time."""
    gone = place.on(spot=True)
    ec2.terminate_instances(InstanceIds=[gone])
    place.aws.clock.advance(LONG)
    return gone


def living(place):
    return [machine["id"] for machine in place.aws.machines() if machine["state"] != "terminated"]


def survey_by_another_daemon(place, cloud, tmp_path):
    """Another daemon, which has no memory of the machines, and its second survey."""
    later = AwsParts(place.aws, cloud, tmp_path)
    later.compute.survey()
    return later, later.compute.survey()


def test_replacement_is_listed_as_an_orphan_and_can_be_terminated(aws_parts, ec2, cloud, tmp_path):
    gone = terminate_and_wait(aws_parts, ec2)
    [heir] = living(aws_parts)
    assert heir != gone
    later, [orphan] = survey_by_another_daemon(aws_parts, cloud, tmp_path)
    assert (orphan.id, orphan.key) == (heir, heir), "an orphan: no workspace has that key"
    [machine] = later.compute.found([heir])
    assert (machine.name, machine.profile, machine.spot) == ("mine", "lab", True)
    later.compute.terminate(heir)
    aws_parts.aws.clock.advance(60)
    assert living(aws_parts) == [], "EC2 launched no other machine"


def test_machine_without_tags_is_not_listed_as_a_replacement(aws_parts, ec2, cloud, tmp_path):
    mine = aws_parts.on(spot=True)
    ec2.delete_tags(Resources=[mine])
    aws_parts.pass_on()
    _, orphans = survey_by_another_daemon(aws_parts, cloud, tmp_path)
    assert orphans == [], "the machine belongs to a workspace, which finds it by its id"
    [request] = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["State"] == "active"


@by_an_administrator  # the fault denies tagging
def test_replacement_is_listed_even_if_tagging_is_denied(aws_parts, ec2, cloud, tmp_path, caplog):
    terminate_and_wait(aws_parts, ec2)
    aws_parts.aws.fault(action="CreateTags", do="error", code="UnauthorizedOperation", status=403)
    _, [orphan] = survey_by_another_daemon(aws_parts, cloud, tmp_path)
    assert orphan.observed in {Observed.ON, Observed.STARTING}
    assert "cannot be tagged" in caplog.text


def test_spot_requests_are_listed_at_intervals(aws_parts):
    aws_parts.compute.survey()
    for _ in range(3):
        aws_parts.compute.survey()
    assert len(aws_parts.calls("DescribeSpotInstanceRequests")) == 1
    aws_parts.aws.clock.advance(SURVEY_EVERY.total_seconds())
    aws_parts.compute.survey()
    assert len(aws_parts.calls("DescribeSpotInstanceRequests")) == 2
