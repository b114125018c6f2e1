"""The contract of `Compute`, tested for every provider."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs
from msgspec.structs import replace

from prism.errors import Unavailable
from prism.kit.clock import StoppedClock
from prism.providers.idle_documents import encoded
from prism.providers.local.compute import LocalCompute
from prism.providers.local.ssh.gate import SshGate
from prism.providers.ssh.compute import LabCompute
from prism.providers.ssh.server import LabServer
from prism.providers.tunnels.forwards import Forwards
from prism.templates.model import Service, Template
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Observed, WorkspaceFailure
from prism.workspaces.ports import MachineSpec
from tests.attacks.ordinary import can_be_ordinary
from tests.contract.ec2 import Aws
from tests.doubles.memory import MemoryCompute
from tests.providers.ssh.lab import running_lab
from tests.waiting import eventually

PLACES = ("memory", "local", "aws", "ssh")
SERVE = "python -m http.server {port} --bind 127.0.0.1"
TEMPLATE = Template(
    name="t",
    base="ubuntu-22.04",  # the newest whose machines hibernate on EC2
    services={"page": Service(command=SERVE, port=80, health="/")},
)
BROKEN_SETUP = Template(name="t", post_install=("test -e cured",))


class Memory:
    """Machines in memory, and the changes that tests make there."""

    hibernates_itself = True

    def __init__(self):
        self.clock = StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.compute = MemoryCompute(self.clock)

    def now(self):
        return self.clock.now()

    def pass_time(self, delta):
        self.clock.advance(seconds=delta.total_seconds())

    def break_setup(self):
        self.compute.faults.broken = WorkspaceFailure("BROKEN", "The setup failed")
        return TEMPLATE

    def repair_setup(self, id):
        self.compute.faults.broken = None

    def slow_down(self):
        self.compute.faults.slow = timedelta(seconds=10)
        return TEMPLATE

    def close(self):
        pass


class Supervised:
    """Machines with a supervisor, below a folder, and the changes that tests make there."""

    hibernates_itself = True
    compute: LocalCompute | LabCompute

    def __init__(self, root):
        self.root = root

    def now(self):
        return datetime.now(UTC)

    def pass_time(self, delta):
        pass  # real time passes by itself, and tests wait for conditions

    def break_setup(self):
        return BROKEN_SETUP

    def repair_setup(self, id):
        (self.root / "workspaces" / id / "home" / "cured").touch()

    def slow_down(self):
        return Template(name="t", post_install=("sleep 60",))

    def close(self):
        for machine in self.compute.survey():
            self.compute.terminate(machine.id)
        eventually(lambda: all(m.observed is Observed.GONE for m in self.compute.survey()))


class Local(Supervised):
    """Machines of this computer."""

    def __init__(self, root):
        super().__init__(root)
        self.compute = LocalCompute(root / "workspaces", root / "cache")


class Server(Supervised):
    """Machines of a lab server."""

    def __init__(self, lab, root):
        super().__init__(lab.home / ".prism-server")
        self.server = LabServer(lab.name)
        self.forwards = Forwards(self.server)
        self.compute = LabCompute(
            self.server,
            SshGate(root),
            root / "ports",
            remembered=timedelta(hours=1),
            forwards=self.forwards,
        )

    def close(self):
        super().close()
        self.forwards.close()
        self.server.close()


@pytest.fixture
def lab(monkeypatch):
    """A lab server, if this test can have one."""
    if os.geteuid() != 0 or not can_be_ordinary():
        pytest.skip("a lab server of its own needs root, and another user's sandbox")
    with running_lab(monkeypatch) as machine:
        yield machine


@pytest.fixture(params=PLACES)
def world(request, tmp_path):
    worlds: dict[str, Callable[[], Memory | Supervised | Aws]] = {
        "ssh": lambda: Server(request.getfixturevalue("lab"), tmp_path),
        "memory": Memory,
        "local": lambda: Local(tmp_path),
        "aws": lambda: Aws(request.getfixturevalue("aws"), tmp_path),
    }
    tested_world = worlds[request.param]()
    yield tested_world
    tested_world.close()


@pytest.fixture
def compute(world):
    return world.compute


def order(template=TEMPLATE, **more):
    order = MachineSpec(
        key="ws_1",
        name="mine",
        template=template,
        instance_type="t3.small",
        root_gb=8,
        hibernation=True,
    )
    return replace(order, **more)


def wait_for_state(compute, seen):
    def there():
        [machine] = compute.survey()
        return machine if machine.observed is seen else None

    return eventually(there)


def test_survey_is_empty_at_first(compute):
    assert list(compute.survey()) == []


def test_launch_returns_a_starting_machine_that_becomes_on(compute):
    launched = compute.launch(order())
    assert launched.key == "ws_1"
    assert launched.observed in {Observed.STARTING, Observed.ON}
    on = wait_for_state(compute, Observed.ON)
    assert (on.id, on.key, on.progress, on.failure) == (launched.id, "ws_1", 100, None)
    assert on.private_ip


def test_repeated_launch_returns_the_same_machine(compute):
    assert compute.launch(order()).id == compute.launch(order()).id
    wait_for_state(compute, Observed.ON)
    assert compute.launch(order()).observed is Observed.ON


# `tests/providers` has more tests of hibernated machines.
DOWN = [
    *((place, "stop", Observed.OFF) for place in PLACES),
    ("memory", "hibernate", Observed.ASLEEP),
    pytest.param("local", "hibernate", Observed.ASLEEP, marks=pytest.mark.slow),
    pytest.param("ssh", "hibernate", Observed.ASLEEP, marks=pytest.mark.slow),
    pytest.param("aws", "hibernate", Observed.ASLEEP, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("world", "verb", "state"), DOWN, indirect=["world"])
def test_stop_hibernate_and_start_can_be_repeated(world, compute, verb, state):
    id = compute.launch(order()).id
    wait_for_state(compute, Observed.ON)
    for _ in range(2):
        getattr(compute, verb)(id)
        wait_for_state(compute, state)
    world.pass_time(timedelta(seconds=1))  # EC2 records the time of a start in whole seconds
    for _ in range(2):
        compute.start(id)
        wait_for_state(compute, Observed.ON)


def test_terminated_machine_stays_listed_as_gone_and_cannot_start(compute):
    id = compute.launch(order()).id
    for _ in range(2):
        compute.terminate(id)
        wait_for_state(compute, Observed.GONE)
    for verb in ("start", "stop", "hibernate"):
        getattr(compute, verb)(id)
    assert compute.launch(order()).observed is Observed.GONE
    assert [machine.observed for machine in compute.survey()] == [Observed.GONE]


@pytest.mark.parametrize(("world", "verb", "state"), DOWN, indirect=["world"])
def test_stopped_or_hibernated_machine_can_be_terminated(compute, verb, state):
    id = compute.launch(order()).id
    wait_for_state(compute, Observed.ON)
    getattr(compute, verb)(id)
    wait_for_state(compute, state)
    compute.terminate(id)
    wait_for_state(compute, Observed.GONE)


def test_verbs_ignore_an_unknown_machine(compute):
    for verb in ("start", "stop", "hibernate", "terminate"):
        getattr(compute, verb)("local-00000000000000000")
    compute.expire("local-00000000000000000", None, "stop")
    assert list(compute.survey()) == []


def test_machine_with_a_failing_setup_is_broken_until_the_setup_succeeds(world, compute):
    id = compute.launch(order(world.break_setup())).id
    assert wait_for_state(compute, Observed.BROKEN).failure.message
    compute.stop(id)
    assert wait_for_state(compute, Observed.BROKEN).failure.code
    compute.start(id)
    wait_for_state(compute, Observed.BROKEN)
    world.repair_setup(id)
    compute.start(id)
    assert wait_for_state(compute, Observed.ON).failure is None


def test_template_of_a_broken_machine_can_be_changed_repeatedly(world, compute):
    id = compute.launch(order(world.break_setup())).id
    wait_for_state(compute, Observed.BROKEN)
    world.repair_setup(id)
    well = structs.replace(TEMPLATE, post_install=("true",))
    for _ in range(2):
        compute.change_template(id, order(well))
    assert [machine.observed for machine in compute.survey()] == [Observed.BROKEN], (
        "only a start runs the setup again"
    )
    compute.start(id)
    assert wait_for_state(compute, Observed.ON).failure is None


def test_starting_machine_reports_its_progress_and_can_be_stopped(world, compute):
    id = compute.launch(order(world.slow_down())).id
    coming = wait_for_state(compute, Observed.STARTING)
    assert 0 <= coming.progress < 100
    world.pass_time(timedelta(seconds=1))
    eventually(lambda: compute.survey()[0].stage)
    compute.stop(id)
    world.pass_time(timedelta(seconds=10))
    wait_for_state(compute, Observed.OFF)


@pytest.mark.parametrize(("world", "action", "state"), DOWN, indirect=["world"])
def test_machine_stops_or_hibernates_by_itself_at_its_expiry(world, compute, action, state):
    id = compute.launch(order()).id
    wait_for_state(compute, Observed.ON)
    compute.expire(id, world.now() + timedelta(hours=1), action)
    compute.expire(id, world.now() + timedelta(seconds=0.2), action)
    world.pass_time(timedelta(seconds=1))
    wait_for_state(compute, state if world.hibernates_itself else Observed.OFF)
    compute.start(id)  # it can be started after its expiry
    wait_for_state(compute, Observed.ON)


def test_expiry_of_a_launch_can_be_removed_and_set_again(world, compute):
    ends = world.now() + timedelta(seconds=2)
    id = compute.launch(order(expires_at=ends)).id
    compute.expire(id, None, "hibernate")
    world.pass_time(timedelta(seconds=3))
    eventually(lambda: world.now() > ends)
    wait_for_state(compute, Observed.ON)
    compute.expire(id, world.now(), "hibernate")
    wait_for_state(compute, Observed.ASLEEP if world.hibernates_itself else Observed.OFF)


def test_access_requires_a_machine_that_is_on(compute):
    id = compute.launch(order()).id
    wait_for_state(compute, Observed.ON)
    access = compute.access(id)
    assert access.host
    assert access.user
    assert access.endpoints["page"].url.startswith(f"http://{access.host}:")
    compute.stop(id)
    wait_for_state(compute, Observed.OFF)
    for machine_id in (id, "local-00000000000000000"):
        with pytest.raises(Unavailable):
            compute.access(machine_id)


RULE = IdleRule(profile="t", minutes=5, action="stop", limits={"cpu": 5.0})


def test_idle_rule_can_be_set_in_any_state_and_repeatedly(compute):
    id = compute.launch(order()).id
    for _ in range(2):
        compute.watch(id, RULE)
    wait_for_state(compute, Observed.ON)
    compute.watch(id, None)
    compute.watch(id, RULE)
    compute.stop(id)
    wait_for_state(compute, Observed.OFF)
    compute.watch(id, RULE)
    assert wait_for_state(compute, Observed.OFF)


def test_first_launch_with_an_idle_rule_reports_that_the_rule_was_written(world, compute):
    launched = compute.launch(order(idle=RULE))
    assert launched.has_rule is isinstance(world, Supervised)
    if launched.has_rule:
        written = world.root / "workspaces" / launched.id / "idle.json"
        assert json.loads(written.read_bytes()) == json.loads(encoded(RULE, 60))
    assert not compute.launch(order(idle=RULE)).has_rule
    assert not any(machine.has_rule for machine in compute.survey())


def test_rule_and_template_of_a_gone_machine_are_ignored(compute):
    compute.watch("local-00000000000000000", RULE)
    id = compute.launch(order()).id
    compute.terminate(id)
    wait_for_state(compute, Observed.GONE)
    compute.watch(id, RULE)
    compute.change_template(id, order())
    assert [machine.observed for machine in compute.survey()] == [Observed.GONE]
