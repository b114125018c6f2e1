"""How to reach a machine and its services: by SSH with the profile's key."""

import threading
from shlex import quote

import msgspec

from prism.agent.protocol import ServedByMachine, ServedService
from prism.providers.aws.machine.cloudinit.tokens import secret
from prism.providers.aws.machine.cloudinit.units import SERVICES
from prism.providers.aws.ssh.model import SshHost
from prism.providers.aws.ssh.pool import SshPool
from prism.providers.aws.ssh.port_forwarding import AwsPortFinder
from prism.workspaces.ports import Access, ServiceEndpoint

NO_SERVICES: tuple[str, ServedByMachine] = ("", {})


class AwsServiceAccess:
    """Access to the machines of one location."""

    def __init__(self, pool: SshPool, reach: AwsPortFinder, *, services: str = SERVICES) -> None:
        """`services` is the file on a machine that lists its services."""
        self._pool, self._reach, self._file = pool, reach, services
        self._known: dict[str, tuple[str, ServedByMachine]] = {}
        self._lock = threading.Lock()

    def access(self, id: str) -> Access:
        """How to reach it now; raises if the machine cannot be asked."""
        host = self._pool.host(id)
        keys, served = self._pool.keys, self.serving(host)
        return Access(
            host=host.address,
            user=host.user,
            ssh_port=keys.port,
            ssh_key=str(host.key),
            ssh_host_key=keys.of(host),
            known_hosts=str(keys.known_hosts(host)),
            endpoints={
                name: endpoint
                for name, service in served.get("services", {}).items()
                if (endpoint := self._endpoint(host, served.get("user", ""), name, service))
            },
        )

    def serving(self, host: SshHost) -> ServedByMachine:
        """The services of a machine, read once per boot."""
        boot, known = self._known.get(host.id, NO_SERVICES)
        if boot == host.boot and known.get("services"):
            return known
        result = self._pool.run(host.id, f"cat {quote(self._file)}")
        try:
            served = msgspec.json.decode(result.out, type=ServedByMachine)
        except msgspec.MsgspecError:
            return {}  # its first boot has not written it yet, or Prism did not make the machine
        with self._lock:
            self._known[host.id] = host.boot, served
        return served

    def known(self, id: str) -> tuple[str, ...]:
        """The names of a machine's services, if they have been read; makes no call."""
        return tuple(sorted(self._known.get(id, NO_SERVICES)[1].get("services", {})))

    def forget(self, id: str) -> None:
        """Forget a machine that is off."""
        self._known.pop(id, None)

    def _endpoint(
        self, host: SshHost, user: str, name: str, service: ServedService
    ) -> ServiceEndpoint | None:
        port, has_password = service["port"], service.get("password", False)
        if (address := self._reach.address_of(host.id, port)) is None:
            return None
        url, ours = f"http://{address.host}:{address.port}", service.get("token") or has_password
        key = secret(host.key.read_bytes(), host.workspace, name) if ours else None
        if has_password:
            return ServiceEndpoint(url=url, port=port, username=user, password=key)
        return ServiceEndpoint(url=url, port=port, token=key)
