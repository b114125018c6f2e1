"""A workspace that is launched with volumes goes where they are."""

import pytest

from aws_double.rulebook import build
from prism.providers.aws.api.faults import CapacityUnavailable
from tests.providers.aws.place import AwsParts


@pytest.fixture
def place(stopped, cloud, tmp_path):
    return AwsParts(stopped, cloud, tmp_path)


def stands(place, id):
    [it] = [it for it in place.aws.machines() if it["id"] == id]
    return it["zone"]


@pytest.mark.parametrize("zone", ["us-east-1a", "us-east-1b"])
@pytest.mark.parametrize("attempt", range(3))
def test_it_goes_to_the_zone_of_its_volumes_whatever_was_tried(place, zone, attempt):
    assert stands(place, place.launch(zone=zone, attempt=attempt).id) == zone


def test_it_tries_no_other_zone(place):
    place.aws.rules = build({"capacity": [{"type": "t3.*", "zone": "us-east-1b"}]})
    with pytest.raises(CapacityUnavailable, match=r"no capacity for t3\.small in us-east-1b$"):
        place.launch(zone="us-east-1b")
    assert place.aws.machines() == []


def test_where_its_type_is_not_to_be_had_that_is_said(place):
    with pytest.raises(CapacityUnavailable, match="Its volumes are in us-east-1e"):
        place.launch(zone="us-east-1e")
