"""The security group is found or created, and open to one address."""

from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from prism.errors import Unavailable
from prism.providers.aws.api.faults import AwsDenied
from tests.providers.aws.prerequisites.conftest import CIDR


@pytest.fixture
def ec2(aws):
    return boto3.client("ec2")


def ours(ec2):
    answer = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["prism-*"]}])
    return answer["SecurityGroups"]


def ingress_rules(ec2, id):
    """The open ports, and the addresses that may connect."""
    [group] = ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"]
    return {
        (ippermission["FromPort"], peer.get("CidrIp") or peer.get("CidrIpv6"))
        for ippermission in group["IpPermissions"]
        for peer in (*ippermission["IpRanges"], *ippermission["Ipv6Ranges"])
    }


def test_group_opens_only_ssh_and_only_to_the_caller(prerequisites, ec2):
    id = prerequisites.group()
    assert ingress_rules(ec2, id) == {(22, CIDR)}
    [group] = ours(ec2)
    assert {"Key": "prism:managed", "Value": "true"} in group["Tags"]
    assert group["GroupName"] == f"prism-{prerequisites.pair().fingerprint}"


def test_requested_ports_have_a_group_of_their_own(prerequisites, ec2):
    plain, more = prerequisites.group(), prerequisites.group([8888, 22, 8888])
    assert plain != more
    assert ingress_rules(ec2, plain) == {(22, CIDR)}
    assert ingress_rules(ec2, more) == {(22, CIDR), (8888, CIDR)}


def test_group_is_found_by_another_daemon(make_prerequisites, ec2, count_calls):
    assert make_prerequisites().group() == make_prerequisites().group()
    assert len(ours(ec2)) == 1
    assert count_calls("AuthorizeSecurityGroupIngress") == 1


def test_two_homes_with_one_profile_name_have_different_groups(make_prerequisites, tmp_path):
    assert make_prerequisites().group() != make_prerequisites(home=tmp_path / "other").group()


def test_concurrent_daemons_create_one_group(make_prerequisites, ec2):
    prerequisites_of = [
        make_prerequisites() for _ in range(8)
    ]  # as many daemons, each with its own memory
    prerequisites_of[0].pair()
    with ThreadPoolExecutor(8) as many:
        ids = set(many.map(lambda it: it.group([80]), prerequisites_of))
    assert len(ids) == len(ours(ec2)) == 1
    assert ingress_rules(ec2, ids.pop()) == {(22, CIDR), (80, CIDR)}


@pytest.mark.parametrize("do", ["lost", "twice", "throttle", "drop"])
@pytest.mark.parametrize("action", ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"])
def test_one_group_exists_after_a_fault_of_any_call(aws, prerequisites, ec2, action, do):
    aws.fault(action=action, do=do)
    try:
        id = prerequisites.group()
    except Unavailable:
        id = prerequisites.group()
    assert [our["GroupId"] for our in ours(ec2)] == [id]
    assert ingress_rules(ec2, id) == {(22, CIDR)}


def test_new_address_replaces_the_old_address_and_foreign_rules_are_kept(
    make_prerequisites, ec2, prerequisites_clock
):
    addresses = [CIDR]
    prerequisites = make_prerequisites(caller=lambda: addresses[0])
    id = prerequisites.group([80])
    ec2.authorize_security_group_ingress(
        GroupId=id, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="198.51.100.0/24"
    )
    addresses[0] = "2001:db8::7/128"
    assert prerequisites.group([80]) == id
    assert (22, CIDR) in ingress_rules(ec2, id), "the address is cached"
    prerequisites_clock.advance(minutes=10)
    assert prerequisites.group([80]) == id
    assert ingress_rules(ec2, id) == {
        (22, addresses[0]),
        (80, addresses[0]),
        (22, "198.51.100.0/24"),
    }


def test_open_ingress_authorizes_the_new_address_in_every_group(make_prerequisites, ec2):
    addresses = [CIDR]
    prerequisites = make_prerequisites(caller=lambda: addresses[0])
    plain, more = prerequisites.group(), prerequisites.group([80, 8888])
    addresses[0] = "198.51.100.9/32"
    assert prerequisites.open_ingress() == addresses[0]
    assert ingress_rules(ec2, plain) == {(22, addresses[0])}
    assert ingress_rules(ec2, more) == {(port, addresses[0]) for port in (22, 80, 8888)}


def test_deleted_group_is_created_again(prerequisites, ec2, prerequisites_clock):
    first = prerequisites.group()
    ec2.delete_security_group(GroupId=first)
    prerequisites.forget()
    assert prerequisites.group() != first


def test_denied_group_creation_names_the_permission(aws, prerequisites):
    aws.fault(action="CreateSecurityGroup", do="error", code="UnauthorizedOperation", status=403)
    with pytest.raises(AwsDenied, match="ec2:CreateSecurityGroup"):
        prerequisites.group()
