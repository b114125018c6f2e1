"""Pools, allocations and reservations, and the requests and answers about them."""

from datetime import date, datetime
from typing import Annotated, Literal, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.costs.model import CostRecommendation
from prism.errors import AlreadyExists, Conflict, Denied, InUse, NotFound
from prism.kit.money import Micros
from prism.kit.transaction import Rows, Tx
from prism.projects.model import Text, Usd
from prism.workspaces.model import Workspace

Name = Annotated[
    str, Meta(pattern=r"^\S(.{0,98}\S)?$(?!\n)", description="1-100 characters, no blank ends")
]
Word = Annotated[str, Meta(min_length=1, max_length=254)]
Fraction = Annotated[float, Meta(ge=0, le=1, description="a fraction from 0 to 1")]
Period = Literal["project", "yearly", "monthly", "weekly", "daily"]


class BudgetExists(AlreadyExists):
    """A budget of that name already exists."""


class BudgetInUse(InUse):
    """Money of the pool is allocated to projects."""


class AllocationNotFound(NotFound, code="ALLOCATION_NOT_FOUND"):
    """There is no allocation with that id."""


class AllocationExists(AlreadyExists):
    """The project has an allocation from that pool already."""


class AllocationInUse(InUse):
    """Workspaces are paid for by the allocation."""


class OverAllocated(Conflict, code="OVER_ALLOCATED"):
    """There is not enough money left to allocate."""


class BudgetExceeded(Denied, code="BUDGET_EXCEEDED"):
    """There is not enough money left for this."""


class Pool(Struct, frozen=True, kw_only=True):
    """Money for several projects; all amounts are per period."""

    id: str
    name: str
    description: str = ""
    total: Micros
    period: Period
    time_zone: str = "UTC"
    start_date: datetime
    end_date: datetime | None = None
    alert_threshold: float = 0.8
    created_by: str
    created_at: datetime
    updated_at: datetime


class Allocation(Struct, frozen=True, kw_only=True):
    """A project's part of a pool, per period."""

    id: str
    pool: str
    project: str
    amount: Micros
    alert_threshold: float = 0.8
    allocated_by: str
    allocated_at: datetime


class CapAmount(Struct, frozen=True):
    """Which amount a pool, or a project's part of it, had since a moment (seconds since 1970)."""

    scope: str
    since: int
    pool: str
    project: str | None
    amount: Micros


class Reservation(Struct, frozen=True, kw_only=True):
    """The money that is reserved for one workspace; times are seconds since 1970.

    Compute is reserved from `since` to `until`, and for `stopping` seconds more. The disk is
    reserved from `disk_since`: of its project's own cap to `disk_until`, of its allocation and
    pool to `part_until`, at most to the end of the present period. While a workspace is `running`
    (or its disk is `kept`) the ledger counts the same seconds, so the reservation shrinks as the
    ledger grows. The ledger counts compute until `counted`; 0 means until now.
    """

    id: str
    name: str
    project: str
    allocation: str | None = None
    pool: str | None = None
    compute: Micros | None  # an hour
    since: int = 0
    until: int = 0
    stopping: int = 0
    running: bool = False
    disk: Micros | None  # a calendar month
    disk_since: int = 0
    disk_until: int = 0
    part_until: int = 0
    kept: bool = False
    counted: int = 0


class Window(Struct, frozen=True):
    """A period of a pool, in seconds since 1970; `end` is the next begin, null for never."""

    start: int
    end: int | None


class Holder(Struct, frozen=True):
    """Whose costs a limit counts: those of a person or a token, in one project or in all.

    With `launches`, also those of what the person has launched for others.
    """

    scope: Literal["person", "token"]
    subject: str
    project: str | None = None
    launches: bool = False


class Cap(Struct, frozen=True, kw_only=True):
    """One limit that a launch must fit: that of a project, an allocation, a pool or a holder.

    `name` is that of the project or pool, or says whose limit it is. The limit of a holder has a
    pool of its own, with periods of a month.
    """

    column: Literal["project", "allocation", "pool", "person", "token"]
    id: str
    name: str
    amount: Micros
    pool: Pool | None = None
    alert: float
    prevent: float = 1.0
    holder: Holder | None = None

    @property
    def is_own(self) -> bool:
        """Whether disks are reserved for 30 days, and not only to the end of the pool's period."""
        return self.column not in {"allocation", "pool"}

    @property
    def words(self) -> str:
        """The name of the cap within a sentence."""
        if self.holder is not None:
            return f"monthly limit of {self.name}"
        if self.column == "allocation" and self.pool is not None:
            return f"allocation to {self.name!r} from {self.pool.name!r}"
        return f"{'budget' if self.column == 'pool' else self.column} {self.name!r}"

    @property
    def title(self) -> str:
        """The name of the cap on its own."""
        if self.holder is not None:
            return self.words
        if self.column == "allocation" and self.pool is not None:
            return f"{self.name}, from {self.pool.name}"
        return self.name

    def admits(self, settled: int) -> bool:
        """Whether a launch is allowed when `settled` is spent."""
        return settled < self.amount * self.prevent


class HolderLimits(Protocol):
    """The limits of people and tokens, which admission compares like other caps."""

    def exist(self, sql: Rows) -> bool:
        """Whether anybody has set a limit."""

    def caps(
        self, sql: Rows, project: str, owner: str, resource: str, launcher: str | None
    ) -> list[Cap]:
        """The limits in dollars that apply to a resource of this owner, paid by a project."""

    def spent(self, sql: Rows, cap: Cap, start: int, now: int) -> int:
        """What the ledger has booked on a limit since `start`."""

    def spent_by(self, sql: Rows, cap: Cap, at: int) -> int:
        """What the ledger had ever booked on a limit by a moment in the past."""

    def reservations(self, sql: Rows, cap: Cap) -> list[Reservation]:
        """The reservations of what the holder of a limit has."""

    def require_room(self, sql: Rows, workspace: Workspace) -> None:
        """Raise if more workspaces or GPUs would run at once than a limit allows."""

    def record(self, tx: Tx, resource: str) -> None:
        """Record that the caller's token has made or woken a resource."""


class NewPool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a new pool."""

    name: Name
    total_amount: Usd
    period: Period
    created_by: Word
    description: Text = ""
    start_date: datetime | None = None
    end_date: datetime | None = None
    alert_threshold: Fraction = 0.8
    time_zone: Word = "UTC"


class PoolChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change a pool; fields that are not given stay as they are."""

    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    total_amount: Usd | UnsetType = UNSET
    alert_threshold: Fraction | UnsetType = UNSET
    end_date: datetime | UnsetType | None = UNSET


class NewAllocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a part of a pool."""

    budget_id: Word
    project_id: Word
    allocated_amount: Usd
    alert_threshold: Fraction = 0.8
    allocated_by: Word


class AllocationChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change an allocation; fields that are not given stay as they are."""

    allocated_amount: Usd | UnsetType = UNSET
    alert_threshold: Fraction | UnsetType = UNSET


class NewReallocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to move money between two projects of one pool."""

    source_allocation_id: Word
    destination_allocation_id: Word
    amount: Usd
    reason: Text = ""


class PoolShown(Struct, frozen=True, kw_only=True):
    """A pool in the API; `spent`, `reserved` and `left` as docs/money.md defines them.

    They are null if no price in this period is known; `unpriced` names what has no known price.
    `spent_after_end` is the part of `spent` that was booked after the end of the pool.
    """

    id: str
    name: str
    description: str
    total_amount: float
    allocated_amount: float
    spent_amount: float | None
    reserved_amount: float
    remaining_amount: float | None
    spent: float | None
    reserved: float
    left: float | None
    spent_after_end: float
    utilization_rate: float | None
    overrun: float
    unpriced: tuple[str, ...]
    period: Period
    time_zone: str
    period_start: datetime | None
    period_end: datetime | None
    start_date: datetime
    end_date: datetime | None
    alert_threshold: float
    created_by: str
    created_at: datetime
    updated_at: datetime


class PoolList(Struct, frozen=True):
    """Every pool."""

    budgets: tuple[PoolShown, ...]
    count: int


class AllocationShown(Struct, frozen=True, kw_only=True):
    """An allocation in the API; `left` is at most what its pool has left.

    Unknown values are null, and `unpriced` says why, as for a pool.
    """

    id: str
    budget_id: str
    project_id: str
    project_name: str
    allocated_amount: float
    spent_amount: float | None
    reserved_amount: float
    remaining: float | None
    spent: float | None
    reserved: float
    left: float | None
    spent_after_end: float
    utilization_rate: float | None
    overrun: float
    unpriced: tuple[str, ...]
    alert_threshold: float
    allocated_at: datetime
    allocated_by: str


class AllocationList(Struct, frozen=True):
    """The allocations of a pool."""

    allocations: tuple[AllocationShown, ...]
    count: int


class ReallocateAnswer(Struct, frozen=True, kw_only=True):
    """The money that was moved, and what both projects have now."""

    id: str
    source: AllocationShown
    destination: AllocationShown
    amount: float
    reason: str
    reallocated_by: str
    reallocated_at: datetime


class TopProject(Struct, frozen=True):
    """A project and its part of what a pool spent; `formerly` if its allocation is deleted."""

    project_id: str
    project_name: str
    spent: float
    percentage: float
    formerly: bool = False


class PoolSummary(Struct, frozen=True, kw_only=True):
    """A pool with its allocations and top spenders."""

    budget: PoolShown
    allocations: tuple[AllocationShown, ...]
    status: Literal["ok", "warning", "critical"]
    alerts: tuple[str, ...]
    top_spending_projects: tuple[TopProject, ...]


class CostBreakdown(Struct, frozen=True):
    """What a project spent on each kind; null if not measured, or if no price is known."""

    compute: float | None
    storage: float | None
    data_transfer: float | None


class TopInstance(Struct, frozen=True):
    """A workspace and its part of the project's spending."""

    name: str
    cost: float
    percentage: float


class BudgetAlerts(Struct, frozen=True):
    """How near the cap is; the risk follows from `projected`, null without a cap or costs."""

    threshold_80_percent: bool
    threshold_90_percent: bool
    overspend_risk: Literal["low", "medium", "high"] | None


class CapBalance(Struct, frozen=True, kw_only=True):
    """The balance of one cap, and when the cap runs out if nothing changes.

    `because` says what ends it; `projected` is what would be spent by the end of the period, or in
    720 hours, if everything continued until it expires. What is spent and left is null if no
    price is known.
    """

    cap: str
    scope: Literal["project", "allocation", "pool", "person", "token"]
    id: str
    amount: float
    settled: float | None
    spent: float | None
    reserved: float
    reserved_for_disks: float
    left: float | None
    spent_after_end: float
    period_end: datetime | None
    projected: float | None
    runs_out: datetime | None
    runs_out_on: datetime | None
    because: str | None


class ProjectBudget(Struct, frozen=True, kw_only=True):
    """A project's money in detail.

    `spent`, `reserved`, `left` and `runs_out_on` are as docs/money.md defines them, and equal
    those of a forecast at that moment. `current_spend` is everything that was ever spent;
    `unpriced` names what is missing in it because it has no known price. `not_limited` names what
    counts against no cap. `no_launches` says why nothing may be launched, started or resumed,
    even if money is `left`; null if launches are allowed.
    """

    total_allocated: float | None
    current_spend: float | None
    spent: float | None
    reserved: float
    left: float | None
    no_launches: str | None
    runs_out_on: datetime | None
    because: str | None
    remaining: float | None
    overrun: float
    caps: tuple[CapBalance, ...]
    cost_breakdown: CostBreakdown
    hibernation_savings: float | None
    top_spending_instances: tuple[TopInstance, ...]
    budget_alerts: BudgetAlerts
    unpriced: tuple[str, ...]
    not_limited: tuple[str, ...]
    as_of: datetime


class CostAnalysis(Struct, frozen=True, kw_only=True):
    """What a project spends its money on, and how it could spend less."""

    current_monthly_burn: float | None
    projected_monthly_burn: float | None
    hibernation_potential_savings: float | None
    optimization_recommendations: tuple[CostRecommendation, ...]


class UnspentAt(Struct, frozen=True):
    """What will not have been spent of a cap at a moment, in USD."""

    at: datetime
    unspent: float


class CapCourse(Struct, frozen=True):
    """How the rest of a cap gets less in the next 720 hours, or until its period ends.

    Between two points it is a straight line. There are none if no price is known.
    """

    id: str
    points: tuple[UnspentAt, ...]


class ProjectForecast(Struct, frozen=True, kw_only=True):
    """What happens to a project's money if nothing changes.

    `courses` has each cap of `caps`: workspaces run until they expire, and no longer than until
    `runs_out_on`.
    """

    project: str
    hourly: float | None
    daily: float | None
    monthly: float | None
    caps: tuple[CapBalance, ...]
    spent: float | None
    reserved: float
    left: float | None
    no_launches: str | None
    runs_out: datetime | None
    runs_out_on: datetime | None
    because: str | None
    courses: tuple[CapCourse, ...]
    unpriced: tuple[str, ...]
    not_limited: tuple[str, ...]
    as_of: datetime


class ReportLine(Struct, frozen=True):
    """One line of a report's table; the cents of a table add up, `micros` is exact.

    All three numbers are null if nothing in the line has a known price.
    """

    name: str
    cost: float | None
    percentage: float | None
    micros: int | None


class MonthlyReport(Struct, frozen=True, kw_only=True):
    """A month of a project, to be signed; `micros` is the exact total.

    Both totals are null if nothing has a known price; `unknown` names what is missing in them.

    Days begin at midnight of `time_zone`: that of the pools that paid, if they share one.
    """

    project: str
    month: str
    start: date
    end: date
    time_zone: str
    total: float | None
    micros: int | None
    hibernation_savings: float | None
    by_kind: tuple[ReportLine, ...]
    by_workspace: tuple[ReportLine, ...]
    by_user: tuple[ReportLine, ...]
    by_budget: tuple[ReportLine, ...]
    sources: tuple[str, ...]
    reconstructed_seconds: int
    unknown: tuple[str, ...]


class AmountChange(Struct, frozen=True):
    """By how much the amount of a pool was changed within a period."""

    at: datetime
    change: float


class StatementLine(Struct, frozen=True, kw_only=True):
    """A project's part of a pool in a period; `allocated` is what it had at the end.

    The cents of `spent` of all lines add up to the pool's; `left` is negative if disks have
    exceeded the allocation. Null if nothing in the line has a known price.
    """

    project_id: str
    project: str
    allocated: float
    spent: float | None
    reserved: float
    left: float | None
    micros: int | None


class PoolStatement(Struct, frozen=True, kw_only=True):
    """A period of a pool: its amount at the beginning, changes, what was spent, and the rest.

    To the cent, `opening` and all `changes` are `spent`, `reserved` and `closing`, which is
    negative if disks have exceeded the pool. Before its end, the numbers are those of now.
    `spent_after_end` is the part of `spent` that was booked after the end of the pool. In USD, at
    list prices and without tax. `unknown` names what is missing because it has no known price.
    `previous` is the first day of the period before.
    """

    budget_id: str
    budget: str
    period: Period
    time_zone: str
    start: datetime
    end: datetime | None
    previous: date | None
    is_over: bool
    opening: float
    changes: tuple[AmountChange, ...]
    spent: float | None
    micros: int | None
    reserved: float
    closing: float | None
    spent_after_end: float
    projects: tuple[StatementLine, ...]
    by_person: tuple[ReportLine, ...]
    by_kind: tuple[ReportLine, ...]
    sources: tuple[str, ...]
    unknown: tuple[str, ...]
    as_of: datetime


class DeletionAnswer(Struct, frozen=True):
    """The answer to a deletion."""

    message: str
