"""What `Compute` means: one suite, every provider."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs
from msgspec.structs import replace

from prism.errors import Unavailable
from prism.kit.clock import StoppedClock
from prism.providers.idle_documents import encoded
from prism.providers.local.compute import LocalCompute
from prism.templates.model import Service, Template
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Failure, Observed
from prism.workspaces.ports import MachineOrder
from tests.contract.ec2 import Aws
from tests.doubles.memory import MemoryCompute
from tests.waiting import eventually

PLACES = ("memory", "local", "aws")
SERVE = "python -m http.server {port} --bind 127.0.0.1"
TEMPLATE = Template(name="t", services={"page": Service(command=SERVE, port=80, health="/")})
SICK = Template(name="t", post_install=("test -e cured",))


class Memory:
    """The double, and the hands that change its world."""

    naps = True

    def __init__(self):
        self.clock = StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.compute = MemoryCompute(self.clock)

    def now(self):
        return self.clock.now()

    def pass_time(self, delta):
        self.clock.advance(seconds=delta.total_seconds())

    def fall_ill(self):
        self.compute.faults.broken = Failure("SICK", "It is not well")
        return TEMPLATE

    def cure(self, id):
        self.compute.faults.broken = None

    def slow(self):
        self.compute.faults.slow = timedelta(seconds=10)
        return TEMPLATE

    def close(self):
        pass


class Local:
    """This machine, and the hands that change its world."""

    naps = True

    def __init__(self, root):
        self.root = root
        self.compute = LocalCompute(root / "workspaces", root / "cache")

    def now(self):
        return datetime.now(UTC)

    def pass_time(self, delta):
        pass  # it passes by itself, and whoever asked waits for a fact

    def fall_ill(self):
        return SICK

    def cure(self, id):
        (self.root / "workspaces" / id / "home" / "cured").touch()

    def slow(self):
        return Template(name="t", post_install=("sleep 60",))

    def close(self):
        for machine in self.compute.survey():
            self.compute.terminate(machine.id)
        eventually(lambda: all(m.seen is Observed.GONE for m in self.compute.survey()))


@pytest.fixture(params=PLACES)
def world(request, tmp_path):
    worlds: dict[str, Callable[[], Memory | Local | Aws]] = {
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
    order = MachineOrder(
        key="ws_1",
        name="mine",
        template=template,
        instance_type="t3.small",
        root_gb=8,
        hibernation=True,
    )
    return replace(order, **more)


def becomes(compute, seen):
    def there():
        [machine] = compute.survey()
        return machine if machine.seen is seen else None

    return eventually(there)


def test_there_is_nothing_at_first(compute):
    assert list(compute.survey()) == []


def test_a_launch_says_at_once_what_there_is_and_comes_to_be_on(compute):
    launched = compute.launch(order())
    assert launched.key == "ws_1"
    assert launched.seen in {Observed.STARTING, Observed.ON}
    on = becomes(compute, Observed.ON)
    assert (on.id, on.key, on.progress, on.failure) == (launched.id, "ws_1", 100, None)
    assert on.private_ip


def test_launching_twice_makes_one(compute):
    assert compute.launch(order()).id == compute.launch(order()).id
    becomes(compute, Observed.ON)
    assert compute.launch(order()).seen is Observed.ON


# Machines that sleep have tests of their own in `tests/providers`.
DOWN = [
    *((place, "stop", Observed.OFF) for place in PLACES),
    ("memory", "hibernate", Observed.ASLEEP),
    pytest.param("local", "hibernate", Observed.ASLEEP, marks=pytest.mark.slow),
    pytest.param("aws", "hibernate", Observed.ASLEEP, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("world", "verb", "state"), DOWN, indirect=["world"])
def test_it_goes_down_and_comes_back_and_saying_it_twice_is_fine(world, compute, verb, state):
    id = compute.launch(order()).id
    becomes(compute, Observed.ON)
    for _ in range(2):
        getattr(compute, verb)(id)
        becomes(compute, state)
    world.pass_time(timedelta(seconds=1))  # EC2 tells starts apart by whole seconds
    for _ in range(2):
        compute.start(id)
        becomes(compute, Observed.ON)


def test_what_is_destroyed_stays_listed_as_gone_and_cannot_come_back(compute):
    id = compute.launch(order()).id
    for _ in range(2):
        compute.terminate(id)
        becomes(compute, Observed.GONE)
    for verb in ("start", "stop", "hibernate"):
        getattr(compute, verb)(id)
    assert compute.launch(order()).seen is Observed.GONE
    assert [machine.seen for machine in compute.survey()] == [Observed.GONE]


def test_what_sleeps_or_is_off_can_be_destroyed(compute):
    id = compute.launch(order()).id
    becomes(compute, Observed.ON)
    compute.hibernate(id)
    becomes(compute, Observed.ASLEEP)
    compute.terminate(id)
    becomes(compute, Observed.GONE)


def test_a_machine_nobody_knows_is_no_problem(compute):
    for verb in ("start", "stop", "hibernate", "terminate"):
        getattr(compute, verb)("local-00000000000000000")
    compute.expire("local-00000000000000000", None, "stop")
    assert list(compute.survey()) == []


def test_one_that_cannot_be_set_up_is_broken_and_says_why_until_it_can(world, compute):
    id = compute.launch(order(world.fall_ill())).id
    assert becomes(compute, Observed.BROKEN).failure.message
    compute.stop(id)
    assert becomes(compute, Observed.BROKEN).failure.code
    compute.start(id)
    becomes(compute, Observed.BROKEN)
    world.cure(id)
    compute.start(id)
    assert becomes(compute, Observed.ON).failure is None


def test_one_that_is_broken_may_be_told_another_template_and_twice(world, compute):
    id = compute.launch(order(world.fall_ill())).id
    becomes(compute, Observed.BROKEN)
    world.cure(id)
    well = structs.replace(TEMPLATE, post_install=("true",))
    for _ in range(2):
        compute.change_template(id, order(well))
    assert [machine.seen for machine in compute.survey()] == [Observed.BROKEN], (
        "a start is another wish"
    )
    compute.start(id)
    assert becomes(compute, Observed.ON).failure is None


def test_one_that_is_still_coming_up_says_how_far_it_is_and_can_be_stopped(world, compute):
    id = compute.launch(order(world.slow())).id
    coming = becomes(compute, Observed.STARTING)
    assert 0 <= coming.progress < 100
    world.pass_time(timedelta(seconds=1))
    eventually(lambda: compute.survey()[0].stage)
    compute.stop(id)
    world.pass_time(timedelta(seconds=10))
    becomes(compute, Observed.OFF)


@pytest.mark.parametrize(("world", "action", "state"), DOWN, indirect=["world"])
def test_it_goes_down_by_itself_when_its_time_is_over(world, compute, action, state):
    id = compute.launch(order()).id
    becomes(compute, Observed.ON)
    compute.expire(id, world.now() + timedelta(hours=1), action)
    compute.expire(id, world.now() + timedelta(seconds=0.2), action)
    world.pass_time(timedelta(seconds=1))
    becomes(compute, state if world.naps else Observed.OFF)
    compute.start(id)  # whoever starts it afterwards may have it
    becomes(compute, Observed.ON)


def test_a_launch_knows_the_end_and_an_extension_moves_it(world, compute):
    ends = world.now() + timedelta(seconds=2)
    id = compute.launch(order(expires_at=ends)).id
    compute.expire(id, None, "hibernate")
    world.pass_time(timedelta(seconds=3))
    eventually(lambda: world.now() > ends)
    becomes(compute, Observed.ON)
    compute.expire(id, world.now(), "hibernate")
    becomes(compute, Observed.ASLEEP if world.naps else Observed.OFF)


def test_who_is_on_lets_in_and_who_is_not_does_not(compute):
    id = compute.launch(order()).id
    becomes(compute, Observed.ON)
    access = compute.access(id)
    assert access.host
    assert access.user
    assert access.endpoints["page"].url.startswith(f"http://{access.host}:")
    compute.stop(id)
    becomes(compute, Observed.OFF)
    for machine_id in (id, "local-00000000000000000"):
        with pytest.raises(Unavailable):
            compute.access(machine_id)


RULE = IdleRule(profile="t", minutes=5, action="stop", limits={"cpu": 5.0})


def test_what_to_make_of_idleness_may_be_told_at_any_time_and_twice(compute):
    id = compute.launch(order()).id
    for _ in range(2):
        compute.watch(id, RULE)
    becomes(compute, Observed.ON)
    compute.watch(id, None)
    compute.watch(id, RULE)
    compute.stop(id)
    becomes(compute, Observed.OFF)
    compute.watch(id, RULE)
    assert becomes(compute, Observed.OFF)


def test_only_a_machine_that_was_made_with_its_idle_rule_says_so_and_only_once(world, compute):
    launched = compute.launch(order(idle=RULE))
    assert launched.has_rule is isinstance(world, Local)
    if launched.has_rule:
        written = world.root / "workspaces" / launched.id / "idle.json"
        assert written.read_bytes() == encoded(RULE, 60)
    assert not compute.launch(order(idle=RULE)).has_rule
    assert not any(machine.has_rule for machine in compute.survey())


def test_a_machine_that_is_gone_is_told_nothing(compute):
    compute.watch("local-00000000000000000", RULE)
    id = compute.launch(order()).id
    compute.terminate(id)
    becomes(compute, Observed.GONE)
    compute.watch(id, RULE)
    compute.change_template(id, order())
    assert [machine.seen for machine in compute.survey()] == [Observed.GONE]
