"""The story of a workspace against plain moto: a second AWS, which nobody here wrote.

What moto 5.2 cannot do is marked with `lacking`: the test is expected to fail. If a newer moto can
do it, the test passes, which is an error here (`strict`), and the mark is removed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer
from msgspec.structs import replace

from prism.errors import Problem
from prism.kit.clock import StoppedClock
from prism.providers.aws.account.leftovers import delete_all, leftovers
from prism.providers.aws.account.setup import apply, look
from prism.providers.aws.api.actions import SETUP_ACTIONS
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.prerequisites.free_plan import free_types
from prism.providers.aws.prerequisites.images import NoImage
from prism.providers.aws.storage.volumes import AwsVolumes
from prism.storage.model import StorageObserved
from prism.templates.model import Template
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.aws.place import AwsParts
from tests.providers.aws.storage.world import KEPT, ORDER, SHARED, Machines

REGION = "us-east-1"
TEMPLATE = Template(name="t", base="amazon-linux-2023")


def lacking(why: str, raises: type[Exception] = AssertionError) -> pytest.MarkDecorator:
    """The mark of a test of something that moto does not do."""
    return pytest.mark.xfail(reason=f"moto: {why}", raises=raises, strict=True)


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
    urlopen(Request(f"{moto}/moto-api/reset", method="POST"), timeout=60).close()
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
    assert (instance["InstanceType"], instance["ClientToken"]) == ("t3.small", f"{spec.key}-0")
    machine = not_none(parts.compute.find(id, spec))
    assert machine.key == spec.key
    parts.compute.stop(id)
    assert not_none(parts.compute.find(id, spec)).observed is Observed.OFF
    parts.compute.resize(id, "c6i.large")
    parts.compute.start(id)
    # See `test_start_changes_the_launch_time`.
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


def test_role_of_machines_is_made_once_and_then_found(ec2):
    administrator = Cloud(REGION, actions=SETUP_ACTIONS, sleep=lambda _: None)
    assert not any(step.done for step in look(administrator))
    assert all(step.done for step in apply(administrator))
    assert all(step.done for step in apply(administrator))
    assert all(step.done for step in look(administrator))


def test_shared_volume_is_made_once_and_deleted(parts):
    volumes = AwsVolumes(parts.cloud, Machines())
    share = volumes.create(SHARED)
    assert volumes.create(SHARED).id == share.id
    assert [disk.id for disk in volumes.survey().disks if disk.key == SHARED.key] == [share.id]
    volumes.delete(share.id)
    assert [disk.id for disk in volumes.survey().disks if disk.key == SHARED.key] == []


@pytest.fixture
def leftovers_after_cleaning(parts):
    """What is left of the groups and keys of a home once they are deleted."""
    parts.prerequisites.key()
    parts.prerequisites.group(())
    fingerprints = {parts.prerequisites.pair().fingerprint}
    listed = leftovers(parts.cloud, fingerprints)
    assert sorted(item.kind for item in listed) == ["key pair", "security group"]
    assert [item.problem for item in delete_all(parts.cloud, listed)] == ["", ""]
    return [item.kind for item in leftovers(parts.cloud, fingerprints)]


def test_groups_of_a_home_are_listed_and_deleted(leftovers_after_cleaning):
    assert "security group" not in leftovers_after_cleaning


def test_image_of_each_publisher_that_moto_knows(parts):
    assert parts.prerequisites.image("amazon-linux-2023", "t3.small").id.startswith("ami-")


# ------------------------------------------------------------------ what moto does not do
def launched(parts):
    parts.prerequisites.key()
    parts.prerequisites.group(())
    spec = parts.spec(template=TEMPLATE, hibernation=False)
    return spec, parts.compute.launch(spec).id


@lacking("it ignores the ClientToken, and makes a second machine")
def test_repeated_launch_makes_one_machine(parts):
    spec, id = launched(parts)
    assert parts.compute.launch(spec).id == id


@lacking("it deletes a key pair by its name only, and says nothing to its id")
def test_key_pairs_of_a_home_are_deleted(leftovers_after_cleaning):
    assert "key pair" not in leftovers_after_cleaning


@lacking("it leaves LaunchTime as it was, so that Prism takes the answer for an old one")
def test_start_changes_the_launch_time(parts, ec2):
    _, id = launched(parts)

    def launch_time():
        [described] = ec2.describe_instances(InstanceIds=[id])["Reservations"]
        return described["Instances"][0]["LaunchTime"]

    before = launch_time()
    parts.compute.stop(id)
    parts.compute.start(id)
    assert launch_time() > before


@lacking("a machine runs as soon as it is launched")
def test_machine_is_pending_first(parts, ec2):
    _, id = launched(parts)
    [described] = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    assert described["Instances"][0]["State"]["Name"] == "pending"


@lacking("it hibernates a machine that was not enabled for it")
def test_hibernation_of_a_machine_that_was_not_enabled_for_it_is_refused(parts, ec2):
    _, id = launched(parts)
    ec2.stop_instances(InstanceIds=[id], Hibernate=True)
    [described] = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    assert described["Instances"][0]["State"]["Name"] == "running"


@lacking("its SSM has no parameters of Canonical", NoImage)
def test_image_of_ubuntu_is_found(parts):
    parts.prerequisites.image("ubuntu-24.04", "t3.small")


@lacking("its price list is empty or fails", Problem)
def test_price_list_has_the_machine_type(parts):
    listed = parts.cloud.pages(
        "pricing",
        "GetProducts",
        "PriceList",
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "t3.small"}],
    )
    assert list(listed)


@lacking("it does not know the plan of an account", Problem)
def test_plan_of_the_account_is_known(parts):
    free_types(parts.cloud)


@lacking("it gives a machine no console output that its user data would print")
def test_console_shows_the_marks_of_the_boot(parts):
    _, id = launched(parts)
    assert "prism-boot: begin" in parts.console.read(id)
