"""Costs, across the wire."""

from datetime import date
from typing import Literal

from prism.client.decoding import ask
from prism.client.wire import Wire, query
from prism.costs.model import Current, GroupBy, History, Line

PATH = "/costs"


class Costs:
    """What you may ask about costs."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def current(self) -> Current:
        """What is paid for at this moment."""
        return ask(self._wire, "GET", f"{PATH}/current", Current)

    def history(
        self,
        start: date | None = None,
        end: date | None = None,
        granularity: Literal["daily", "weekly", "monthly"] = "daily",
        *,
        project: str | None = None,
        group_by: GroupBy | None = None,
    ) -> History:
        """What a period cost, bar by bar; the last 30 days by default.

        `group_by` also asks for what each project, user or template cost.
        """
        asked = _period(start, end) | {"granularity": granularity, "project": project}
        asked |= {"group_by": group_by}
        return ask(self._wire, "GET", f"{PATH}/history{query(**asked)}", History)

    def export(
        self, start: date | None = None, end: date | None = None, *, project: str | None = None
    ) -> list[Line]:
        """Every segment of a period, with its price, who says so, and its exact cost."""
        asked = query(**_period(start, end), project=project)
        return ask(self._wire, "GET", f"{PATH}/export{asked}", list[Line])


def _period(start: date | None, end: date | None) -> dict[str, str | None]:
    days = {"start_date": start, "end_date": end}
    return {name: None if day is None else day.isoformat() for name, day in days.items()}
