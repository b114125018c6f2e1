"""Reads that must ask the machine, not memory: how to connect to a workspace."""

import re
from collections.abc import Mapping
from shlex import quote

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET

from prism.errors import Unavailable
from prism.workspaces.model import ServiceAccess, SshAccess, WorkspaceConnection, WorkspaceState
from prism.workspaces.plan import elsewhere, not_running
from prism.workspaces.ports import Access, Compute, ServiceEndpoint
from prism.workspaces.read_model import CachedWorkspace, ReadModel

SSH_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class ConnectionReader:
    """Asks a workspace's machine, through its provider, how to connect."""

    def __init__(self, read_model: ReadModel, computes: Mapping[str, Compute]) -> None:
        self._read_model, self._computes = read_model, computes

    def of(self, name: str) -> WorkspaceConnection:
        """How to connect to a running workspace."""
        return connection(self.access(name))

    def access(self, name: str) -> Access:
        """How to connect to the machine; asks it now."""
        cached = self._read_model.pages.named(name)
        return self.check(cached).access(cached.workspace.machine_id or "")

    def id_of(self, name: str) -> str:
        """Our id of the workspace with that name."""
        return self._read_model.pages.named(name).workspace.id

    def check(self, cached: CachedWorkspace) -> Compute:
        """The machine's provider; raises unless the workspace runs and is reachable."""
        workspace = cached.workspace
        if cached.state is not WorkspaceState.RUNNING or workspace.machine_id is None:
            raise not_running(workspace)
        if (compute := self._computes.get(workspace.location)) is None:
            raise elsewhere(workspace)
        return compute


@get("/api/v1/instances/{name:str}/connect", tags=["workspaces"], sync_to_thread=True)
def connect(
    name: FromPath[str], connection_reader: NamedDependency[ConnectionReader]
) -> WorkspaceConnection:
    """The addresses and secrets of a running workspace."""
    return connection_reader.of(name)


def connection(access: Access) -> WorkspaceConnection:
    """The answer of `connect`, with a command whose values Prism made or checked."""
    if SSH_USER.fullmatch(access.user) is None:
        raise Unavailable(
            "The machine's answer is not used",
            details="its user of SSH has characters that a shell would interpret",
        )
    ssh = None
    if access.ssh_port is not None:
        key = f" -i {quote(access.ssh_key)}" if access.ssh_key else ""
        pinned = (
            f" -o UserKnownHostsFile={quote(access.known_hosts)}" if access.known_hosts else ""
        )
        ssh = f"ssh -p {access.ssh_port}{key}{pinned} {access.user}@{access.host}"
    return WorkspaceConnection(
        ssh=SshAccess(
            command=ssh,
            host=access.host,
            user=access.user,
            port=access.ssh_port,
            host_key=(access.ssh_by_daemon and access.ssh_host_key) or UNSET,
        ),
        services={name: _service(endpoint, ssh) for name, endpoint in access.endpoints.items()},
    )


def _service(endpoint: ServiceEndpoint, ssh: str | None) -> ServiceAccess:
    secrets = {
        "token": endpoint.token,
        "username": endpoint.username,
        "password": endpoint.password,
    }
    known = {name: value for name, value in secrets.items() if value is not None}
    port = endpoint.port or endpoint.url.rpartition(":")[2]
    forward = ssh and ssh.replace("ssh ", f"ssh -L {port}:localhost:{port} ", 1)
    if endpoint.password is not None:
        return ServiceAccess(url=endpoint.url, **known)
    return ServiceAccess(url=endpoint.url, local_forward=forward, **known)
