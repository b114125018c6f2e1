"""`/daemon/aws/leftovers`: only profiles whose key this home has are asked about."""

import boto3
import pytest

from prism.providers.aws.prerequisites.keys import key_of
from tests.daemon.wiring.test_providers import DaemonOnDouble


@pytest.fixture
def desk(tmp_path, aws, monkeypatch):
    for name, value in aws.environ("us-west-2").items():
        monkeypatch.setenv(name, value)
    desk = DaemonOnDouble(tmp_path)
    desk.use()
    yield desk
    desk.daemon.close()


def test_leftovers_are_listed_and_deleted_for_profiles_with_a_key(desk, aws, tmp_path):
    before = [call.action for call in aws.calls]
    assert desk.get("daemon/aws/leftovers") == []
    assert [call.action for call in aws.calls] == before, "a profile that was never used"
    key = key_of(tmp_path, "lab")
    boto3.client("ec2").import_key_pair(
        KeyName=key.name,
        PublicKeyMaterial=key.public.encode(),
        TagSpecifications=[
            {"ResourceType": "key-pair", "Tags": [{"Key": "prism:managed", "Value": "true"}]}
        ],
    )
    aws.clock.advance(5)
    [pair] = desk.get("daemon/aws/leftovers")
    assert (pair["kind"], pair["name"], pair["region"]) == ("key pair", key.name, "us-west-2")
    answer = desk.http("DELETE", "/api/v1/daemon/aws/leftovers").json()
    assert answer == [pair]
    aws.clock.advance(5)
    assert desk.get("daemon/aws/leftovers") == []


def test_leftovers_of_a_login_that_does_not_work_are_not_known(desk, aws, tmp_path):
    key_of(tmp_path, "lab")
    aws.fault(action="GetCallerIdentity", do="error", code="ExpiredToken", status=403, times=None)
    [unknown] = desk.get("daemon/aws/leftovers")
    assert (unknown["id"], "expired" in unknown["problem"]) == ("", True)
