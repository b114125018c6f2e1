"""Finds the address of a workspace's port, which is cached for a second."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from prism.access.names import SEPARATOR
from prism.connections.model import (
    AppsDomain,
    PortRequest,
    PortSilent,
    ServiceUrl,
    SshUnreachable,
)
from prism.connections.plan import app_label, origin, port_request, port_suffix
from prism.connections.ports import Address, PortFinder, PublishesPorts, ServesSsh
from prism.kit.network.tcp_pair import tcp_pair
from prism.kit.network.workspace_network import connect
from prism.workspaces.model import Workspace
from prism.workspaces.ports import Access, Compute, ServiceEndpoint
from prism.workspaces.read_model import CachedWorkspace, ReadModel
from prism.workspaces.routes import ConnectionReader

WEB = 8888  # the default port, if neither the request nor the template has one
HOST = "127.0.0.1"
DIAL = 5.0  # seconds to connect to a port
FRESH = 1.0  # seconds that an answer of a machine is cached


class PortTarget(Struct, frozen=True):
    """The workspace and the address of a port."""

    workspace: str
    address: Address
    tls: bool

    @property
    def netloc(self) -> str:
        """Host and port, as a URL has them."""
        host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
        return f"{host}:{self.address.port}"


class CachedRoute(Struct, frozen=True):
    """A cached result or running lookup; it counts while the workspace is unchanged."""

    row: CachedWorkspace
    until: float
    lookup: "asyncio.Task[PortTarget]"


class PortRouter:
    """Finds the ports of running workspaces, and no other port."""

    def __init__(
        self,
        read_model: ReadModel,
        computes: Mapping[str, Compute],
        port: int,
        apps: AppsDomain | None = None,
    ) -> None:
        """`port` is the daemon's own, for URLs; on a shared daemon, `apps` has those of apps."""
        self.apps = apps
        self.connection_reader = ConnectionReader(read_model, computes)
        self.suffix = "" if port == 80 else f":{port}"
        self._read_model, self._computes = read_model, computes
        self._routes: dict[PortRequest, CachedRoute] = {}
        self._logins: set[asyncio.Task[None]] = set()

    async def target(self, request: PortRequest) -> PortTarget:
        """The address to connect to; raises a `Problem` if there is none."""
        cached = self._running(request.name)
        now = asyncio.get_running_loop().time()
        known = self._routes.get(request)
        if known is None or known.row is not cached or now > known.until or _failed(known.lookup):
            if len(self._routes) > 1000:
                self._routes.clear()
            lookup = asyncio.create_task(
                asyncio.to_thread(self._find_target, cached.workspace, request)
            )
            known = self._routes[request] = CachedRoute(cached, now + FRESH, lookup)
        if known.lookup.done():
            return known.lookup.result()
        return await asyncio.shield(known.lookup)

    def name_in_host(self, name: str) -> str:
        """The name of a running workspace in host names, by its name, full name or id."""
        cached = self._running(name)
        if self.apps is not None and cached.full_name:
            return cached.full_name
        return _host_name(name, cached.workspace)

    def workspace(self, name: str) -> CachedWorkspace:
        """The workspace of that name, full name or id, in whatever state."""
        return self._read_model.pages.named(name)

    def by_id(self, id: str) -> CachedWorkspace | None:
        """The workspace with that permanent id, whoever may see it."""
        return self._read_model.pages.rows.get(id)

    def address(self, request: PortRequest, suffix: str) -> str:
        """The origin of a running workspace's port, for a browser.

        `suffix` is the port of the daemon in the addresses of this computer.
        """
        named = replace(request, name=self.name_in_host(request.name))
        if self.apps is None:
            return origin(named, suffix)
        id = machine_name(self._running(request.name).workspace)
        return f"https://{self.apps.host(app_label(named, id))}"

    async def connect(self, name: str, port: int | None) -> socket.socket:
        """A connection to a port of a running workspace; without a port, to its SSH."""
        if port is None:
            return await self._connect_ssh(self._running(name).workspace)
        target = await self.target(PortRequest(name, port))
        address = target.address
        try:
            async with asyncio.timeout(DIAL):
                return await connect(address.host, address.port, address.network)
        except (OSError, TimeoutError) as error:
            raise _no_answer(self._running(name).workspace, f"port {port}: {error}") from error

    async def _connect_ssh(self, workspace: Workspace) -> socket.socket:
        compute = self._computes[workspace.location]
        if not isinstance(compute, ServesSsh):
            raise SshUnreachable(
                f"SSH into {workspace.name!r} does not lead through the daemon",
                details="its machine is in the cloud, and only the daemon's computer has the key",
                remediation=f"Use `prism ssh {workspace.name}` on the computer where the daemon "
                f"runs. From here, `prism files` and `prism tunnel {workspace.name} PORT` work",
            )
        ours, theirs = await asyncio.to_thread(tcp_pair)
        serving = asyncio.create_task(compute.serve_ssh(workspace.machine_id or "", theirs))
        self._logins.add(serving)
        serving.add_done_callback(self._logins.discard)
        return ours

    def service_urls(self, name: str, port: int | None, host: str = "") -> list[ServiceUrl]:
        """Every service of a workspace that answers, or only the given port.

        `host` is the `Host` of the client, whose port the addresses have.
        """
        workspace = self._running(name).workspace
        access, suffix = self.connection_reader.access(name), port_suffix(host, self.suffix)
        if port is not None:
            return [self._service_url(name, workspace, access, port, suffix)]
        urls = []
        for service in workspace.resolved_template.services.values():
            with contextlib.suppress(PortSilent):
                urls.append(self._service_url(name, workspace, access, service.port, suffix))
        return urls

    def _service_url(
        self, name: str, workspace: Workspace, access: Access, port: int, suffix: str
    ) -> ServiceUrl:
        service, address, _ = self._service_address(workspace, access, port)
        is_first = service is not None and service == _service(workspace, None)
        in_host = self.name_in_host(name)
        is_short = is_first and port_request(in_host) == PortRequest(in_host)
        url = self.address(PortRequest(name, None if is_short else port), suffix)
        host, target = self._published(workspace, address)
        return ServiceUrl(service=service, port=port, url=url, host=host, target=target)

    def _published(self, workspace: Workspace, address: Address) -> tuple[str, int]:
        """The local address of the port."""
        compute = self._computes[workspace.location]
        if not address.network or not isinstance(compute, PublishesPorts):
            return address.host, address.port
        try:
            return HOST, compute.published(workspace.machine_id or "", address)
        except OSError as error:
            raise _no_answer(workspace, f"its network does not answer: {error}") from error

    def _running(self, name: str) -> CachedWorkspace:
        """The workspace with that name or id; raises unless it runs."""
        cached = self._read_model.pages.named(name)
        self.connection_reader.check(cached)
        return cached

    def _find_target(self, workspace: Workspace, request: PortRequest) -> PortTarget:
        assert workspace.machine_id is not None, "a running workspace has a machine"
        access = self._computes[workspace.location].access(workspace.machine_id)
        _, address, tls = self._service_address(workspace, access, request.port)
        return PortTarget(workspace.name, address, request.tls or tls)

    def _service_address(
        self, workspace: Workspace, access: Access, port: int | None
    ) -> tuple[str | None, Address, bool]:
        """The service on that port, if any, its address, and whether it speaks TLS."""
        service = _service(workspace, port)
        if service is None:
            host, real, tls = access.host, port or WEB, False
        elif endpoint := access.endpoints.get(service):
            host, real, tls = _address(endpoint)
        else:
            raise _no_answer(workspace, f"its service {service} does not answer now")
        compute, id = self._computes[workspace.location], workspace.machine_id or ""
        address = compute.address_of(id, real) if isinstance(compute, PortFinder) else None
        if address is None:
            why = f"none of its programs listens on port {port or real} of {host}"
            no_service = "" if service or port else "its template has no service, and "
            raise _no_answer(workspace, no_service + why)
        return service, address, tls


def machine_name(workspace: Workspace) -> str:
    """The id of its machine, which is one of its names."""
    return workspace.machine_id or workspace.expected_id or ""


def _host_name(name: str, workspace: Workspace) -> str:
    """The name in host names: the full one for who needs it, since the short may mean another."""
    return name if SEPARATOR in name else workspace.name


def first_port(workspace: Workspace) -> int:
    """The port of an address without one."""
    service = _service(workspace, None)
    return WEB if service is None else workspace.resolved_template.services[service].port


def _service(workspace: Workspace, port: int | None) -> str | None:
    services = workspace.resolved_template.services
    if port is None:
        return next(iter(services), None)
    return next((name for name, service in services.items() if service.port == port), None)


def _address(endpoint: ServiceEndpoint) -> tuple[str, int, bool]:
    """The host of a service, the machine's own port, and whether it speaks TLS."""
    parts = urlsplit(endpoint.url)
    tls = parts.scheme == "https"
    return parts.hostname or "", endpoint.port or parts.port or (443 if tls else 80), tls


def _no_answer(workspace: Workspace, details: str) -> PortSilent:
    hint = f"See which services answer: `prism connect {workspace.name}`"
    return PortSilent(
        f"Workspace {workspace.name!r} does not answer there", details=details, remediation=hint
    )


def _failed(lookup: "asyncio.Task[PortTarget]") -> bool:
    return lookup.done() and (lookup.cancelled() or lookup.exception() is not None)
