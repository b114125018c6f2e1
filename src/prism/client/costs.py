"""Client methods for costs."""

from __future__ import annotations

from prism.annotations import TYPE_CHECKING
from prism.client.models import costs
from prism.client.transport.request import Noun
from prism.client.transport.wire import query

if TYPE_CHECKING:
    from datetime import date

    Day = date | str | None

COSTS_PATH = "/costs"


class Costs(Noun):
    """Methods for costs."""

    def current(self) -> costs.CurrentCosts:
        """What costs money now."""
        return self._ask("GET", f"{COSTS_PATH}/current", costs.CurrentCosts)

    def history(
        self,
        start: Day = None,
        end: Day = None,
        granularity: str = "daily",
        *,
        project: str | None = None,
        group_by: str | None = None,
    ) -> costs.CostHistory:
        """The costs of a period in steps; by default the last 30 days.

        `group_by` adds the costs of each project, user, template, budget or (machine) type.
        """
        parameters = {"start_date": start, "end_date": end, "granularity": granularity}
        parameters |= {"project": project, "group_by": group_by}
        return self._ask("GET", f"{COSTS_PATH}/history{query(**parameters)}", costs.CostHistory)

    def export(
        self, start: Day = None, end: Day = None, *, project: str | None = None
    ) -> list[costs.CostExportLine]:
        """Every segment of a period, with its price, the price's source, and the exact cost."""
        return self._ask("GET", _export_path(start, end, project), list[costs.CostExportLine])

    def export_as(
        self, format: str, start: Day = None, end: Day = None, *, project: str | None = None
    ) -> bytes:
        """The export, as `csv`, `json` or `focus` (CSV with the columns of FOCUS 1.2)."""
        return self._wire.send("GET", _export_path(start, end, project, format)).content


def _export_path(start: Day, end: Day, project: str | None, format: str | None = None) -> str:
    parameters = {"format": format, "start_date": start, "end_date": end, "project": project}
    return f"{COSTS_PATH}/export{query(**parameters)}"
