"""The structs of costs: the ledger, and the answers of the API."""

import datetime
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from prism.kit.money import Micros
from prism.kit.transaction import Rows

GroupBy = Literal["project", "user", "template", "budget", "type"]
HOUR, DAY, MONTH_HOURS = 3600, 86400, 720
BURN = 30  # days over which spending is measured


class CostKind(StrEnum):
    """What a segment pays for; `ASLEEP` pays for nothing: it is the compute that was saved."""

    COMPUTE = "compute"
    ROOT = "root"
    ADDRESS = "address"
    VOLUME = "volume"
    FILES = "files"
    SNAPSHOT = "snapshot"
    ASLEEP = "asleep"


PAID = tuple(kind for kind in CostKind if kind is not CostKind.ASLEEP)
RUNS = frozenset(
    {CostKind.COMPUTE, CostKind.ADDRESS}
)  # kinds that cost money only while a machine runs
OF_A_WORKSPACE = frozenset({CostKind.COMPUTE, CostKind.ROOT, CostKind.ADDRESS})


class Rate(Struct, frozen=True):
    """A price: micro-dollars for a number of hours, its source, and its date.

    Compute is priced by the hour and storage by the calendar month, which `hours` calls 720
    (`costs/months.py`); dividing a month's price would lose a fraction, so the original price is
    stored. Null means unknown.
    """

    amount: Micros | None
    hours: int
    source: str
    as_of: datetime.date | None = None


class Booking(Struct, frozen=True):
    """A resource that costs money, its owner, and its payer."""

    resource: str
    name: str
    owner: str
    profile: str
    template: str | None = None
    project: str | None = None
    allocation: str | None = None
    pool: str | None = None


class Segment(Struct, frozen=True, kw_only=True):
    """A period at one price; times are seconds since 1970, null while it is open.

    An open segment costs money until `counted`, when a survey last saw its machine run; null means
    until now. `is_minimum` marks the rest of the least that a provider charges for a run.
    `month_began` is `began` in month time (`costs/months.py`); null if seconds count as they are.
    """

    id: int
    resource: str
    name: str
    owner: str
    profile: str
    template: str | None
    project: str | None
    allocation: str | None
    pool: str | None
    kind: CostKind
    detail: str
    amount: Micros | None
    hours: int
    source: str
    as_of: datetime.date | None
    began: int
    ended: int | None
    counted: int | None
    reconstructed: bool
    is_minimum: bool = False
    month_began: int | None = None

    @property
    def until(self) -> int | None:
        """Until when the segment costs money; null if it does now."""
        return self.counted if self.ended is None else self.ended

    @property
    def by_month(self) -> bool:
        """Whether each calendar month costs the same; storage before decision 058 does not."""
        return self.month_began is not None

    @property
    def is_paid(self) -> bool:
        """Whether the segment costs money; time asleep only counts as savings."""
        return self.kind is not CostKind.ASLEEP


class CostPeriod(Struct, frozen=True):
    """The fields of a segment for sums; `until` is until when it counts."""

    no: int
    project: str | None
    kind: CostKind
    amount: Micros | None
    hours: int
    began: int
    ended: int | None
    by_month: bool


class UnpricedRow(NamedTuple):
    """A segment without a known price."""

    project: str | None
    allocation: str | None
    pool: str | None
    name: str
    kind: str
    began: int
    ended: int | None


class DayCost(Struct, frozen=True):
    """The cost of one day (counted from 1970), by kind; `who` has a bit for each workspace."""

    day: int
    micros: dict[CostKind, int]
    who: int = 0

    @property
    def paid(self) -> int:
        """The total cost, without the savings."""
        return sum(self.micros.values()) - self.saved

    @property
    def saved(self) -> int:
        """The savings: what compute would have cost during sleep."""
        return self.micros.get(CostKind.ASLEEP, 0)


class HourlyBreakdown(Struct, frozen=True):
    """The cost of one hour by kind."""

    instances: float
    ebs_storage: float
    efs_storage: float


class HibernationSavings(Struct, frozen=True):
    """What hibernation saved since the month began, and a projection to its end."""

    current_month: float
    projected_monthly: float | None


class CostDriver(Struct, frozen=True):
    """Something that costs money now."""

    resource: str
    hourly_cost: float
    percentage: float


class CurrentCosts(Struct, frozen=True, kw_only=True):
    """What costs money now.

    The sums leave out `unpriced`: the names of everything without a known price; `unknown` is the
    same. The totals are null if nothing has a known price.
    """

    total_current_hourly: float | None
    total_daily_projection: float | None
    total_monthly_projection: float | None
    cost_breakdown: HourlyBreakdown
    hibernation_savings: HibernationSavings
    top_cost_drivers: tuple[CostDriver, ...]
    unknown: tuple[str, ...]
    unpriced: tuple[str, ...]


class CostBucket(Struct, frozen=True):
    """One bar of a chart; the cents of all bars add up to the total, `micros` is exact."""

    date: datetime.date
    cost: float
    instances: int
    hibernation_savings: float
    micros: int


class CostTrends(Struct, frozen=True):
    """The second half of a period compared with the first."""

    trend_direction: str
    percentage_change: float | None
    primary_driver: str | None


class CostGroup(Struct, frozen=True, kw_only=True):
    """The cost of one project, user, template, budget or machine type in a period.

    `name` is null if there is none: a volume has no template, and no disk a machine type.
    `costs` has a number for each bar. The cents of all groups add up to the total of the
    period; `micros` is exact.
    """

    name: str | None
    cost: float
    micros: int
    percentage: float
    hibernation_savings: float
    instances: int
    costs: tuple[float, ...]


class CostHistory(Struct, frozen=True, kw_only=True):
    """The cost of a period; `unpriced` names what is missing because it has no known price.

    `total_cost` is null if nothing has a known price.

    `groups` is the cost of each project, user, template, budget or type, if you asked for groups.
    """

    period: str
    total_cost: float | None
    micros: int
    daily_costs: tuple[CostBucket, ...]
    cost_trends: CostTrends
    unpriced: tuple[str, ...] = ()
    group_by: GroupBy | None = None
    groups: tuple[CostGroup, ...] = ()


class CostExportLine(Struct, frozen=True, kw_only=True):
    """The part of one segment in a period, as exports show it; `micros` is exact.

    A segment of kind `asleep` costs nothing; `saved` is what its compute would have cost.
    """

    segment: int
    resource: str
    name: str
    kind: CostKind
    detail: str
    project: str | None
    project_name: str | None
    allocation: str | None
    budget: str | None
    user: str
    template: str | None
    profile: str
    rate: float | None
    rate_hours: int
    source: str
    as_of: datetime.date | None
    began: str
    ended: str | None
    seconds: int
    micros: int | None
    cost: float | None
    saved_micros: int | None
    saved: float | None
    reconstructed: bool


class UsageStatistics(Struct, frozen=True):
    """A figure (mean and maximum), over the hours in which it could be measured."""

    hours: float
    mean: float
    max: float


class MeasuredUsage(Struct, frozen=True, kw_only=True):
    """The measurements of a workspace while it ran, over `hours`.

    CPU is percent of one core, memory percent of the machine's memory, network KB/s, GPU percent
    of the busiest; null was not measured.
    """

    workspace: str
    instance_type: str
    region: str
    hours: float
    idle_hours: float
    hourly: Micros | None = None
    hibernates: bool = True
    cpu: UsageStatistics | None = None
    memory: UsageStatistics | None = None
    network: UsageStatistics | None = None
    gpu: UsageStatistics | None = None


class UsageObserver(Protocol):
    """Measures what workspaces use."""

    def observed(self, sql: Rows, project: str) -> Sequence[MeasuredUsage]:
        """The measurements of the last 30 days, for each workspace of a project."""


class CostRecommendation(Struct, frozen=True, kw_only=True):
    """A way to spend less; `potential_savings` is for the hours that were measured."""

    type: str
    instance: str
    potential_savings: float
    recommendation: str
    measured: MeasuredUsage
