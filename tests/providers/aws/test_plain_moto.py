"""The story of a workspace against plain moto: a second AWS, which nobody here wrote.

What moto cannot do is named where the story meets it (moto 5.2).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from msgspec.structs import replace

from prism.kit.clock import StoppedClock
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.storage.volumes import AwsVolumes
from prism.storage.model import StorageObserved
from prism.templates.model import Template
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.aws.place import AwsParts
from tests.providers.aws.storage.world import KEPT, ORDER, Machines

REGION = "us-east-1"
TEMPLATE = Template(name="t", base="amazon-linux-2023")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ec2(moto: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    ec2 = boto3.client("ec2", REGION)
    yield ec2
    ec2.close()


class OnMoto:
    """What `AwsParts` needs of a double; moto has no clock."""

    def __init__(self) -> None:
        self.clock = StoppedClock(datetime.now(UTC))
        self.calls: list[Any] = []


@pytest.fixture
def parts(ec2: Any, tmp_path: Any) -> AwsParts:
    connect_to_the_internet(ec2)
    aws: Any = OnMoto()
    return AwsParts(aws, Cloud(REGION, clock=aws.clock, sleep=lambda _: None), tmp_path)


def connect_to_the_internet(ec2: Any) -> None:
    """moto's default VPC has no internet gateway; a new account's has one."""
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    [table, *_] = ec2.describe_route_tables(
        Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    )["RouteTables"]
    if any(route.get("GatewayId", "").startswith("igw-") for route in table["Routes"]):
        return
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc["VpcId"])
    ec2.create_route(
        RouteTableId=table["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=gateway,
    )


def test_machine_is_launched_stopped_started_resized_and_terminated(parts, ec2):
    parts.prerequisites.key()
    parts.prerequisites.group(())
    spec = parts.spec(template=TEMPLATE, hibernation=False)
    id = parts.compute.launch(spec).id
    assert [machine.id for machine in parts.compute.survey()] == [id]
    [described] = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    [instance] = described["Instances"]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert (tags["prism:id"], tags["prism:name"]) == (spec.key, "mine")
    assert instance["InstanceType"] == "t3.small"
    # moto shows no ClientToken, by which Prism knows that it made the machine: it is found by id.
    assert instance.get("ClientToken") in {None, "", f"{spec.key}-0"}
    machine = not_none(parts.compute.find(id, spec))
    assert machine.key == spec.key
    parts.compute.stop(id)
    assert not_none(parts.compute.find(id, spec)).observed is Observed.OFF
    parts.compute.resize(id, "c6i.large")
    parts.compute.start(id)
    # moto leaves LaunchTime as it was, so that Prism takes its answer for an old one for a while.
    parts.aws.clock.advance(minutes=6)
    running = not_none(parts.compute.find(id, spec))
    assert (running.type, running.observed) == ("c6i.large", Observed.STARTING)
    parts.compute.terminate(id)
    assert not_none(parts.compute.find(id, spec)).observed is Observed.GONE


def test_volume_is_made_copied_restored_and_deleted(parts, ec2):
    volumes = AwsVolumes(parts.cloud, Machines())
    disk = volumes.create(ORDER)
    assert disk.observed is StorageObserved.THERE
    copy = volumes.snapshot(KEPT, disk.id)
    again = volumes.restore(replace(ORDER, key="volume_9", name="again"), copy.id)
    listed = volumes.survey()
    assert {item.key: item.id for item in listed.disks} == {
        ORDER.key: disk.id,
        "volume_9": again.id,
    }
    assert {item.key: item.id for item in listed.copies} == {KEPT.key: copy.id}
    for id in (disk.id, again.id):
        volumes.delete(id)
    volumes.delete_snapshot(copy.id)
    listed = volumes.survey()
    assert (list(listed.disks), list(listed.copies)) == ([], [])
