"""The interfaces by which packages above this one check requests and follow changes.

Their methods are called with `tx` or `sql` inside the transaction that changes the workspace, so
their own writes are committed together with the change.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from prism.kit.money import Micros
from prism.kit.transaction import Rows, Tx
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import IdleSummary, Workspace


class FundingSource(Struct, frozen=True):
    """The project of a workspace, and the allocation and pool that pay for it."""

    project: str | None = None
    project_name: str | None = None
    allocation: str | None = None
    pool: str | None = None
    pool_name: str | None = None

    def apply_to(self, workspace: Workspace) -> Workspace:
        """The workspace, with this source as its payer."""
        return replace(
            workspace,
            project=self.project,
            project_name=self.project_name,
            allocation=self.allocation,
            pool=self.pool,
            budget=self.pool_name,
        )


class CapForecast(Struct, frozen=True):
    """What a launch would reserve and leave of one cap."""

    cap: str
    needed: Micros
    left: Micros


class BudgetForecast(Struct, frozen=True):
    """What a launch would leave of a budget, and how long that would last.

    `needed` and `left` are those of the cap `of`, which would have the least left; `caps` has all
    that apply. `address_month` is a public address for 720 hours; null without an address.
    """

    needed: Micros | None = None
    left: Micros | None = None
    of: str | None = None
    lasts_until: datetime | None = None
    disk_month: Micros | None = None
    address_month: Micros | None = None
    notes: tuple[str, ...] = ()
    caps: tuple[CapForecast, ...] = ()


class AdmissionCheck(Protocol):
    """May refuse a launch, a start, a resume or an extension."""

    def allow(
        self, tx: Tx, workspace: Workspace, *, beyond: datetime | None = None
    ) -> datetime | None:
        """Until when the workspace may run; None without a limit. Raises a `Problem` to refuse.

        For an extension, `beyond` is the expiry to which the hours are added.
        """


class IdleMonitor(Protocol):
    """Checks idle profiles, and returns the idleness of workspaces."""

    def require_profile(self, sql: Rows, profile: str) -> None:
        """Raise if there is no idle profile with that name."""

    def idleness(self, workspace: Workspace) -> IdleSummary:
        """The present idleness of a workspace."""


class IdleRules(Protocol):
    """Returns and stores the idle rules of machines."""

    def rule(self, sql: Rows, workspace: Workspace) -> IdleRule | None:
        """The rule for a new machine; None if no idle profile watches it."""

    def knows(self, tx: Tx, workspace: str, machine: str, rule: IdleRule | None) -> None:
        """Store the rule with which a machine was made; called before any listener."""


class FundingPolicy(Protocol):
    """Reserves and checks money."""

    def fund(self, sql: Rows, project: str | None, budget: str | None) -> FundingSource:
        """The source for a launch's project and budget; raises if no source has that name."""

    def outlook(self, sql: Rows, workspace: Workspace) -> BudgetForecast:
        """What a launch would leave; raises if the launch would be refused."""


class ChangeListener(Protocol):
    """Follows changes of workspaces, to record costs and idle rules."""

    def changed(
        self, tx: Tx, before: Workspace | None, after: Workspace, at: datetime, *, sure: bool
    ) -> None:
        """The row equals `after` since `at`; `sure` is false if that time was not observed."""


class RunningTime(Protocol):
    """Counts only the time in which a survey showed the machine running."""

    def confirmed(self, tx: Tx, ids: Sequence[str], at: datetime) -> None:
        """A survey that began at `at` has shown that the machines of these workspaces run."""
