"""The double's own door, for those who run it as a program of its own."""

import json
import urllib.error
import urllib.request

import pytest

from tests.aws_double.asked import launched, listed, refused, running, state


def ask(aws, method, word, body=""):
    request = urllib.request.Request(
        f"{aws.url}/_double/{word}", data=body.encode() if body else None, method=method
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_rules_are_set_while_it_runs(aws, ec2):
    assert ask(aws, "PUT", "rules", "denied: ['ec2:*']") == (200, {})
    refused("UnauthorizedOperation", ec2.describe_vpcs)
    status, answer = ask(aws, "PUT", "rules", "like: aws\ntimes:\n  pendin: 3")
    assert (status, answer["error"][:8]) == (422, "rules:3:")
    refused("UnauthorizedOperation", ec2.describe_vpcs)


def test_one_more_fault(aws, ec2):
    assert ask(aws, "POST", "faults", '{"do": "throttle"}') == (200, {})
    refused("RequestLimitExceeded", ec2.describe_vpcs)
    assert ask(aws, "POST", "faults", '{"do": "explode"}')[0] == 422


def test_time_passes_on_order(aws, ec2):
    id = launched(ec2)
    before = ask(aws, "POST", "clock")[1]["now"]
    after = ask(aws, "POST", "clock", '{"stop": true, "advance": 60}')[1]["now"]
    assert after > before
    assert state(ec2, id) == "running"
    assert ask(aws, "POST", "clock", '{"advance": -1}')[0] == 422


def test_machines_and_calls_are_told(aws, ec2):
    id = launched(ec2, {"prism:id": "x"})
    [machine] = ask(aws, "GET", "machines")[1]["machines"]
    assert (machine["id"], machine["tags"]) == (id, {"prism:id": "x"})
    [call] = ask(aws, "GET", "calls")[1]["calls"]
    assert (call["action"], call["outcome"]) == ("RunInstances", "ok")


@pytest.mark.parametrize("word, end", [("power-off", "stopped"), ("interrupt", "terminated")])
def test_things_happen_to_machines(aws, ec2, word, end):
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if word == "interrupt" else {}
    id = running(aws, ec2, **market)
    assert ask(aws, "POST", word, json.dumps({"id": id})) == (200, {})
    aws.clock.advance(1)
    assert state(ec2, id) == end
    assert ask(aws, "POST", word, json.dumps({"id": id}))[0] == 422


@pytest.mark.parametrize("path", ["_double/reset", "moto-api/reset"])
def test_a_reset_forgets_everything(aws, ec2, path):
    launched(ec2)
    urllib.request.urlopen(urllib.request.Request(f"{aws.url}/{path}", method="POST")).close()
    assert listed(ec2) == []


def test_what_it_does_not_know_it_says(aws):
    status, answer = ask(aws, "GET", "nothing")
    assert status == 404
    assert "PUT rules" in answer["error"]
