"""The double in a process: start, stop, reset, calls and refusals."""

import socket

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError

from aws_double.clock import Clock
from aws_double.double import AwsDouble
from aws_double.ec2.actions import ACTIONS
from tests.aws_double.boto import client, instance_ids, launch_instance, refused
from tests.project.tree import ROOT


def test_boto3_finds_the_double_through_environment_variables(monkeypatch):
    with AwsDouble() as double:
        for name, value in double.environ("eu-west-1").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        assert boto3.Session().client("ec2").describe_vpcs()["Vpcs"]
        assert [call.region for call in double.calls] == ["eu-west-1"]


def test_double_listens_on_loopback_and_frees_its_port():
    double = AwsDouble().start()
    port = int(double.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        double.stop()  # with an open connection
    with socket.create_server(("127.0.0.1", port)):
        pass
    double.stop()  # the second time does nothing
    with pytest.raises(RuntimeError):
        _ = double.url


def test_reset_deletes_all_resources_and_faults(aws, ec2):
    launch_instance(ec2)
    client(aws, "iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    client(aws, "sns").create_topic(Name="t")
    aws.fault(do="error", times=None)
    aws.clock.advance(1000)
    aws.reset()
    assert instance_ids(ec2) == []
    assert client(aws, "iam").list_roles()["Roles"] == []
    assert client(aws, "sns").list_topics()["Topics"] == []
    assert abs((aws.clock.now() - Clock().now()).total_seconds()) < 5


def test_other_services_are_answered_by_moto(aws):
    cloudwatch = client(aws, "cloudwatch")
    datum = {"MetricName": "cpu", "Value": 3}
    cloudwatch.put_metric_data(Namespace="prism", MetricData=[datum])
    assert cloudwatch.list_metrics(Namespace="prism")["Metrics"]


def test_unimplemented_ec2_action_is_refused(aws, ec2):
    refused("InvalidAction", ec2.describe_flow_logs)


def test_answer_and_refusal_have_a_unique_request_id(aws, ec2):
    sts = client(aws, "sts")
    answers = [
        ec2.describe_vpcs(),
        sts.get_caller_identity(),
        refused("InvalidGroup.NotFound", ec2.delete_security_group, GroupId="sg-1"),
        refused("ValidationError", sts.get_federation_token, Name="me", DurationSeconds=130000),
        refused("ParameterNotFound", client(aws, "ssm").get_parameter, Name="/aws/service/x"),
        refused(
            "FileSystemNotFound", client(aws, "efs").describe_file_systems, FileSystemId="fs-1"
        ),
    ]
    assert len({answer["ResponseMetadata"]["RequestId"] for answer in answers}) == len(answers)


def test_reset_raises_the_exception_of_a_broken_action(monkeypatch):
    def broken(call):
        raise ZeroDivisionError

    with AwsDouble() as double:
        monkeypatch.setitem(ACTIONS, "DescribeVpcs", broken)
        with pytest.raises(ConnectionClosedError):
            client(double, "ec2").describe_vpcs()
        with pytest.raises(RuntimeError, match="broke on 1 calls") as caught:
            double.reset()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_clock_only_advances():
    clock = Clock()
    clock.stop()
    now = clock.now()
    clock.advance(3)
    assert (clock.now() - now).total_seconds() == 3
    with pytest.raises(ValueError):
        clock.advance(-1)


@pytest.mark.parametrize("action", ACTIONS)
def test_docs_list_every_action(action):
    assert f"`{action}`" in (ROOT / "docs" / "aws-double.md").read_text()
