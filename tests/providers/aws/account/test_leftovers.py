"""Security groups and key pairs that Prism has made are found by their key, and deleted."""

import pytest

from aws_double.rulebook import build
from prism.providers.aws.account.leftovers import Leftover, delete, leftovers
from tests.providers.aws.place import AwsParts


@pytest.fixture
def parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


def own(parts):
    return {parts.prerequisites.pair().fingerprint}


def test_groups_and_the_key_of_this_home_are_listed_and_deleted(parts, cloud):
    assert leftovers(cloud, own(parts)) == []
    parts.prepare()
    parts.prepare((8888,))
    parts.pass_on()
    items = leftovers(cloud, own(parts))
    [fingerprint] = own(parts)
    assert [(item.kind, item.name) for item in items] == [
        ("security group", f"prism-{fingerprint}"),
        ("security group", f"prism-{fingerprint}-8888"),
        ("key pair", f"prism-lab-{fingerprint}"),
    ]
    assert [delete(cloud, item).problem for item in items] == ["", "", ""]
    parts.pass_on()
    assert leftovers(cloud, own(parts)) == []


def test_those_of_another_home_are_not_listed(parts, cloud):
    parts.prepare()
    parts.pass_on()
    assert leftovers(cloud, {"0" * 16}) == []
    assert leftovers(cloud, set()) == []


def test_group_of_a_machine_stays_and_says_so(parts, cloud):
    parts.launch()
    [group, _] = leftovers(cloud, own(parts))
    assert delete(cloud, group).problem == "it is still in use"


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InternalError"])
def test_refused_deletion_names_the_reason(parts, cloud, code):
    parts.aws.rules = build({})
    parts.aws.fault(action="DeleteKeyPair", do="error", code=code, status=500, times=None)
    assert delete(cloud, Leftover(kind="key pair", id="key-1", name="x")).problem
