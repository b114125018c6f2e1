"""Money over HTTP: pools, allocations, and the spending of projects."""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Annotated, Literal, TypeVar

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.budgets import report, statement
from prism.budgets.model import (
    AllocationChange,
    AllocationList,
    AllocationShown,
    CostAnalysis,
    DeletionAnswer,
    MonthlyReport,
    NewAllocation,
    NewPool,
    NewReallocation,
    PoolChange,
    PoolList,
    PoolShown,
    PoolStatement,
    PoolSummary,
    ProjectBudget,
    ProjectForecast,
    ReallocateAnswer,
)
from prism.budgets.plan import month_after
from prism.budgets.service import BudgetService
from prism.budgets.spending import ProjectSpending
from prism.errors import ValidationFailed
from prism.kit.routes import Routes

Budgets = NamedDependency[BudgetService]
Money = NamedDependency[ProjectSpending]
Id = FromPath[str]
Month = Annotated[str | None, QueryParameter(description="as 2026-01; the present one by default")]
PeriodOf = Annotated[
    str | None,
    QueryParameter(
        name="period",
        description="a year, a month or a day in it, as 2026-01; the present one by default",
    ),
]
Form = Annotated[Literal["json", "markdown", "csv", "html"], QueryParameter(name="format")]
REPORT_FORMS = {"markdown": report.markdown, "csv": report.table, "html": report.page}
STATEMENT_FORMS = {
    "markdown": statement.markdown,
    "csv": statement.table,
    "html": statement.page,
}
Answer = TypeVar("Answer", MonthlyReport, PoolStatement)
# The page may load and run nothing: it contains names that other people chose.
PAGE = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'"}
MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
DAYS = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")
REPORT = {200: ResponseSpec(MonthlyReport, description="One month", generate_examples=False)}
STATEMENT = {200: ResponseSpec(PoolStatement, description="One period", generate_examples=False)}
router = Routes("/api/v1", tags=["budgets"])


@router.get("/budgets", sync_to_thread=True)
def list_budgets(budgets: Budgets) -> PoolList:
    """Every budget pool, with its allocated and spent money."""
    pools = budgets.pools()
    return PoolList(tuple(pools), len(pools))


@router.post("/budgets", sync_to_thread=True)
def create_budget(data: JSONBody[NewPool], budgets: Budgets) -> PoolShown:
    """Make a new pool."""
    return budgets.create(data)


@router.get("/budgets/{budget_id:str}", sync_to_thread=True)
def show_budget(budget_id: Id, budgets: Budgets) -> PoolShown:
    """One pool, by id or name."""
    return budgets.pool(budget_id)


@router.put("/budgets/{budget_id:str}", sync_to_thread=True)
def change_budget(budget_id: Id, data: JSONBody[PoolChange], budgets: Budgets) -> PoolShown:
    """Change the given fields of a pool."""
    return budgets.change(budget_id, data)


@router.delete("/budgets/{budget_id:str}", status_code=200, sync_to_thread=True)
def delete_budget(budget_id: Id, budgets: Budgets) -> DeletionAnswer:
    """Delete a pool that has no allocations."""
    budgets.delete(budget_id)
    return DeletionAnswer("Budget deleted successfully")


@router.get("/budgets/{budget_id:str}/summary", sync_to_thread=True)
def summarize_budget(budget_id: Id, budgets: Budgets) -> PoolSummary:
    """A pool's allocations, top spenders and warnings."""
    return budgets.summary(budget_id)


@router.get("/budgets/{budget_id:str}/statement", sync_to_thread=True, responses=STATEMENT)
def budget_statement(
    budget_id: Id, budgets: Budgets, *, period: PeriodOf = None, form: Form = "json"
) -> Response[bytes]:
    """One period of a pool on one page: opening, spent, reserved, closing, and who spent it."""
    answer = budgets.statement(budget_id, None if period is None else _days(period))
    return _printed(answer, form, STATEMENT_FORMS)


@router.get("/budgets/{budget_id:str}/allocations", sync_to_thread=True)
def list_allocations(budget_id: Id, budgets: Budgets) -> AllocationList:
    """The parts of a pool."""
    allocations = budgets.allocations(budget_id)
    return AllocationList(tuple(allocations), len(allocations))


@router.post("/allocations", sync_to_thread=True)
def create_allocation(data: JSONBody[NewAllocation], budgets: Budgets) -> AllocationShown:
    """Give a project a part of a pool."""
    return budgets.allocate(data)


@router.put("/allocations/{allocation_id:str}", sync_to_thread=True)
def change_allocation(
    allocation_id: Id, data: JSONBody[AllocationChange], budgets: Budgets
) -> AllocationShown:
    """Change the given fields of an allocation."""
    return budgets.reallot(allocation_id, data)


@router.delete("/allocations/{allocation_id:str}", status_code=200, sync_to_thread=True)
def delete_allocation(allocation_id: Id, budgets: Budgets) -> DeletionAnswer:
    """Delete an allocation that pays for no workspace."""
    budgets.remove(allocation_id)
    return DeletionAnswer("Allocation deleted successfully")


@router.post("/reallocations", sync_to_thread=True)
def create_reallocation(data: JSONBody[NewReallocation], budgets: Budgets) -> ReallocateAnswer:
    """Move money between two projects of one pool."""
    return budgets.reallocate(data)


@router.get("/projects/{project_id:str}/budget", sync_to_thread=True)
def project_budget(project_id: Id, spending: Money) -> ProjectBudget:
    """What a project may spend, what it has spent, and on what."""
    return spending.budget(project_id)


@router.get("/projects/{project_id:str}/cost-analysis", sync_to_thread=True)
def project_analysis(project_id: Id, spending: Money) -> CostAnalysis:
    """What a project spends its money on, and how it could spend less."""
    return spending.analysis(project_id)


@router.get("/projects/{project_id:str}/forecast", sync_to_thread=True)
def project_forecast(project_id: Id, spending: Money) -> ProjectForecast:
    """When a project's money runs out if nothing changes."""
    return spending.forecast(project_id)


@router.get("/projects/{project_id:str}/report", sync_to_thread=True, responses=REPORT)
def project_report(
    project_id: Id, spending: Money, *, month: Month = None, form: Form = "json"
) -> Response[bytes]:
    """One month of a project on one page."""
    answer = spending.report(project_id, None if month is None else _month(month))
    return _printed(answer, form, REPORT_FORMS)


def _printed(
    answer: Answer, form: str, forms: Mapping[str, Callable[[Answer], str]]
) -> Response[bytes]:
    if form == "json":
        return Response(msgspec.json.encode(answer), media_type="application/json")
    text = forms[form](answer)
    return Response(text.encode(), media_type=f"text/{form}", headers=PAGE)


def _days(text: str) -> tuple[date, date]:
    """The first day of a year, a month or a day, and the day after it."""
    try:
        first = date.fromisoformat(f"{text}-01-01"[:10] if DAYS.fullmatch(text) else "")
        if len(text) == len("2026-01-01"):
            return first, first + timedelta(days=1)
        return first, month_after(first) if len(text) > len("2026") else first.replace(
            year=first.year + 1
        )
    except (ValueError, OverflowError) as error:
        wrong = f"{text!r} is not a year, a month or a day such as 2026-01-31"
        raise ValidationFailed.of(("period", wrong)) from error


def _month(text: str) -> date:
    try:
        first = date.fromisoformat(f"{text}-01" if MONTH.fullmatch(text) else "")
        month_after(first)  # raises for the last month of the calendar
        return first
    except (ValueError, OverflowError) as error:
        wrong = f"{text!r} is not a month such as 2026-01"
        raise ValidationFailed.of(("month", wrong)) from error
