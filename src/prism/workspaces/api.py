"""Workspaces over HTTP, in the reference's own shapes."""

import re
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from prism import __version__
from prism.access.model import current
from prism.access.plan import visible
from prism.errors import ValidationFailed
from prism.kit.clock import Clock
from prism.kit.money import rate, shown
from prism.kit.routes import Routes
from prism.workspaces.model import (
    ExtendRequest,
    HibernationStatus,
    Instance,
    LaunchAnswer,
    LaunchEstimate,
    LaunchRequest,
    LifecycleAnswer,
    LifecycleVerb,
    MoveAnswer,
    MoveRequest,
    ResizeAnswer,
    ResizeRequest,
    RollbackAnswer,
    RollbackRequest,
    StartRequest,
    TerminateAnswer,
    TerminateRequest,
    UpdateRequest,
    Workspace,
    WorkspaceState,
)
from prism.workspaces.plan import state_of
from prism.workspaces.read_model import CachedWorkspace, EncodedPages, ReadModel, listed
from prism.workspaces.rollback import RollbackService
from prism.workspaces.service import WorkspaceService
from prism.workspaces.view import asleep_since, hibernation, launched, planned
from prism.workspaces.waiting import WAITS

JSON = "application/json"
Workspaces = NamedDependency[WorkspaceService]
Name = FromPath[str]
Newest = NamedDependency[ReadModel]
InState = Annotated[WorkspaceState | None, QueryParameter(name="state")]
Filter = FromQuery[str | None]
Limit = Annotated[int | None, QueryParameter(ge=1, le=1000)]
LIST = {
    200: ResponseSpec(list[Instance], description="Workspaces", generate_examples=False),
    304: ResponseSpec(None, description="Nothing has changed since that `ETag`"),
}
ONE = {200: ResponseSpec(Instance, description="One workspace", generate_examples=False)}
ASKED = {
    200: ResponseSpec(
        LaunchEstimate, description="What a dry run would do", generate_examples=False
    ),
    201: ResponseSpec(LaunchAnswer, description="The launch has begun", generate_examples=False),
}
ME = "me"
CURSOR = re.compile(r"ws_[0-9a-z]+", re.ASCII)  # an id, as `kit/ids.py` makes it
Owner = Annotated[str | None, QueryParameter(description=f"Who launched it; `{ME}` is you")]
WAITING = "`?wait=SECONDS` (at most 300) answers when it is done, or when the time is over."
router = Routes("/api/v1/instances", tags=["workspaces"])


@router.get(responses=LIST)
async def list_instances(
    request: Request[Any, Any, Any],
    read_model: Newest,
    *,
    in_state: InState = None,
    project: Filter = None,
    template: Filter = None,
    owner: Owner = None,
    limit: Limit = None,
    cursor: Filter = None,
) -> Response[bytes | None]:
    """All workspaces, or those that match the filters; the next page is in the `Link` header."""
    if cursor is not None and not CURSOR.fullmatch(cursor):
        raise ValidationFailed.of(("cursor", f"{cursor[:80]!r} is not one of a `Link` header"))
    pages = read_model.current
    owned_by = current().name if owner == ME else owner
    fit = pages.matching(in_state, project, template, owned_by, after=cursor)
    page_of = partial(_page, request, pages, fit, limit)
    # A version of everything would tell other people when what they may not see changes.
    page = None if current().operator else page_of()
    if page is None:
        version = f"{pages.version}.{pages.settled}.{pages.delays}"
    else:
        version = sha256(b"\0".join(page)).hexdigest()[:32]
    tag = f'"{version}.{__version__}{_caller_tag()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Authorization"}
    if tag in _tags(request.headers.get("if-none-match", "")):
        return Response(None, status_code=304, headers=headers)
    body, link = page or page_of()
    if link:
        headers["Link"] = link.decode()
    return Response(body, media_type=JSON, headers=headers)


@router.get("/{name:str}", responses=ONE, opt=WAITS)
async def show_instance(name: Name, read_model: Newest) -> Response[bytes]:
    """One workspace, by name or instance id.

    `?wait=SECONDS` (at most 300) answers when no change of it is under way, or when the time is
    over.
    """
    return Response(read_model.fresh(name), media_type=JSON)


@router.post(
    "/launch",
    responses=ASKED,
    sync_to_thread=True,
    opt=WAITS,
    description=f"Ask for a new workspace. {WAITING}",
)
def launch_instance(
    data: JSONBody[LaunchRequest], workspaces: Workspaces
) -> Response[LaunchAnswer | LaunchEstimate]:
    """Request a new workspace."""
    if data.dry_run:
        launch_plan = workspaces.plan_launch(data)
        ready_in = workspaces.ready_in(launch_plan.workspace, LifecycleVerb.LAUNCH)
        plan = planned(
            launch_plan.workspace,
            launch_plan.image,
            launch_plan.notes,
            ready_in,
            launch_plan.outlook,
        )
        return Response(plan, status_code=200)
    launch_plan = workspaces.launch(data)
    ready_at = workspaces.ready_at(launch_plan.workspace, LifecycleVerb.LAUNCH)
    return Response(launched(launch_plan.workspace, ready_at, launch_plan.notes))


@router.post("/{name:str}/stop", status_code=200, sync_to_thread=True, opt=WAITS)
def stop_instance(name: Name, workspaces: Workspaces) -> LifecycleAnswer:
    """Stop a workspace, and keep its disk."""
    previous, after = workspaces.ask(name, LifecycleVerb.STOP)
    return _changed(previous, after, message="Workspace stopping - all data preserved")


@router.post("/{name:str}/start", status_code=200, sync_to_thread=True, opt=WAITS)
def start_instance(
    name: Name, data: JSONBody[StartRequest], workspaces: Workspaces
) -> LifecycleAnswer:
    """Request that a stopped, failed or hibernated workspace runs.

    `template_again` reads its template again first; refused if the workspace was ever ready.
    """
    previous, after = workspaces.start(name, data)
    return _changed(previous, after, estimated_ready_time=workspaces.ready_at(after, after.verb))


@router.post("/{name:str}/restart", status_code=200, sync_to_thread=True, opt=WAITS)
def restart_instance(name: Name, workspaces: Workspaces) -> LifecycleAnswer:
    """Request a stop and then a start; a workspace that is already stopped is only started."""
    previous, after = workspaces.restart(name)
    message = "Workspace restarting - its processes end, its disk is kept"
    ready_at = workspaces.ready_at(after, LifecycleVerb.START)
    return _changed(previous, after, estimated_ready_time=ready_at, message=message)


@router.post("/{name:str}/hibernate", status_code=200, sync_to_thread=True, opt=WAITS)
def hibernate_instance(name: Name, workspaces: Workspaces) -> LifecycleAnswer:
    """Hibernate a workspace, and keep its disk and memory."""
    previous, after = workspaces.ask(name, LifecycleVerb.HIBERNATE)
    hourly = after.hourly_rate
    saves = None if hourly is None else f"{shown(hourly)}/hour during hibernation"
    return _changed(previous, after, hibernation_supported=True, estimated_savings=saves)


@router.post("/{name:str}/resume", status_code=200, sync_to_thread=True, opt=WAITS)
def resume_instance(name: Name, workspaces: Workspaces) -> LifecycleAnswer:
    """Request that a hibernated workspace wakes up."""
    previous, after = workspaces.ask(name, LifecycleVerb.RESUME)
    message = "Resuming from hibernation - RAM state preserved"
    ready_at = workspaces.ready_at(after, LifecycleVerb.RESUME)
    return _changed(previous, after, estimated_ready_time=ready_at, message=message)


@router.get("/{name:str}/hibernation-status", sync_to_thread=True)
def hibernation_status(
    name: Name, read_model: Newest, clock: NamedDependency[Clock]
) -> HibernationStatus:
    """Whether a workspace can hibernate, and since when it hibernates."""
    workspace = read_model.pages.named(name).workspace
    since = asleep_since(workspace)
    return hibernation(
        workspace, clock.now(), None if since is None else read_model.saved(workspace.id, since)
    )


@router.post("/{name:str}/extend", status_code=204, sync_to_thread=True)
def extend_instance(name: Name, data: JSONBody[ExtendRequest], workspaces: Workspaces) -> None:
    """Change the expiry: `hours` later, at `expires_at`, or never with null `hours`."""
    workspaces.extend(name, data)


@router.put("/{name:str}", responses=ONE, sync_to_thread=True)
def update_instance(
    name: Name, data: JSONBody[UpdateRequest], workspaces: Workspaces, read_model: Newest
) -> Response[bytes]:
    """Change whether a workspace is started again after its computer was restarted."""
    after = workspaces.update(name, data)
    return Response(read_model.fresh(after.name), media_type=JSON)


@router.post("/{name:str}/resize", status_code=200, sync_to_thread=True, opt=WAITS)
def resize_instance(
    name: Name, data: JSONBody[ResizeRequest], workspaces: Workspaces
) -> ResizeAnswer:
    """Change the machine type of a stopped workspace; its disk stays."""
    before, after, notes = workspaces.resize(name, data)
    return ResizeAnswer(
        name=after.name,
        state=state_of(after),
        previous_type=before.instance_type,
        instance_type=after.instance_type,
        hourly_rate=None if after.hourly_rate is None else rate(after.hourly_rate),
        notes=notes,
    )


@router.post("/{name:str}/rollback", status_code=200, sync_to_thread=True)
def roll_back_instance(
    name: Name, data: JSONBody[RollbackRequest], rollbacks: NamedDependency[RollbackService]
) -> RollbackAnswer:
    """Replace the files of a workspace by those of a snapshot of it.

    A running workspace is stopped and started again. Its present files are copied into a snapshot
    first. `rolling_back` of the workspace is true until that is done.
    """
    return rollbacks.roll_back(name, data)


@router.post("/{name:str}/move", status_code=200, sync_to_thread=True, opt=WAITS)
def move_instance(name: Name, data: JSONBody[MoveRequest], workspaces: Workspaces) -> MoveAnswer:
    """Let another project pay for a workspace from now on; its old project keeps past costs."""
    before, after = workspaces.move(name, data)
    return MoveAnswer(
        name=after.name,
        state=state_of(after),
        previous_project=before.project_name,
        project=after.project_name or "",
        budget=after.budget,
    )


@router.post("/{name:str}/terminate", status_code=200, sync_to_thread=True, opt=WAITS)
def terminate_instance(
    name: Name, data: JSONBody[TerminateRequest], workspaces: Workspaces
) -> TerminateAnswer:
    """Request that a workspace is destroyed."""
    workspace = workspaces.terminate(name, data)
    message = "Workspace terminating - all data will be permanently lost"
    if data.backup_ebs:
        message = "Workspace terminating - once a snapshot of its disk is complete"
    return TerminateAnswer(workspace.name, state_of(workspace), message)


def _changed(previous: WorkspaceState, after: Workspace, **extras: Any) -> LifecycleAnswer:
    return LifecycleAnswer(
        name=after.name, previous_state=previous, new_state=state_of(after), **extras
    )


def _caller_tag() -> str:
    """A tag of the caller's rights: callers with different rights get different lists."""
    caller = current()
    if not caller.team:
        return ""
    identity = f"{caller.name.lower()} {caller.token_project or ''} {caller.operator}"
    return f".{sha256(identity.encode()).hexdigest()[:16]}"


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def _page(
    request: Request[Any, Any, Any],
    pages: EncodedPages,
    fit: Iterator[CachedWorkspace],
    limit: int | None,
) -> tuple[bytes, bytes]:
    """The workspaces that the caller may see, at most `limit`; and the link to the next page."""
    if current().operator and not request.scope["query_string"]:
        return pages.body, b""
    visible_rows = (
        cached for cached in fit if visible(cached.workspace.project, cached.workspace.owner)
    )
    rows = [*islice(visible_rows, None if limit is None else limit + 1)]
    if limit is None or len(rows) <= limit:
        return listed(rows), b""
    rows = rows[:limit]
    return listed(rows), _next_page(request, rows[-1]).encode()


def _next_page(request: Request[Any, Any, Any], last: CachedWorkspace) -> str:
    query = {key: value for key, value in request.query_params.items() if key != "cursor"}
    return f'<{request.url.path}?{urlencode({**query, "cursor": last.workspace.id})}>; rel="next"'
