"""A machine whose tags were removed does not count as gone, and is tagged again.

A survey filters by the tag `prism:managed`; a machine that it lacks is described by its id.
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


def test_untagged_machine_is_found_by_its_id_and_tagged_again(aws_parts, untagged_machine_id):
    machine = aws_parts.compute.find(untagged_machine_id, aws_parts.spec(launched_at=None))
    assert (machine.id, machine.key) == (untagged_machine_id, "ws_1")
    assert machine.observed in {Observed.ON, Observed.STARTING}
    aws_parts.pass_on()
    [again] = aws_parts.compute.survey()
    assert again.key == "ws_1"
    tags = aws_parts.tags(untagged_machine_id)
    assert (tags["prism:managed"], tags["prism:name"], tags["prism:login"]) == (
        "true",
        "mine",
        "ubuntu",
    )


def test_tags_changed_by_others_are_kept(aws_parts):
    id = aws_parts.on()
    ec2 = boto3.client("ec2")
    ec2.delete_tags(Resources=[id], Tags=[{"Key": "prism:managed"}])
    ec2.create_tags(Resources=[id], Tags=[{"Key": "prism:ttl", "Value": "1h0m0s"}])
    aws_parts.pass_on()
    aws_parts.compute.find(id, aws_parts.spec())
    assert aws_parts.tags(id)["prism:ttl"] == "1h0m0s"


def test_find_returns_none_for_unknown_ids(aws_parts):
    assert aws_parts.compute.find("i-0123456789abcdef0", aws_parts.spec()) is None
    assert aws_parts.compute.find("local-0", aws_parts.spec()) is None


def test_machine_with_all_tags_is_not_tagged_again(aws_parts):
    id = aws_parts.on()
    before = len(aws_parts.calls("CreateTags"))
    assert aws_parts.compute.find(id, aws_parts.spec()).key == "ws_1"
    assert len(aws_parts.calls("CreateTags")) == before


def test_untagged_machine_is_found_even_if_tagging_is_denied(
    aws_parts, untagged_machine_id, caplog
):
    """The daily policy does not allow tagging a machine without Prism's instance profile."""
    aws_parts.aws.fault(action="CreateTags", do="error", code="UnauthorizedOperation", status=403)
    machine = aws_parts.compute.find(untagged_machine_id, aws_parts.spec(launched_at=None))
    assert (machine.id, machine.key) == (untagged_machine_id, "ws_1")
    assert "cannot be written again" in caplog.text
