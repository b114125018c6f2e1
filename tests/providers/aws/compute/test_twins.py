"""Machines with the tags of a workspace that no launch of Prism made.

AWS Backup Developer Guide, "Copy tags during a restore": a restored instance, volume or file
system gets the tags of the original. A person can do the same.
"""

import pytest

from prism.providers.aws.api import tags as names
from prism.workspaces.model import Observed
from tests.aws_double.boto import order


@pytest.fixture
def twin(aws_parts, other_user):
    """The id of a copy of the workspace's machine, and that of the machine."""
    id = aws_parts.on()
    request = order(dict(aws_parts.tags(id)))
    copy = other_user.call("ec2", "RunInstances", **request)["Instances"][0]["InstanceId"]
    aws_parts.pass_on()
    return copy, id


def by_key(aws_parts):
    return {machine.key: machine for machine in aws_parts.compute.survey()}


def test_twin_has_its_own_key_and_replaces_nothing(aws_parts, twin):
    copy, id = twin
    machines = by_key(aws_parts)
    assert (machines["ws_1"].id, machines[copy].id) == (id, copy)


def test_termination_ends_one_machine(aws_parts, twin):
    copy, id = twin
    aws_parts.compute.terminate(id)
    aws_parts.aws.clock.advance(10)
    machines = by_key(aws_parts)
    assert machines["ws_1"].observed is Observed.GONE
    assert machines[copy].observed is not Observed.GONE
    states = {machine["id"]: machine["state"] for machine in aws_parts.aws.machines()}
    assert states == {id: "terminated", copy: "running"}


def test_twin_is_an_orphan_that_names_the_workspace(aws_parts, twin):
    copy, id = twin
    aws_parts.compute.survey()
    machines = {machine.id: machine for machine in aws_parts.compute.found([copy, id])}
    assert (machines[copy].key, machines[copy].twin_of) == (copy, "mine")
    assert (machines[id].key, machines[id].twin_of) == ("ws_1", None)


def test_earlier_launch_is_not_taken_for_a_twin(aws_parts, other_user):
    """`_find_earlier_launch`: the machine of a used token is found by tag, and by the token."""
    request = order({names.MANAGED: "true", names.ID_TAG: "ws_1"})
    other_user.call("ec2", "RunInstances", **request)
    aws_parts.pass_on()
    assert aws_parts.instances.of_key("ws_1") is None
    id = aws_parts.launch().id
    assert aws_parts.instances.of_key("ws_1").id == id
