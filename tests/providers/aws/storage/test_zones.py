"""A workspace that is launched with volumes goes where they are."""

import pytest

from aws_double.rulebook import build
from prism.providers.aws.api.faults import CapacityUnavailable
from tests.providers.aws.place import AwsParts


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


def stands(place, id):
    [machine] = [machine for machine in place.aws.machines() if machine["id"] == id]
    return machine["zone"]


@pytest.mark.parametrize("zone", ["us-east-1a", "us-east-1b"])
@pytest.mark.parametrize("attempt", range(3))
def test_it_goes_to_the_zone_of_its_volumes_whatever_was_tried(aws_parts, zone, attempt):
    assert stands(aws_parts, aws_parts.launch(zone=zone, attempt=attempt).id) == zone


def test_it_tries_no_other_zone(aws_parts):
    aws_parts.aws.rules = build({"capacity": [{"type": "t3.*", "zone": "us-east-1b"}]})
    with pytest.raises(CapacityUnavailable, match=r"no capacity for t3\.small in us-east-1b$"):
        aws_parts.launch(zone="us-east-1b")
    assert aws_parts.aws.machines() == []


def test_where_its_type_is_not_to_be_had_that_is_said(aws_parts):
    with pytest.raises(CapacityUnavailable, match="Its volumes are in us-east-1e"):
        aws_parts.launch(zone="us-east-1e")
