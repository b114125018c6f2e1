"""Verbs of a paid workspace during which a daemon is killed, with the steps before and after."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from prism.budgets.model import BudgetExceeded, NewAllocation, NewPool
from prism.costs import rollups
from prism.projects.model import NewBudget, NewProject
from prism.workspaces.model import (
    ExtendRequest,
    LaunchRequest,
    LifecycleVerb,
    MoveRequest,
    RootDisk,
    TerminateRequest,
    WorkspaceNotFound,
)
from prism.workspaces.plan import state_of
from tests.conftest import ML

NOTHING = timedelta(0)
# of project, allocation and pool: enough for two disks and one running machine
CAPS = (3.5, 3.36, 3.4)


def launch_request(name, hours=None):
    return LaunchRequest(
        name=name,
        template=ML,
        size="M",
        project="lab",
        budget="grant",
        ttl_hours=hours,
        storage=RootDisk(ebs_volume_size=20),
    )


class State:
    """The parts of a daemon, and requests to them."""

    def __init__(self, wiring, clock):
        self.wiring, self.clock = wiring, clock

    def launch(self, name="mine", hours=None):
        self.wiring.workspaces.launch(launch_request(name, hours))

    def ask(self, verb):
        self.wiring.workspaces.ask("mine", verb)

    def state(self, name):
        try:
            return str(state_of(self.wiring.workspaces.named(name)))
        except WorkspaceNotFound:  # terminated, and not listed any more
            return "terminated"

    def workspace(self):
        return self.wiring.workspaces.named("mine")


def create_funded_project(state):
    """A project with a cap of its own and an allocation from a pool."""
    project, part, pool = CAPS
    budget = NewBudget(total_allocated=project, alert_threshold=3.0)
    state.wiring.projects.create(NewProject(name="lab", budget=budget))
    grant = NewPool(name="grant", total_amount=pool, period="monthly", created_by="pi")
    state.wiring.budgets.create(grant)
    state.wiring.budgets.allocate(
        NewAllocation(
            budget_id="grant", project_id="lab", allocated_amount=part, allocated_by="pi"
        )
    )


def launch(state):
    state.launch()


def launch_for_four_hours(state):
    state.launch(hours=4)


def request(verb):
    return lambda state: state.ask(verb)


def extend_once(state):
    """Extend, unless an earlier request already did."""
    workspace = state.workspace()
    if workspace.expires_at - workspace.launched_at < timedelta(hours=5):
        state.wiring.workspaces.extend("mine", ExtendRequest(hours=2))


def terminate(state):
    state.wiring.workspaces.terminate("mine", TerminateRequest(confirm="DELETE"))


def move_to_other(state):
    state.wiring.workspaces.move("mine", MoveRequest(project="other"))


def create_other_project(state):
    """A project with money for one such workspace."""
    budget = NewBudget(total_allocated=2.0)
    state.wiring.projects.create(NewProject(name="other", budget=budget))


def request_nothing(state):
    """No request: only time passes."""


def second_workspace_is_refused(state):
    """A second workspace does not fit, so no reservation was lost."""
    try:
        state.launch("another", hours=6)
    except BudgetExceeded:
        return
    yield "a second workspace fits"


def reservation_is_released(state):
    """The reservation was released: the same workspace fits once more."""
    try:
        state.wiring.workspaces.plan_launch(launch_request("other"))
    except BudgetExceeded as error:
        yield f"the reservation was not released: {error.details}"


def is_extended_by_two_hours(state):
    workspace = state.workspace()
    if workspace.expires_at - workspace.launched_at != timedelta(hours=6):
        yield f"the workspace expires {workspace.expires_at}"


def alert_is_recorded_once(state):
    """The day is summed up, and the threshold event was recorded once."""
    facts = [
        event
        for event in state.wiring.db.events_after(0)
        if event.event == "budget_threshold_exceeded"
    ]
    if len(facts) != 1:
        yield f"the alert was recorded {len(facts)} times"
    with state.wiring.db.read() as sql:
        if rollups.last_day(sql) is None:
            yield "no day was summed up"


@dataclass(frozen=True)
class Life:
    """Steps before, the verb `later`, the request that is repeated `again`, and what holds then.

    `looked` is whether the request is answered only after a survey of the machine.
    """

    state: str
    ask: Callable[[State], object]
    before: tuple[Callable[[State], object], ...] = (create_funded_project, launch)
    later: timedelta = timedelta(minutes=25)
    again: Callable[[State], object] | None = None
    more: Callable[[State], Iterable[str]] = field(default=second_workspace_is_refused)
    looked: bool = False

    def __post_init__(self):
        if self.again is None:
            object.__setattr__(self, "again", self.ask)


STOP, START = request(LifecycleVerb.STOP), request(LifecycleVerb.START)
HIBERNATE, RESUME = request(LifecycleVerb.HIBERNATE), request(LifecycleVerb.RESUME)
LIVES = {
    "launch": Life("running", launch, (create_funded_project,)),
    "stop": Life("stopped", STOP, more=reservation_is_released),
    "start": Life("running", START, (create_funded_project, launch, STOP)),
    "hibernate": Life("hibernated", HIBERNATE, more=reservation_is_released),
    "resume": Life("running", RESUME, (create_funded_project, launch, HIBERNATE)),
    "extend": Life(
        "running",
        extend_once,
        (create_funded_project, launch_for_four_hours),
        more=is_extended_by_two_hours,
        looked=True,
    ),
    "renewal": Life("running", request_nothing, later=timedelta(minutes=45)),
    "settlement": Life(
        "hibernated", request_nothing, later=timedelta(hours=26), more=alert_is_recorded_once
    ),
    "move": Life(
        "running",
        move_to_other,
        (create_funded_project, create_other_project, launch),
        more=reservation_is_released,
        looked=True,
    ),
    "terminate": Life("terminated", terminate, more=reservation_is_released),
}
