"""Routes by which guests use what is shared with them."""

import asyncio
from typing import Any
from urllib.parse import quote

from litestar import WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath

from prism.access.names import let_mean
from prism.access.request_lifetime import LASTS
from prism.connections.model import UpgradeRequired
from prism.connections.routing import PortRouter
from prism.connections.terminal_sessions import ShellSessions
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.http import PARAMETERS, check_parameters, refuse
from prism.kit.routes import Routes
from prism.sharing import store
from prism.sharing.model import OpenedShare, Share, SharedThing
from prism.sharing.service import ShareService
from prism.workspaces.model import Workspace


@get("/api/v1/shares/{id:str}/open", tags=["sharing"], sync_to_thread=True)
def open_share(
    id: FromPath[str],
    shares: NamedDependency[ShareService],
    port_router: NamedDependency[PortRouter],
) -> OpenedShare:
    """The address of a shared app for your browser, with the app's own token if it has one."""
    share, workspace = _admitted(shares, id, SharedThing.APP)
    let_mean("workspace", workspace.id, workspace.id)
    [service] = port_router.service_urls(workspace.id, share.port)
    endpoint = port_router.connection_reader.access(workspace.id).endpoints.get(
        share.service or ""
    )
    token = endpoint.token if endpoint is not None else None
    return OpenedShare(f"{service.url}/?token={quote(token)}" if token else f"{service.url}/")


@get("/api/v1/shares/{id:str}/terminal", tags=["sharing"])
async def no_shared_terminal(id: FromPath[str]) -> None:
    """What the owner's terminal shows; this path speaks WebSocket only.

    Binary messages are the output. What you send is dropped.
    """
    raise UpgradeRequired(remediation="Use a WebSocket client, such as the page of the share")


@websocket("/api/v1/shares/{id:str}/terminal", opt={LASTS: True, PARAMETERS: ()})
async def shared_terminal(
    socket: WebSocket[Any, Any, Any],
    id: FromPath[str],
    shares: NamedDependency[ShareService],
    shells: NamedDependency[ShellSessions],
    clock: NamedDependency[Clock],
) -> None:
    """What the owner's terminal shows, to a guest."""
    receive: Any = socket.receive
    send: Any = socket.send
    try:
        check_parameters(socket.scope)
        share, workspace = await asyncio.to_thread(_admitted, shares, id, SharedThing.TERMINAL)
        await asyncio.to_thread(shares.opened, share, workspace)
        await shells.watch(share.owner, workspace.id, receive, send)
    except Problem as problem:
        await refuse(socket.scope, socket.send, problem, clock.now())


def _admitted(shares: ShareService, id: str, kind: SharedThing) -> tuple[Share, Workspace]:
    """The share of that kind, whose guest the caller is."""
    share, workspace = shares.admitted(id)
    if share.kind is not kind:
        raise store.not_found(id)
    return share, workspace


router = Routes("/", handlers=[open_share, no_shared_terminal, shared_terminal])
