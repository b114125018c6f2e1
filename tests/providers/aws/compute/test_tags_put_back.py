"""Somebody removes a machine's tags: it is not gone, and gets them back.

A survey goes by the tag `prism:managed`; what it does not show is asked for by its id.
"""

import boto3
import pytest

from prism.workspaces.model import Observed


@pytest.fixture
def untagged_machine_id(aws_parts):
    """A machine without any tag."""
    id = aws_parts.on(launched_at=None)
    boto3.client("ec2").delete_tags(Resources=[id])
    aws_parts.pass_on()
    assert aws_parts.compute.survey() == []
    return id


def test_it_is_found_by_its_id_and_gets_its_tags_back(aws_parts, untagged_machine_id):
    machine = aws_parts.compute.find(untagged_machine_id, aws_parts.order(launched_at=None))
    assert (machine.id, machine.key) == (untagged_machine_id, "ws_1")
    assert machine.seen in {Observed.ON, Observed.STARTING}
    aws_parts.pass_on()
    [again] = aws_parts.compute.survey()
    assert again.key == "ws_1"
    tags = aws_parts.tags(untagged_machine_id)
    assert (tags["prism:managed"], tags["prism:name"], tags["prism:login"]) == (
        "true",
        "mine",
        "ubuntu",
    )


def test_what_others_have_changed_stays(aws_parts):
    id = aws_parts.on()
    ec2 = boto3.client("ec2")
    ec2.delete_tags(Resources=[id], Tags=[{"Key": "prism:managed"}])
    ec2.create_tags(Resources=[id], Tags=[{"Key": "prism:ttl", "Value": "1h0m0s"}])
    aws_parts.pass_on()
    aws_parts.compute.find(id, aws_parts.order())
    assert aws_parts.tags(id)["prism:ttl"] == "1h0m0s"


def test_what_is_not_there_is_not_there(aws_parts):
    assert aws_parts.compute.find("i-0123456789abcdef0", aws_parts.order()) is None
    assert aws_parts.compute.find("local-0", aws_parts.order()) is None


def test_one_with_all_its_tags_is_left_as_it_is(aws_parts):
    id = aws_parts.on()
    before = len(aws_parts.calls("CreateTags"))
    assert aws_parts.compute.find(id, aws_parts.order()).key == "ws_1"
    assert len(aws_parts.calls("CreateTags")) == before


def test_one_whose_tags_may_not_be_put_back_is_not_gone_either(
    aws_parts, untagged_machine_id, caplog
):
    """Without our instance profile the daily policy has no right to tag it."""
    aws_parts.aws.fault(action="CreateTags", do="error", code="UnauthorizedOperation", status=403)
    machine = aws_parts.compute.find(untagged_machine_id, aws_parts.order(launched_at=None))
    assert (machine.id, machine.key) == (untagged_machine_id, "ws_1")
    assert "cannot be written again" in caplog.text
