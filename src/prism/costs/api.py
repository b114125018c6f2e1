"""Costs over HTTP."""

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, QueryParameter

from prism.costs.focus import FOCUS_COLUMNS
from prism.costs.model import CostExportLine, CostHistory, CurrentCosts, GroupBy
from prism.costs.service import CostService
from prism.errors import ValidationFailed
from prism.kit.routes import Routes
from prism.kit.spreadsheet import csv_of

Costs = NamedDependency[CostService]
Day = Annotated[str | None, QueryParameter(description="ISO 8601 date")]
Granularity = Annotated[Literal["daily", "weekly", "monthly"], QueryParameter()]
Groups = Annotated[
    GroupBy | None,
    QueryParameter(description="Also what each project, user or template cost"),
]
Format = Annotated[Literal["json", "csv", "focus"], QueryParameter(name="format")]
EXPORT = {200: ResponseSpec(list[CostExportLine], description="Segments", generate_examples=False)}
router = Routes("/api/v1/costs", tags=["costs"])


@router.get("/current", sync_to_thread=True)
def current_costs(costs: Costs) -> CurrentCosts:
    """What costs money now."""
    return costs.current()


@router.get("/history", sync_to_thread=True)
def cost_history(
    costs: Costs,
    *,
    start_date: Day = None,
    end_date: Day = None,
    granularity: Granularity = "daily",
    project: FromQuery[str | None] = None,
    group_by: Groups = None,
) -> CostHistory:
    """What a period cost, bar by bar, in days of UTC."""
    start, end = _day("start_date", start_date), _day("end_date", end_date)
    return costs.history(start, end, granularity, project, group_by)


@router.get("/export", sync_to_thread=True, responses=EXPORT)
def export_costs(
    costs: Costs,
    *,
    start_date: Day = None,
    end_date: Day = None,
    project: FromQuery[str | None] = None,
    form: Format = "json",
) -> Response[bytes]:
    """Every segment of a period, with its price, the source of that, and its exact cost.

    The format `focus` is CSV with the columns of FOCUS 1.2, a row for each calendar month.
    """
    start, end = _day("start_date", start_date), _day("end_date", end_date)
    if form == "focus":
        rows = costs.focus(start, end, project)
        text = csv_of(FOCUS_COLUMNS, ([row[name] for name in FOCUS_COLUMNS] for row in rows))
        return Response(text.encode(), media_type="text/csv")
    lines = costs.export(start, end, project)
    if form == "json":
        return Response(msgspec.json.encode(lines), media_type="application/json")
    text = csv_of(CostExportLine.__struct_fields__, map(msgspec.structs.astuple, lines))
    return Response(text.encode(), media_type="text/csv")


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text).date()
    except ValueError as error:
        raise ValidationFailed.of((name, f"{text!r} is not an ISO 8601 date")) from error
