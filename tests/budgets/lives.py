"""Verbs of a paid workspace during which a daemon is killed, with the steps before and after."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from prism.budgets.model import BudgetExceeded, NewAllocation, NewPool
from prism.costs import rollups
from prism.projects.model import NewBudget, NewProject
from prism.workspaces.model import (
    Launch,
    LifecycleVerb,
    Moving,
    Storage,
    Termination,
    WorkspaceNotFound,
)
from prism.workspaces.plan import state_of
from tests.conftest import ML

NOTHING = timedelta(0)
CAPS = (3.5, 3.36, 3.4)  # of project, allocation and pool: for two disks and one that runs


def order(name, hours=None):
    return Launch(
        name=name,
        template=ML,
        size="M",
        project="lab",
        budget="grant",
        ttl_hours=hours,
        storage=Storage(ebs_volume_size=20),
    )


class State:
    """The parts of a daemon, and requests to them."""

    def __init__(self, wiring, clock):
        self.wiring, self.clock = wiring, clock

    def launch(self, name="mine", hours=None):
        self.wiring.workspaces.launch(order(name, hours))

    def ask(self, verb):
        self.wiring.workspaces.ask("mine", verb)

    def state(self, name):
        try:
            return str(state_of(self.wiring.workspaces.named(name)))
        except WorkspaceNotFound:  # terminated, and not listed any more
            return "terminated"

    def workspace(self):
        return self.wiring.workspaces.named("mine")


def funded(state):
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


def launched(state):
    state.launch()


def launched_for_hours(state):
    state.launch(hours=4)


def asked(verb):
    return lambda state: state.ask(verb)


def longer(state):
    """Extend, unless an earlier request already did."""
    workspace = state.workspace()
    if workspace.expires_at - workspace.launched_at < timedelta(hours=5):
        state.wiring.workspaces.extend("mine", 2)


def terminated(state):
    state.wiring.workspaces.terminate("mine", Termination(confirm="DELETE"))


def moved(state):
    state.wiring.workspaces.move("mine", Moving(project="other"))


def another_project(state):
    """A project with money for one such workspace."""
    budget = NewBudget(total_allocated=2.0)
    state.wiring.projects.create(NewProject(name="other", budget=budget))


def nothing(state):
    """No request: only time passes."""


def one_is_enough(state):
    """A second workspace does not fit, so no reservation was lost."""
    try:
        state.launch("another", hours=6)
    except BudgetExceeded:
        return
    yield "a second workspace fits"


def nothing_more(state):
    yield from ()


def given_back(state):
    """The reservation was released: the same workspace fits once more."""
    try:
        state.wiring.workspaces.plan_launch(order("other"))
    except BudgetExceeded as error:
        yield f"nothing was given back: {error.details}"


def longer_by_two(state):
    workspace = state.workspace()
    if workspace.expires_at - workspace.launched_at != timedelta(hours=6):
        yield f"it expires {workspace.expires_at}"


def told_once(state):
    """The day is summed up, and the threshold event was recorded once."""
    facts = [
        event
        for event in state.wiring.db.events_after(0)
        if event.event == "budget_threshold_exceeded"
    ]
    if len(facts) != 1:
        yield f"told {len(facts)} times"
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
    before: tuple[Callable[[State], object], ...] = (funded, launched)
    later: timedelta = timedelta(minutes=25)
    again: Callable[[State], object] | None = None
    more: Callable[[State], Iterable[str]] = field(default=one_is_enough)
    looked: bool = False

    def __post_init__(self):
        if self.again is None:
            object.__setattr__(self, "again", self.ask)


STOP, START = asked(LifecycleVerb.STOP), asked(LifecycleVerb.START)
HIBERNATE, RESUME = asked(LifecycleVerb.HIBERNATE), asked(LifecycleVerb.RESUME)
LIVES = {
    "launch": Life("running", launched, (funded,)),
    "stop": Life("stopped", STOP, more=given_back),
    "start": Life("running", START, (funded, launched, STOP)),
    "hibernate": Life("hibernated", HIBERNATE, more=given_back),
    "resume": Life("running", RESUME, (funded, launched, HIBERNATE)),
    "extend": Life(
        "running", longer, (funded, launched_for_hours), more=longer_by_two, looked=True
    ),
    "renewal": Life("running", nothing, later=timedelta(minutes=45)),
    "settlement": Life("hibernated", nothing, later=timedelta(hours=26), more=told_once),
    "move": Life(
        "running", moved, (funded, another_project, launched), more=given_back, looked=True
    ),
    "terminate": Life("terminated", terminated, more=given_back),
}
