"""Somebody removes a machine's tags: it is not gone, and gets them back.

A survey goes by the tag `prism:managed`; what it does not show is asked for by its id.
"""

import boto3
import pytest

from prism.workspaces.model import Observed


@pytest.fixture
def bare(place):
    """A machine without any tag."""
    id = place.on(launched_at=None)
    boto3.client("ec2").delete_tags(Resources=[id])
    place.pass_on()
    assert place.compute.survey() == []
    return id


def test_it_is_found_by_its_id_and_gets_its_tags_back(place, bare):
    found = place.compute.find(bare, place.order(launched_at=None))
    assert (found.id, found.key) == (bare, "ws_1")
    assert found.seen in {Observed.ON, Observed.STARTING}
    place.pass_on()
    [again] = place.compute.survey()
    assert again.key == "ws_1"
    tags = place.tags(bare)
    assert (tags["prism:managed"], tags["prism:name"], tags["prism:login"]) == (
        "true",
        "mine",
        "ubuntu",
    )


def test_what_others_have_changed_stays(place):
    id = place.on()
    ec2 = boto3.client("ec2")
    ec2.delete_tags(Resources=[id], Tags=[{"Key": "prism:managed"}])
    ec2.create_tags(Resources=[id], Tags=[{"Key": "prism:ttl", "Value": "1h0m0s"}])
    place.pass_on()
    place.compute.find(id, place.order())
    assert place.tags(id)["prism:ttl"] == "1h0m0s"


def test_what_is_not_there_is_not_there(place):
    assert place.compute.find("i-0123456789abcdef0", place.order()) is None
    assert place.compute.find("local-0", place.order()) is None


def test_one_with_all_its_tags_is_left_as_it_is(place):
    id = place.on()
    before = len(place.calls("CreateTags"))
    assert place.compute.find(id, place.order()).key == "ws_1"
    assert len(place.calls("CreateTags")) == before


def test_one_whose_tags_may_not_be_put_back_is_not_gone_either(place, bare, caplog):
    """Without our instance profile the daily policy has no right to tag it."""
    place.aws.fault(action="CreateTags", do="error", code="UnauthorizedOperation", status=403)
    found = place.compute.find(bare, place.order(launched_at=None))
    assert (found.id, found.key) == (bare, "ws_1")
    assert "goes on without its tags" in caplog.text
