"""What a workspace costs as it was seen: the whole table of docs/money.md."""

from itertools import product

import pytest
from msgspec.structs import replace

from prism.costs.model import CostKind
from prism.costs.plan import charges
from prism.workspaces.model import Seen, Verb
from tests.workspaces.test_plan import AT, NEW

NOTHING = frozenset()
DISK = frozenset({CostKind.ROOT})
RUNS = frozenset({CostKind.ROOT, CostKind.COMPUTE, CostKind.ADDRESS})
MADE = replace(NEW, machine_id="i-1", public_ip="198.51.100.1", region="us-east-1")
# seen: what it costs before it was ever ready, afterwards, and where it is charged for
TABLE = {
    Seen.NONE: (NOTHING, NOTHING, NOTHING),
    Seen.UNSURE: (NOTHING, NOTHING, NOTHING),
    Seen.STARTING: (NOTHING, DISK, RUNS),
    Seen.ON: (RUNS, RUNS, RUNS),
    Seen.STOPPING: (DISK, DISK, RUNS),
    Seen.OFF: (DISK, DISK, None),
    Seen.ASLEEP: (DISK | {CostKind.ASLEEP}, DISK | {CostKind.ASLEEP}, None),
    Seen.BROKEN: (DISK, DISK, None),
    Seen.GONE: (NOTHING, NOTHING, NOTHING),
}


@pytest.mark.parametrize(("seen", "verb"), list(product(Seen, Verb)))
def test_what_it_costs_follows_from_what_was_seen_and_never_from_what_was_asked(seen, verb):
    first, later, charged = TABLE[seen]
    it = replace(MADE, seen=seen, verb=verb)
    assert charges(it).keys() == first
    assert charges(replace(it, ready_at=AT)).keys() == later
    if charged is not None:
        assert charges(replace(it, charged=True)).keys() == charged


@pytest.mark.parametrize("seen", Seen)
def test_what_has_no_machine_or_has_ended_costs_nothing(seen):
    it = replace(MADE, seen=seen, charged=True)
    assert charges(replace(it, machine_id=None)) == charges(replace(it, ended_at=AT)) == {}
