"""How an EC2 instance hibernates or stops itself, with signed requests."""

import ast
import subprocess
import sys
import time
from urllib.parse import parse_qs

import pytest
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from prism.agent.ec2.metadata import Metadata
from prism.agent.ec2.power import FORM, CannotSleep, PowerControl
from prism.agent.ec2.sigv4 import Credentials, SigningScope, signed
from prism.providers.aws.machine.cloudinit.stopping import stop_program
from tests.agent.ec2.machine import ROLE, Ec2

NOW = 1_764_000_000.0


@pytest.fixture
def ec2():
    ec2 = Ec2()
    yield ec2
    ec2.close()


def power(ec2, **how):
    return PowerControl(Metadata(ec2.url), endpoint=f"{ec2.url}/", now=lambda: NOW, **how)


def by_botocore(url, body, credentials, scope, kind):
    """The same request, signed by AWS's own library at the same moment."""
    keys = BotocoreCredentials(credentials.key, credentials.secret, credentials.token or None)
    auth = SigV4Auth(keys, scope.service, scope.region)
    request = AWSRequest("POST", url, headers={"content-type": kind}, data=body)
    request.context["timestamp"] = time.strftime(SIGV4_TIMESTAMP, time.gmtime(NOW))
    auth._modify_request_before_signing(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))
    return request.headers["Authorization"]


@pytest.mark.parametrize("token", ["", "a/token+with=signs"])
@pytest.mark.parametrize("url", ["https://ec2.eu-west-1.amazonaws.com/", "http://127.0.0.1:99"])
def test_signature_equals_the_one_of_botocore(url, token):
    credentials, scope = (
        Credentials("AKIDEXAMPLE", "wJalr/XUt+nFEMI", token),
        SigningScope("ec2", "eu-west-1"),
    )
    body = b"Action=StopInstances&InstanceId.1=i-0&Hibernate=true"
    headers = signed(url, body, credentials, scope, now=NOW, kind=FORM)
    assert headers["authorization"] == by_botocore(url, body, credentials, scope, FORM)
    other = signed(url, body + b"x", credentials, scope, now=NOW, kind=FORM)
    assert other["authorization"] != headers["authorization"]


def test_sleep_requests_hibernation_from_ec2(ec2):
    power(ec2).sleep()
    [(headers, body)] = ec2.requests
    assert parse_qs(body.decode()) == {
        "Action": ["StopInstances"],
        "Version": ["2016-11-15"],
        "InstanceId.1": ["i-0123456789abcdef0"],
        "Hibernate": ["true"],
    }
    lowercase = {name.lower(): value for name, value in headers.items()}
    credentials = Credentials(ROLE["AccessKeyId"], ROLE["SecretAccessKey"], ROLE["Token"])
    right = by_botocore(f"{ec2.url}/", body, credentials, SigningScope("ec2", "eu-west-1"), FORM)
    assert lowercase["authorization"] == right
    assert lowercase["x-amz-security-token"] == ROLE["Token"]


def test_sleep_raises_without_an_instance_role(ec2):
    ec2.role = None
    with pytest.raises(CannotSleep, match="it has no role"):
        power(ec2).sleep()
    assert ec2.requests == []


def test_sleep_raises_the_refusal_of_ec2(ec2):
    ec2.refuses = "UnauthorizedOperation"
    with pytest.raises(CannotSleep, match="UnauthorizedOperation"):
        power(ec2).sleep()


def test_sleep_raises_when_the_metadata_service_or_ec2_does_not_answer(ec2):
    without_metadata = PowerControl(Metadata("http://127.0.0.1:9"), endpoint="http://127.0.0.1:9/")
    with pytest.raises(CannotSleep):
        without_metadata.sleep()
    without_ec2 = PowerControl(Metadata(ec2.url), endpoint="http://127.0.0.1:9/")
    with pytest.raises(CannotSleep, match="EC2 does not answer"):
        without_ec2.sleep()


def test_power_off_requests_a_stop_from_ec2(ec2):
    """AWS does not document that powering off stops a spot instance of a persistent request."""
    assert power(ec2, off=("false",)).off()
    [(_, body)] = ec2.requests
    assert parse_qs(body.decode()) == {
        "Action": ["StopInstances"],
        "Version": ["2016-11-15"],
        "InstanceId.1": ["i-0123456789abcdef0"],
    }


def test_power_off_runs_the_system_command_when_ec2_refuses(ec2):
    ec2.refuses = "UnauthorizedOperation"
    assert power(ec2, off=("true",)).off()
    assert not power(ec2, off=("false",)).off()
    assert not power(ec2, off=("/no/such/program",)).off()


def test_stop_program_of_the_user_data_requests_a_stop_from_ec2(ec2, tmp_path):
    """The program is one file for the oldest Python of the base images."""
    text = stop_program()
    ast.parse(text, feature_version=(3, 9))
    assert "prism." not in "".join(line for line in text.splitlines() if "import" in line)
    program = tmp_path / "stop"
    usual = "PowerControl(Metadata())"
    assert usual in text
    simulated = f"Metadata({ec2.url!r}), endpoint='{ec2.url}/', off=('false',)"
    program.write_text(text.replace(usual, f"PowerControl({simulated})"))
    run = [sys.executable, "-I", str(program)]
    assert subprocess.run(run, timeout=120).returncode == 0
    assert parse_qs(ec2.requests[-1][1].decode())["Action"] == ["StopInstances"]
    ec2.role = None
    assert subprocess.run(run, timeout=120).returncode == 1, "the caller then powers it off"
