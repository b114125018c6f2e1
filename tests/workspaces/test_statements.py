"""The number of statements and transactions of a verb, from its request to its fulfilment.

The numbers are exact, for SQLite. On PostgreSQL each loop reads when a row is due as often as it
looks, because other daemons write there too. A stop takes two rounds: one calls the provider, the
next observes the stopped machine. Besides the changes of the row, each loop reads once when its
next row is due after its table was written.
"""

from collections import Counter

import pytest
from sqlalchemy import event

from prism.budgets.model import NewAllocation, NewPool
from prism.projects.model import NewProject
from prism.workspaces.model import LaunchRequest, LifecycleVerb, StartRequest, TerminateRequest
from tests.conftest import ML

CONTROL = ("BEGIN", "SAVEPOINT", "RELEASE")


class Meter:
    """Counts the statements of a daemon."""

    def __init__(self, db):
        self.found = Counter[str]()
        for engine in (db.writer, db._readers):
            event.listen(engine, "before_cursor_execute", self._count_statement)
        event.listen(db.writer, "begin", self._count_transaction)

    def _count_statement(self, _connection, _cursor, statement, *_):
        self.found["statements"] += not statement.startswith(CONTROL)

    def _count_transaction(self, _connection):
        self.found["writes"] += 1

    def of(self, do):
        """The number of statements, and of transactions that write."""
        self.found.clear()
        do()
        return self.found["statements"], self.found["writes"]


@pytest.fixture
def lab(make_daemon, cloud):
    """A daemon with a project that a pool pays for; its machines get their idle rule at launch."""
    cloud.has_rule = True
    daemon = make_daemon(local_prices="aws")
    grant = NewPool(name="grant", total_amount=1e6, period="project", created_by="pi")
    daemon.budgets.create(grant)
    daemon.projects.create(NewProject(name="lab"))
    part = NewAllocation(
        budget_id="grant", project_id="lab", allocated_amount=1e4, allocated_by="pi"
    )
    daemon.budgets.allocate(part)
    daemon.settle()
    return daemon


def reconcile_all(daemon, clock):
    """Reconciles until nothing is due."""
    while sum(loop.once() for loop in daemon.loops) or _later(daemon, clock):
        pass


def _later(daemon, clock):
    clock.advance(seconds=0.05)
    return sum(loop.once() for loop in daemon.loops)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_each_verb_executes_a_fixed_number_of_statements(lab, clock):
    meter, workspaces = Meter(lab.db), lab.workspaces
    verbs = {
        "launch": lambda: workspaces.launch(
            LaunchRequest(name="mine", template=ML, project="lab")
        ),
        "stop": lambda: workspaces.ask("mine", LifecycleVerb.STOP),
        "start": lambda: workspaces.start("mine", StartRequest()),
        "terminate": lambda: workspaces.terminate("mine", TerminateRequest(confirm="DELETE")),
    }
    statements = {}
    for verb, ask in verbs.items():
        requested = meter.of(ask)
        statements[verb] = requested, meter.of(lambda: reconcile_all(lab, clock))
        clock.advance(minutes=2)
    assert statements == {
        "launch": ((30, 1), (34, 3)),
        "stop": ((3, 1), (32, 4)),
        "start": ((21, 1), (31, 4)),
        "terminate": ((8, 1), (37, 4)),
    }
