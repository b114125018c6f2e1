"""The audit log over HTTP."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter

from prism.audit.model import DEFAULT_ENTRIES, MAX_ENTRIES, AuditEntry, AuditQuery
from prism.audit.plan import table
from prism.audit.service import AuditService
from prism.errors import ValidationFailed

WHOLE_DAY = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}")
Text = FromQuery[str | None]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_ENTRIES)]
Form = Annotated[Literal["json", "csv"], QueryParameter(name="format")]
ENTRIES_RESPONSES = {
    200: ResponseSpec(list[AuditEntry], description="Entries", generate_examples=False)
}


@get("/api/v1/audit", tags=["audit"], sync_to_thread=True, responses=ENTRIES_RESPONSES)
def audit(
    request: Request[Any, Any, Any],
    audit: NamedDependency[AuditService],
    *,
    actor: Text = None,
    subject: Text = None,
    event: Text = None,
    since: Text = None,
    until: Text = None,
    limit: Limit = DEFAULT_ENTRIES,
    cursor: Text = None,
    form: Form = "json",
) -> Response[bytes]:
    """List who did what, the newest first; the next page is in the `Link` header."""
    query = AuditQuery(
        actor=actor,
        subject=subject,
        event=event,
        since=_moment("since", since),
        until=_moment("until", until, whole_day=True),
        cursor=cursor,
        limit=limit,
    )
    entries, after = audit.entries(query)
    headers = {} if after is None else {"Link": _next(request, after)}
    if form == "csv":
        return Response(table(entries).encode(), media_type="text/csv", headers=headers)
    body = msgspec.json.encode(entries)
    return Response(body, media_type="application/json", headers=headers)


@get("/api/v1/instances/{name:str}/events", tags=["instances"], sync_to_thread=True)
def events_of_instance(
    name: FromPath[str], audit: NamedDependency[AuditService], limit: Limit = DEFAULT_ENTRIES
) -> list[AuditEntry]:
    """List what happened to one workspace, the newest first."""
    return audit.of_workspace(name, limit)


def _moment(name: str, text: str | None, *, whole_day: bool = False) -> datetime | None:
    """A time; a date means its start in UTC, or with `whole_day` its end."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        if whole_day and WHOLE_DAY.fullmatch(text):
            at += min(timedelta(days=1), datetime.max.replace(tzinfo=at.tzinfo) - at)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        why = f"{text!r} is not a date or time, such as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise ValidationFailed.of((name, why)) from error


def _next(request: Request[Any, Any, Any], cursor: str) -> str:
    query = {**request.query_params, "cursor": cursor}
    return f'<{request.scope["path"]}?{urlencode(query)}>; rel="next"'
