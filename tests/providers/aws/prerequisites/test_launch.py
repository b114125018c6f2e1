"""The prerequisites of many launches are requested once."""

from concurrent.futures import ThreadPoolExecutor

from aws_double.rulebook import build
from tests.providers.aws.prerequisites.conftest import CIDR


def launch(prerequisites, number):
    type = ("t3.small", "t3.medium", "t4g.small")[number % 3]
    return (
        prerequisites.image("ubuntu-22.04", type).id,
        prerequisites.subnets(type, f"ws_{number}")[0].id,
        prerequisites.group(),
        prerequisites.key().name,
        prerequisites.role(),
    )


def test_300_concurrent_launches_request_each_prerequisite_once(aws, prerequisites):
    with ThreadPoolExecutor(16) as many:
        prerequisite_ids = list(many.map(lambda it: launch(prerequisites, it), range(300)))
    assert len({ids[2:] for ids in prerequisite_ids}) == 1
    assert len({ids[1] for ids in prerequisite_ids}) > 3, "spread over the zones"
    described = [call.action for call in aws.calls]
    assert described.count("DescribeInstanceTypes") == 3
    assert described.count("DescribeInstanceTypeOfferings") == 3
    assert described.count("DescribeVpcs") == described.count("DescribeSubnets") == 1
    assert described.count("GetParameter") == described.count("DescribeImages") == 2
    assert len(described) < 30


def test_concurrent_launches_get_prerequisites_under_throttling(aws, prerequisites):
    aws.rules = build({"like": "aws", "times": {"unseen": 0, "tags": 0}})
    with ThreadPoolExecutor(16) as many:
        assert len(list(many.map(lambda it: launch(prerequisites, it), range(60)))) == 60


def test_caller_address_is_requested_once(make_prerequisites):
    calls = []

    def caller():
        calls.append(1)
        return CIDR

    prerequisites = make_prerequisites(caller=caller)
    for ports in ((), [80], [8888]):
        prerequisites.group(ports)
    assert len(calls) == 1
