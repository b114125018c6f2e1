"""Who comes from another network gets in again: at a start, and once a machine does not answer."""

import contextlib
import socket

import boto3
import pytest
from msgspec.structs import replace

from aws_double.cloud import ACCOUNT
from prism.errors import Unavailable
from prism.providers.aws import build
from prism.providers.aws.account.identity import AwsIdentity, OwnCloud
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.network.address import AddressUnknown
from prism.providers.aws.network.ingress import IngressUpdater
from prism.providers.aws.ssh import link
from prism.providers.aws.ssh.model import MachineUnreachable
from prism.templates.model import Template
from prism.workspaces.ports import MachineOrder
from tests.aws_setup import PROPAGATED
from tests.providers.aws.ssh_machine import keypair
from tests.waiting import eventually

HERE, THERE = "203.0.113.7/32", "198.51.100.9/32"
ADA = AwsIdentity(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/ada")


@pytest.fixture
def daemon(stopped_aws, tmp_path):
    """The place as a daemon has it whose PRISM_CALLER_CIDR is that."""
    with contextlib.ExitStack() as closing:

        def begin(caller):
            how = {"clock": stopped_aws.clock, "sleep": lambda _: None}
            cloud = OwnCloud(ACCOUNT, "us-east-1", None, lambda _: ADA, **how)
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
    order = MachineOrder(
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


def let_in(aws, ec2):
    """Who may come by SSH, once EC2 shows it."""
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


def unanswered(compute, aws, tmp_path, port):
    """Its machine is on, its key is known, and nobody answers at its address."""
    id = launch(compute, aws)
    connectivity = compute._connectivity
    connectivity.keys.learn(id, f"prism-boot: hostkey {keypair(tmp_path / 'host')}\n")
    connectivity.keys.port = port
    instances = compute._instances
    instances.note(replace(instances.known(id), public_ip="127.0.0.1"))
    return id


def test_a_start_opens_the_machine_to_where_its_user_is_now(daemon, stopped_aws, ec2):
    before = daemon(HERE)
    id = launch(before, stopped_aws)
    before.stop(id)
    stopped_aws.clock.advance(60)
    assert let_in(stopped_aws, ec2) == {HERE}
    daemon(THERE).start(id)
    eventually(lambda: let_in(stopped_aws, ec2) == {THERE})


def test_a_machine_that_does_not_answer_is_opened_to_where_we_are_now(
    daemon, stopped_aws, ec2, tmp_path, silent_port, monkeypatch
):
    monkeypatch.setattr(link, "CONNECT_TIMEOUT", 0.1)
    where = [HERE]
    monkeypatch.setattr(build, "caller_cidr", lambda profile, endpoint: where[0])
    compute = daemon("")
    id = unanswered(compute, stopped_aws, tmp_path, silent_port)
    assert let_in(stopped_aws, ec2) == {HERE}
    where[0] = THERE
    with pytest.raises(MachineUnreachable, match="cannot be reached") as caught:
        compute.access(id)
    assert "another network" in caught.value.remediation
    eventually(lambda: let_in(stopped_aws, ec2) == {THERE})
    # And whoever asks next is not put off by what happened before.
    tried = compute._connectivity.pool._links[id]
    eventually(lambda: tried._why is None)


def test_one_that_refuses_is_let_be(daemon, stopped_aws, tmp_path, monkeypatch):
    """Whoever says no has been reached."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        compute = daemon(HERE)
        id = unanswered(compute, stopped_aws, tmp_path, nobody.getsockname()[1])
        begged: list[object] = []
        monkeypatch.setattr(compute._connectivity.pool, "_shut", begged.append)
        with pytest.raises(MachineUnreachable) as caught:
            compute.access(id)
    assert begged == []
    assert "another network" not in caught.value.remediation


# ------------------------------------------------------------ how often, and in whose thread
class Later:
    """Hands that do nothing until told to."""

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
    """Machines, by the profile that each is of."""

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
    """What one profile stands on."""

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
    return Later()


@pytest.fixture
def ingress(clock, prerequisites_of, executor):
    return IngressUpdater(InstancesByProfile(clock), prerequisites_of.__getitem__, clock, executor)


def test_whoever_begs_waits_for_nobody_and_is_heard_once_a_minute(
    ingress, prerequisites_of, executor, clock
):
    for _ in range(5):
        ingress.request("i-lab")
    assert prerequisites_of["lab"].opened == 0, "nothing is asked in the thread of who waits"
    assert executor.do() == 1
    clock.advance(seconds=59)
    ingress.request("i-lab")
    assert executor.do() == 0
    clock.advance(seconds=1)
    ingress.request("i-lab")
    assert executor.do() == 1
    assert prerequisites_of["lab"].opened == 2


def test_a_clock_that_was_set_back_lets_nobody_wait_longer(
    ingress, prerequisites_of, executor, clock
):
    ingress.request("i-lab")
    clock.advance(hours=-2)
    ingress.request("i-lab")
    executor.do()
    assert prerequisites_of["lab"].opened == 2


def test_another_profile_has_its_own_minute(ingress, prerequisites_of, executor):
    ingress.request("i-lab")
    ingress.request("i-home")
    assert executor.do() == 2
    assert prerequisites_of["home"].opened == 1


def test_machines_of_another_computer_and_of_nobody_stay_as_they_are(
    ingress, prerequisites_of, executor
):
    prerequisites_of["lab"].mine = False
    ingress.request("i-lab")
    ingress.request("i")
    executor.do()
    assert prerequisites_of["lab"].opened == 0


@pytest.mark.parametrize("why", [AddressUnknown(), Unavailable("AWS is away")])
def test_where_it_fails_it_is_tried_again_in_a_minute(
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
