"""What a workspace costs in each observed state: the whole table of docs/money.md."""

from datetime import date
from itertools import product

import pytest
from msgspec.structs import replace

from prism.catalog.model import StoragePrice
from prism.catalog.plan import PriceBook
from prism.costs.model import CostKind
from prism.costs.plan import charges, disk_rate
from prism.kit.money import Micros
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


def test_root_disk_of_io2_costs_its_provisioned_iops():
    """Amazon EBS pricing: $0.125 for each of 100 GB, and $0.065 for each of 3,000 IOPS."""
    prices = PriceBook()
    day = date(2026, 12, 1)
    amounts = {"io2": 125_000, "io2-iops": 65_000}
    listed = {
        kind: StoragePrice(amount=Micros(usd), unit="GB-month", as_of=day, source="list")
        for kind, usd in amounts.items()
    }
    prices.set_listed("us-east-1", listed)
    workspace = replace(MADE, root_type="io2", root_gb=100)
    assert disk_rate(workspace, prices).amount == 207_500_000
    prices.set_listed("us-east-1", {"io2": listed["io2"]})
    assert disk_rate(workspace, prices).amount is None, "a part of its price is unknown"
