"""A workspace with volumes is launched in their zone."""

import pytest

from aws_double.rulebook import build
from prism.providers.aws.api.faults import CapacityUnavailable
from tests.providers.aws.place import AwsParts


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


def zone_of(place, id):
    [machine] = [machine for machine in place.aws.machines() if machine["id"] == id]
    return machine["zone"]


@pytest.mark.parametrize("zone", ["us-east-1a", "us-east-1b"])
@pytest.mark.parametrize("attempt", range(3))
def test_machine_is_launched_in_the_zone_of_its_volumes_at_any_attempt(aws_parts, zone, attempt):
    assert zone_of(aws_parts, aws_parts.launch(zone=zone, attempt=attempt).id) == zone


def test_launch_with_volumes_tries_no_other_zone(aws_parts):
    aws_parts.aws.rules = build({"capacity": [{"type": "t3.*", "zone": "us-east-1b"}]})
    with pytest.raises(CapacityUnavailable, match=r"no capacity for t3\.small in us-east-1b$"):
        aws_parts.launch(zone="us-east-1b")
    assert aws_parts.aws.machines() == []


def test_launch_is_refused_if_the_zone_of_its_volumes_lacks_the_type(aws_parts):
    with pytest.raises(CapacityUnavailable, match="Its volumes are in us-east-1e"):
        aws_parts.launch(zone="us-east-1e")
