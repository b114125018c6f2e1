"""Routes to ports of workspaces, and to AWS's own consoles."""

import asyncio
import re
from typing import Annotated, Any

import msgspec
from litestar import HttpMethod, Request, WebSocket, get, route, websocket
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect
from litestar.types import ASGIApp, Receive, Scope, Send

from prism.access.model import current
from prism.access.request_lifetime import LASTS
from prism.connections.app_origins import AppOrigins, login_page
from prism.connections.byte_stream import join
from prism.connections.model import AwsServiceNotFound, ConsoleLinks, ServiceUrl, UpgradeRequired
from prism.connections.plan import only_port, port_of
from prism.connections.routing import WEB, PortRouter
from prism.connections.terminal import Size, open_shell, serve
from prism.connections.terminal_sessions import ShellSessions
from prism.connections.workspace_proxy import WorkspaceProxy
from prism.errors import Problem, ValidationFailed
from prism.kit.actor import CURRENT_ACTOR
from prism.kit.clock import Clock
from prism.kit.http import PARAMETERS, PASSED_ON_KEY, RAW, check_parameters, refuse
from prism.kit.limits import PATIENT
from prism.kit.routes import Routes
from prism.sessions.api import redirecting

DCV = 8443
REST = [
    HttpMethod.POST,
    HttpMethod.PUT,
    HttpMethod.PATCH,
    HttpMethod.DELETE,
    HttpMethod.HEAD,
    HttpMethod.OPTIONS,
]
PROXIED = {RAW: True, PASSED_ON_KEY: True, LASTS: True}
Proxy = NamedDependency[WorkspaceProxy]
Port = Annotated[str | None, QueryParameter(description="1-65535; default: every service")]
StreamPort = Annotated[str | None, QueryParameter(description="1-65535; default: SSH")]
WebPort = Annotated[
    str | None,
    QueryParameter(description=f"1-65535; default: its template's first service, else {WEB}"),
]
DcvPort = Annotated[str | None, QueryParameter(description=f"1-65535; default: {DCV}")]
TERMINAL = ("cols", "rows", "session", "port")  # what the address of a terminal may say
SESSION = re.compile(r"[A-Za-z0-9]{16,64}")
CONSOLES = ("console", "braket", "sagemaker", "cloudshell")
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
UPGRADE_REMEDIATION = "Use a WebSocket client, such as the terminal of the web pages"


def _proxy(name: str, workspace_proxy: WorkspaceProxy, tls: int = 0) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        asgi = _as_asgi(scope), _as_asgi(receive), _as_asgi(send)
        await workspace_proxy.on_path(*asgi, name, tls=tls)

    return serve


def _as_asgi(part: Any) -> Any:
    """A Litestar object as its ASGI counterpart."""
    return part


def _paths(proxy: str) -> list[str]:
    return [f"/{proxy}/{{instance:str}}", f"/{proxy}/{{instance:str}}/{{rest:path}}"]


def _other_methods(proxy: str, tls: int = 0) -> tuple[BaseRouteHandler, BaseRouteHandler]:
    """Every method but GET, and WebSockets; the GET of each proxy is in the API's schema."""

    @route(_paths(proxy), http_method=REST, include_in_schema=False, opt=PROXIED)
    async def more(instance: FromPath[str], workspace_proxy: Proxy) -> ASGIApp:
        return _proxy(instance, workspace_proxy, tls)

    @websocket(_paths(proxy), opt={LASTS: True})
    async def upgraded(
        socket: WebSocket[Any, Any, Any], instance: FromPath[str], workspace_proxy: Proxy
    ) -> None:
        await _proxy(instance, workspace_proxy, tls)(socket.scope, socket.receive, socket.send)

    return more, upgraded


@get(_paths("web-proxy"), tags=["connections"], opt=PROXIED)
async def web(instance: FromPath[str], workspace_proxy: Proxy, port: WebPort = None) -> ASGIApp:
    """A web service of a workspace; a browser is sent to the workspace's own origin."""
    return _proxy(instance, workspace_proxy)


@get(_paths("dcv-proxy"), tags=["connections"], opt=PROXIED)
async def desktop(
    instance: FromPath[str], workspace_proxy: Proxy, port: DcvPort = None
) -> ASGIApp:
    """A workspace's DCV desktop, over TLS; a browser is sent to the workspace's own origin."""
    return _proxy(instance, workspace_proxy, DCV)


@get("/ssh-proxy/{instance:str}", tags=["connections"])
async def no_terminal(instance: FromPath[str]) -> None:
    """A terminal in a workspace; this path speaks WebSocket only."""
    raise UpgradeRequired(remediation=UPGRADE_REMEDIATION)


@websocket("/ssh-proxy/{instance:str}", opt={LASTS: True, PARAMETERS: TERMINAL})
async def terminal(
    socket: WebSocket[Any, Any, Any],
    instance: FromPath[str],
    port_router: NamedDependency[PortRouter],
    clock: NamedDependency[Clock],
    shells: NamedDependency[ShellSessions],
) -> None:
    """A terminal in a workspace; `cols` and `rows` say how large it begins.

    With a `session`, 16 to 64 letters and digits that a browser made up, the shell outlives the
    connection for ten minutes, and the same session finds it again.
    """
    try:
        check_parameters(socket.scope)
        if (port := socket.query_params.get("port")) is not None:
            port_of(port)  # only checked: a shell has one port
        size = _size(socket.query_params.get("cols"), socket.query_params.get("rows"))
        session = _session(socket.query_params.get("session"))
        access = await asyncio.to_thread(port_router.connection_reader.access, instance)
        receive, send = _as_asgi(socket.receive), _as_asgi(socket.send)
        if session is None:
            await serve(instance, access, receive, send, size)
        else:
            user = actor.name if (actor := CURRENT_ACTOR.get()) else ""
            key = (user, port_router.connection_reader.id_of(instance), session)
            await shells.serve(
                key, lambda: open_shell(instance, access, size), receive, send, size
            )
    except Problem as problem:
        await refuse(socket.scope, socket.send, problem, clock.now())


@get("/api/v1/instances/{name:str}/stream", tags=["connections"])
async def no_stream(name: FromPath[str], port: StreamPort = None) -> None:
    """The bytes of a TCP connection into a workspace; this path speaks WebSocket only.

    Binary messages contain the bytes; an empty one is the end of its direction. SSH needs no key
    here, since the daemon has checked who you are.
    """
    raise UpgradeRequired(remediation="Use a WebSocket client, such as `prism tunnel`")


@websocket("/api/v1/instances/{name:str}/stream", opt={LASTS: True, PARAMETERS: ("port",)})
async def stream(
    socket: WebSocket[Any, Any, Any],
    name: FromPath[str],
    port_router: NamedDependency[PortRouter],
    clock: NamedDependency[Clock],
) -> None:
    """A TCP connection into a workspace, in a WebSocket."""
    try:
        check_parameters(socket.scope)
        port = only_port(socket.query_params.getall("port", []))
        connection = await port_router.connect(name, port)
        if set_patient := _as_asgi(socket.scope).get(PATIENT):
            set_patient()
        await join(_as_asgi(socket.receive), _as_asgi(socket.send), connection)
    except Problem as problem:
        await refuse(socket.scope, socket.send, problem, clock.now())


@get("/auth/app", tags=["connections"], sync_to_thread=True)
def enter_app(
    app: Annotated[str, QueryParameter(description="The first label of the app's host.")],
    browser: Annotated[str, QueryParameter(description="A hash of a secret of the browser.")],
    app_origins: NamedDependency[AppOrigins],
) -> ASGIApp:
    """Lead a browser that is logged in to an app, and any other to the login first."""
    if current().session is None:
        return redirecting(login_page(app, browser))
    return redirecting(app_origins.ask(app, browser))


@get("/api/v1/instances/{name:str}/ports", tags=["connections"], sync_to_thread=True)
def ports(
    name: FromPath[str],
    port_router: NamedDependency[PortRouter],
    request: Request[Any, Any, Any],
    port: Port = None,
) -> list[ServiceUrl]:
    """The addresses of a running workspace's services, or of one port."""
    number = None if port is None else port_of(port)
    return port_router.service_urls(name, number, request.headers.get("host", ""))


@get("/aws-proxy/{service:str}", tags=["connections"], status_code=302, sync_to_thread=True)
def aws_console(
    service: FromPath[str],
    aws_access: NamedDependency[ConsoleLinks],
    token: Annotated[str | None, QueryParameter(description="A sign-in token.")] = None,
) -> Redirect:
    """Redirect to the console of an AWS service, signed in by a token in the address."""
    if service not in CONSOLES:
        raise AwsServiceNotFound(
            f"There is no AWS service {service!r}",
            details=f"known: {', '.join(CONSOLES)}",
        )
    return Redirect(aws_access.link(service, token or None), status_code=302, headers=PRIVATE)


def _size(cols: str | None, rows: str | None) -> Size:
    fields = {"cols": cols or "80", "rows": rows or "24"}
    try:
        return msgspec.convert(fields, Size, strict=False)
    except msgspec.ValidationError as error:
        raise ValidationFailed.of(("cols, rows", str(error))) from error


def _session(id: str | None) -> str | None:
    if id is None or SESSION.fullmatch(id):
        return id
    raise ValidationFailed.of(("session", "16 to 64 letters and digits"))


router = Routes(
    "/",
    handlers=[
        # The other methods first: Litestar adds OPTIONS of its own to a path that has none yet.
        *(*_other_methods("web-proxy"), web, *_other_methods("dcv-proxy", DCV), desktop),
        *(no_terminal, terminal, no_stream, stream, ports, aws_console, enter_app),
    ],
)
