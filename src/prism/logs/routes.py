"""Logs over HTTP: the last lines, or a stream of new ones."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from litestar import Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from prism.access.request_lifetime import LASTS
from prism.kit.routes import Routes
from prism.logs.model import LogLines, LogSourceList, LogType, LogTypeList
from prism.logs.reader import LogReader
from prism.workspaces.model import Workspace

POLL_INTERVAL = 0.3  # seconds between two looks at what is new
TEXT = "text/plain; charset=utf-8"
Instance = FromPath[str]
Tail = Annotated[int, QueryParameter(ge=1, le=10_000)]
Kind = Annotated[LogType, QueryParameter(name="type")]
Read = NamedDependency[LogReader]
LOG = {200: ResponseSpec(LogLines, description="The last lines", generate_examples=False)}
router = Routes("/api/v1/logs", tags=["logs"])


@router.get()
async def list_logs(logs: Read) -> LogSourceList:
    """Every workspace, and whether it has logs."""
    return logs.listing()


@router.get("/{instance:str}/types")
async def log_types(instance: Instance, logs: Read) -> LogTypeList:
    """The kinds of logs that a workspace has."""
    return logs.types(instance)


@router.get("/{instance:str}", responses=LOG, opt={LASTS: True})
async def read_log(
    instance: Instance,
    logs: Read,
    *,
    kind: Kind = "console",
    tail: Tail = 100,
    follow: FromQuery[bool] = False,
) -> Response[LogLines] | Stream:
    """Read the last lines of a log; with `follow`, stream text until the workspace ends."""
    workspace = logs.named(instance).workspace
    if not follow:
        return Response(await asyncio.to_thread(logs.log, workspace, kind, tail))
    first = await asyncio.to_thread(logs.tail, workspace, kind, tail)
    lines = _follow(logs, workspace, kind, first.lines, first.mark)
    return Stream(lines, media_type=TEXT, headers={"Cache-Control": "no-store"})


async def _follow(
    logs: LogReader, workspace: Workspace, kind: LogType, lines: tuple[str, ...], mark: object
) -> AsyncIterator[str]:
    """Yield each line as it comes; a slow client delays the next read."""
    while True:
        if lines:
            yield "".join(f"{line}\n" for line in lines)
        if logs.closed:
            return
        ended = logs.ended(workspace.id)  # asked before the last look, not after it
        chunk = await asyncio.to_thread(logs.after, workspace, kind, mark)
        lines, mark = chunk.lines, chunk.mark
        if not lines and ended:
            return
        if not lines:
            await asyncio.sleep(POLL_INTERVAL)
