"""What a workspace costs in each observed state: the whole table of docs/money.md."""

from itertools import product

import pytest
from msgspec.structs import replace

from prism.catalog.plan import PriceBook
from prism.costs.model import CostKind
from prism.costs.plan import charges
from prism.workspaces.model import LifecycleVerb, Observed
from tests.workspaces.test_plan import AT, NEW

NOTHING: frozenset[CostKind] = frozenset()
DISK = frozenset({CostKind.ROOT})
RUNS = frozenset({CostKind.ROOT, CostKind.COMPUTE, CostKind.ADDRESS})
MADE = replace(NEW, machine_id="i-1", public_ip="198.51.100.1", region="us-east-1")
# by observed state: before the first start is complete, afterwards, and once `charged`
TABLE = {
    Observed.NONE: (NOTHING, NOTHING, NOTHING),
    Observed.UNSURE: (NOTHING, NOTHING, NOTHING),
    Observed.STARTING: (NOTHING, DISK, RUNS),
    Observed.ON: (RUNS, RUNS, RUNS),
    Observed.STOPPING: (DISK, DISK, RUNS),
    Observed.OFF: (DISK, DISK, None),
    Observed.ASLEEP: (DISK | {CostKind.ASLEEP}, DISK | {CostKind.ASLEEP}, None),
    Observed.BROKEN: (DISK, DISK, None),
    Observed.GONE: (NOTHING, NOTHING, NOTHING),
}
PRICES = PriceBook()


@pytest.mark.parametrize(("seen", "verb"), list(product(Observed, LifecycleVerb)))
def test_charges_depend_on_the_observed_state_and_not_on_the_verb(seen, verb):
    first, later, charged = TABLE[seen]
    workspace = replace(MADE, observed=seen, verb=verb)
    assert charges(workspace, PRICES).keys() == first
    assert charges(replace(workspace, ready_at=AT), PRICES).keys() == later
    if charged is not None:
        assert charges(replace(workspace, charged=True), PRICES).keys() == charged


@pytest.mark.parametrize("seen", Observed)
def test_workspace_without_a_machine_or_after_its_end_has_no_charges(seen):
    workspace = replace(MADE, observed=seen, charged=True)
    for over in (replace(workspace, machine_id=None), replace(workspace, ended_at=AT)):
        assert charges(over, PRICES) == {}
