"""The security group: found or made, and open to one address."""

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


def doors(ec2, id):
    """Who may come to which port."""
    [group] = ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"]
    return {
        (ippermission["FromPort"], peer.get("CidrIp") or peer.get("CidrIpv6"))
        for ippermission in group["IpPermissions"]
        for peer in (*ippermission["IpRanges"], *ippermission["Ipv6Ranges"])
    }


def test_it_opens_ssh_to_the_caller_and_nothing_else(prerequisites, ec2):
    id = prerequisites.group()
    assert doors(ec2, id) == {(22, CIDR)}
    [group] = ours(ec2)
    assert {"Key": "prism:managed", "Value": "true"} in group["Tags"]
    assert group["GroupName"] == f"prism-{prerequisites.pair().fingerprint}"


def test_ports_that_were_asked_for_are_a_group_of_their_own(prerequisites, ec2):
    plain, more = prerequisites.group(), prerequisites.group([8888, 22, 8888])
    assert plain != more
    assert doors(ec2, plain) == {(22, CIDR)}
    assert doors(ec2, more) == {(22, CIDR), (8888, CIDR)}


def test_it_is_found_by_a_daemon_that_starts_anew(make_prerequisites, ec2, count_calls):
    assert make_prerequisites().group() == make_prerequisites().group()
    assert len(ours(ec2)) == 1
    assert count_calls("AuthorizeSecurityGroupIngress") == 1


def test_two_homes_with_a_profile_of_one_name_do_not_share_one(make_prerequisites, tmp_path):
    assert make_prerequisites().group() != make_prerequisites(home=tmp_path / "other").group()


def test_two_at_once_make_one(make_prerequisites, ec2):
    prerequisites_of = [
        make_prerequisites() for _ in range(8)
    ]  # as many daemons, each with its own memory
    prerequisites_of[0].pair()
    with ThreadPoolExecutor(8) as many:
        ids = set(many.map(lambda it: it.group([80]), prerequisites_of))
    assert len(ids) == len(ours(ec2)) == 1
    assert doors(ec2, ids.pop()) == {(22, CIDR), (80, CIDR)}


@pytest.mark.parametrize("do", ["lost", "twice", "throttle", "drop"])
@pytest.mark.parametrize("action", ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"])
def test_whatever_becomes_of_a_call_there_is_one_in_the_end(aws, prerequisites, ec2, action, do):
    aws.fault(action=action, do=do)
    try:
        id = prerequisites.group()
    except Unavailable:
        id = prerequisites.group()
    assert [our["GroupId"] for our in ours(ec2)] == [id]
    assert doors(ec2, id) == {(22, CIDR)}


def test_a_new_address_is_let_in_and_the_old_one_out_and_strangers_rules_stay(
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
    assert (22, CIDR) in doors(ec2, id), "an address is asked for now and then"
    prerequisites_clock.advance(minutes=10)
    assert prerequisites.group([80]) == id
    assert doors(ec2, id) == {(22, addresses[0]), (80, addresses[0]), (22, "198.51.100.0/24")}


def test_who_cannot_get_in_any_more_is_welcomed_in_every_group(make_prerequisites, ec2):
    addresses = [CIDR]
    prerequisites = make_prerequisites(caller=lambda: addresses[0])
    plain, more = prerequisites.group(), prerequisites.group([80, 8888])
    addresses[0] = "198.51.100.9/32"
    assert prerequisites.open_ingress() == addresses[0]
    assert doors(ec2, plain) == {(22, addresses[0])}
    assert doors(ec2, more) == {(port, addresses[0]) for port in (22, 80, 8888)}


def test_a_group_that_somebody_removed_is_made_anew(prerequisites, ec2, prerequisites_clock):
    first = prerequisites.group()
    ec2.delete_security_group(GroupId=first)
    prerequisites.forget()
    assert prerequisites.group() != first


def test_a_permission_that_is_missing_is_named(aws, prerequisites):
    aws.fault(action="CreateSecurityGroup", do="error", code="UnauthorizedOperation", status=403)
    with pytest.raises(AwsDenied, match="ec2:CreateSecurityGroup"):
        prerequisites.group()
