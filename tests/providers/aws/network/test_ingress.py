"""Ingress is opened to a new address at a start, and when a machine does not answer."""

import contextlib
import socket

import boto3
import pytest
from msgspec.structs import replace

from aws_double.cloud import ACCOUNT
from prism.errors import Unavailable
from prism.providers.aws import build
from prism.providers.aws.account.identity import AccountCloud, AwsIdentity
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.network.address import AddressUnknown
from prism.providers.aws.network.ingress import IngressUpdater
from prism.providers.aws.ssh import link
from prism.providers.aws.ssh.model import MachineUnreachable
from prism.templates.model import Template
from prism.workspaces.ports import MachineSpec
from tests.aws_setup import PROPAGATED
from tests.providers.aws.ssh_machine import keypair
from tests.waiting import eventually

HERE, THERE = "203.0.113.7/32", "198.51.100.9/32"
ADA = AwsIdentity(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/ada")


@pytest.fixture
def daemon(stopped_aws, tmp_path):
    """Makes the `AwsCompute` of a daemon with this PRISM_CALLER_CIDR."""
    with contextlib.ExitStack() as closing:

        def begin(caller):
            how = {"clock": stopped_aws.clock, "sleep": lambda _: None}
            cloud = AccountCloud(ACCOUNT, "us-east-1", None, lambda _: ADA, **how)
            parts = build.assemble(cloud, tmp_path, caller)
            closing.callback(parts.close)
            parts.compute.survey()
            return parts.compute

        yield begin


@pytest.fixture
def ec2(stopped_aws):
    return boto3.client("ec2")


@pytest.fixture
def silent_port():
    """A port that takes no more connections and answers none, as behind a security group."""
    with socket.socket() as shut, contextlib.ExitStack() as waiting:
        shut.bind(("127.0.0.1", 0))
        shut.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(shut.getsockname())
        yield shut.getsockname()[1]


def launch(compute, aws):
    order = MachineSpec(
        key="ws_1",
        name="mine",
        owner="ada",
        profile="lab",
        template=Template(name="t", base="ubuntu-22.04"),
        instance_type="t3.small",
        root_gb=20,
        hibernation=False,
        launched_at=aws.clock.now(),
    )
    id = None
    while id is None:  # EC2 shows what a launch stands on a moment later
        try:
            id = compute.launch(order).id
        except Unavailable:
            aws.clock.advance(PROPAGATED)
    aws.clock.advance(5)
    compute.survey()
    return id


def ssh_sources(aws, ec2):
    """The addresses that may connect by SSH, once EC2 shows them."""
    aws.clock.advance(PROPAGATED)
    [group] = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["prism-*"]}]
    )["SecurityGroups"]
    return {
        peer["CidrIp"]
        for ippermission in group["IpPermissions"]
        if ippermission["FromPort"] == 22
        for peer in ippermission["IpRanges"]
    }


def launch_unreachable(compute, aws, tmp_path, port):
    """Launch a machine with a known host key, at an address that does not answer."""
    id = launch(compute, aws)
    connectivity = compute._connectivity
    connectivity.keys.learn(id, f"prism-boot: hostkey {keypair(tmp_path / 'host')}\n")
    connectivity.keys.port = port
    instances = compute._instances
    instances.note(replace(instances.known(id), public_ip="127.0.0.1"))
    return id


def test_start_opens_ingress_to_the_current_address(daemon, stopped_aws, ec2):
    before = daemon(HERE)
    id = launch(before, stopped_aws)
    before.stop(id)
    stopped_aws.clock.advance(60)
    assert ssh_sources(stopped_aws, ec2) == {HERE}
    daemon(THERE).start(id)
    eventually(lambda: ssh_sources(stopped_aws, ec2) == {THERE})


def test_unanswered_connection_opens_ingress_to_the_current_address(
    daemon, stopped_aws, ec2, tmp_path, silent_port, monkeypatch
):
    monkeypatch.setattr(link, "CONNECT_TIMEOUT", 0.1)
    where = [HERE]
    monkeypatch.setattr(build, "caller_cidr", lambda profile, endpoint: where[0])
    compute = daemon("")
    id = launch_unreachable(compute, stopped_aws, tmp_path, silent_port)
    assert ssh_sources(stopped_aws, ec2) == {HERE}
    where[0] = THERE
    with pytest.raises(MachineUnreachable, match="cannot be reached") as caught:
        compute.access(id)
    assert "another network" in caught.value.remediation
    eventually(lambda: ssh_sources(stopped_aws, ec2) == {THERE})
    # The next connection does not fail because of the previous error.
    tried = compute._connectivity.pool._links[id]
    eventually(lambda: tried._why is None)


def test_refused_connection_requests_no_ingress(daemon, stopped_aws, tmp_path, monkeypatch):
    """A machine that refuses a connection was reached."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        compute = daemon(HERE)
        id = launch_unreachable(compute, stopped_aws, tmp_path, nobody.getsockname()[1])
        requested: list[object] = []
        monkeypatch.setattr(compute._connectivity.pool, "_on_unreachable", requested.append)
        with pytest.raises(MachineUnreachable) as caught:
            compute.access(id)
    assert requested == []
    assert "another network" not in caught.value.remediation


# ------------------------------------------------------------ rate and thread
class ManualExecutor:
    """An executor that runs its tasks when `do` is called."""

    def __init__(self):
        self.work = []

    def submit(self, do, *args):
        self.work.append((do, args))

    def do(self):
        work, self.work = self.work, []
        for do, args in work:
            do(*args)
        return len(work)

    def shutdown(self, **_):
        self.work = []


class InstancesByProfile(InstanceCache):
    """Machines whose ids contain their profile."""

    def __init__(self, clock):
        self.clock = clock

    def known(self, id):
        profile = id.partition("-")[2]
        tags = {"prism:profile": profile} if profile else {}
        now = self.clock.now()
        return Ec2Instance(
            id=id, key="ws", state="running", type="t", zone="z", launched=now, tags=tags
        )


class PrerequisitesOfProfile:
    """The launch prerequisites of one profile."""

    def __init__(self):
        self.opened, self.mine, self.fails = 0, True, None

    def holds(self, key):
        return self.mine

    def open_ingress(self):
        self.opened += 1
        if self.fails is not None:
            raise self.fails
        return THERE


@pytest.fixture
def prerequisites_of():
    return {"lab": PrerequisitesOfProfile(), "home": PrerequisitesOfProfile()}


@pytest.fixture
def executor():
    return ManualExecutor()


@pytest.fixture
def ingress(clock, prerequisites_of, executor):
    return IngressUpdater(InstancesByProfile(clock), prerequisites_of.__getitem__, clock, executor)


def test_ingress_request_runs_in_the_background_once_a_minute(
    ingress, prerequisites_of, executor, clock
):
    for _ in range(5):
        ingress.request("i-lab")
    assert prerequisites_of["lab"].opened == 0, "the request makes no call in its own thread"
    assert executor.do() == 1
    clock.advance(seconds=59)
    ingress.request("i-lab")
    assert executor.do() == 0
    clock.advance(seconds=1)
    ingress.request("i-lab")
    assert executor.do() == 1
    assert prerequisites_of["lab"].opened == 2


def test_ingress_request_is_not_delayed_by_a_clock_that_was_set_back(
    ingress, prerequisites_of, executor, clock
):
    ingress.request("i-lab")
    clock.advance(hours=-2)
    ingress.request("i-lab")
    executor.do()
    assert prerequisites_of["lab"].opened == 2


def test_ingress_requests_of_two_profiles_are_independent(ingress, prerequisites_of, executor):
    ingress.request("i-lab")
    ingress.request("i-home")
    assert executor.do() == 2
    assert prerequisites_of["home"].opened == 1


def test_ingress_request_ignores_machines_of_others_or_without_a_profile(
    ingress, prerequisites_of, executor
):
    prerequisites_of["lab"].mine = False
    ingress.request("i-lab")
    ingress.request("i")
    executor.do()
    assert prerequisites_of["lab"].opened == 0


@pytest.mark.parametrize("why", [AddressUnknown(), Unavailable("AWS is away")])
def test_failed_ingress_request_succeeds_a_minute_later(
    ingress, prerequisites_of, executor, clock, why
):
    messages = []
    ingress.listeners.append(lambda: messages.append(1))
    prerequisites_of["lab"].fails = why
    ingress.request("i-lab")
    executor.do()
    assert messages == []
    prerequisites_of["lab"].fails = None
    clock.advance(seconds=60)
    ingress.request("i-lab")
    executor.do()
    assert messages == [1]
