"""Security groups and key pairs that Prism has made are found by their key, and deleted."""

import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.account.leftovers import AccountResource, delete, delete_all, leftovers
from prism.providers.aws.network.groups import find_or_make
from prism.providers.aws.storage.filesystems import EFS_GROUP
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
    assert delete(cloud, AccountResource(kind="key pair", id="key-1", name="x")).problem


def test_group_that_the_one_of_file_systems_names_is_deleted_too(parts, cloud):
    """A shared file system opens its group to that of each home; other homes' rules stay."""
    group = parts.prepare()
    network = cloud.call("ec2", "DescribeVpcs")["Vpcs"][0]["VpcId"]
    shared = None
    for _ in range(3):
        try:
            shared = find_or_make(cloud, network, EFS_GROUP, "Prism")
        except Unavailable:
            parts.pass_on()
    assert shared is not None
    rule = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049}
    peers = [{**rule, "UserIdGroupPairs": [{"GroupId": group}]}]
    ingress = {"GroupId": shared["GroupId"], "IpPermissions": peers}
    cloud.call("ec2", "AuthorizeSecurityGroupIngress", **ingress)
    parts.pass_on()
    assert [item.problem for item in delete_all(cloud, leftovers(cloud, own(parts)))] == [""] * 3


def test_key_stays_while_a_group_of_it_does(parts, cloud):
    parts.launch()
    problems = [item.problem for item in delete_all(cloud, leftovers(cloud, own(parts)))]
    assert problems == ["it is still in use", "its groups are still in use"]
