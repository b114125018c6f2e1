"""The control API of the double, for use when it runs as a separate program."""

import json
import urllib.error
import urllib.request

import pytest

from tests.aws_double.boto import instance_ids, launch_instance, refused, running_instance, state


def request_control(aws, method, word, body=""):
    request = urllib.request.Request(
        f"{aws.url}/_double/{word}", data=body.encode() if body else None, method=method
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_control_api_sets_rules(aws, ec2):
    assert request_control(aws, "PUT", "rules", "denied: ['ec2:*']") == (200, {})
    refused("UnauthorizedOperation", ec2.describe_vpcs)
    status, answer = request_control(aws, "PUT", "rules", "like: aws\ntimes:\n  pendin: 3")
    assert (status, answer["error"][:8]) == (422, "rules:3:")
    refused("UnauthorizedOperation", ec2.describe_vpcs)


def test_control_api_adds_a_fault(aws, ec2):
    assert request_control(aws, "POST", "faults", '{"do": "throttle"}') == (200, {})
    refused("RequestLimitExceeded", ec2.describe_vpcs)
    assert request_control(aws, "POST", "faults", '{"do": "explode"}')[0] == 422


def test_control_api_advances_the_clock(aws, ec2):
    id = launch_instance(ec2)
    before = request_control(aws, "POST", "clock")[1]["now"]
    after = request_control(aws, "POST", "clock", '{"stop": true, "advance": 60}')[1]["now"]
    assert after > before
    assert state(ec2, id) == "running"
    assert request_control(aws, "POST", "clock", '{"advance": -1}')[0] == 422


def test_control_api_lists_instances_and_calls(aws, ec2):
    id = launch_instance(ec2, {"prism:id": "x"})
    [machine] = request_control(aws, "GET", "machines")[1]["machines"]
    assert (machine["id"], machine["tags"]) == (id, {"prism:id": "x"})
    [call] = request_control(aws, "GET", "calls")[1]["calls"]
    assert (call["action"], call["outcome"]) == ("RunInstances", "ok")


@pytest.mark.parametrize("word, end", [("power-off", "stopped"), ("interrupt", "terminated")])
def test_control_api_powers_off_and_interrupts_instances(aws, ec2, word, end):
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if word == "interrupt" else {}
    id = running_instance(aws, ec2, **market)
    assert request_control(aws, "POST", word, json.dumps({"id": id})) == (200, {})
    aws.clock.advance(1)
    assert state(ec2, id) == end
    assert request_control(aws, "POST", word, json.dumps({"id": id}))[0] == 422


@pytest.mark.parametrize("path", ["_double/reset", "moto-api/reset"])
def test_control_api_resets_the_double(aws, ec2, path):
    launch_instance(ec2)
    urllib.request.urlopen(urllib.request.Request(f"{aws.url}/{path}", method="POST")).close()
    assert instance_ids(ec2) == []


def test_control_api_answers_404_with_the_known_routes(aws):
    status, answer = request_control(aws, "GET", "nothing")
    assert status == 404
    assert "PUT rules" in answer["error"]
