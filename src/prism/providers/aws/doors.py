"""How one gets into a machine: by SSH with the profile's key, and to each service that answers."""

import threading
from shlex import quote

import msgspec
from msgspec import Struct

from prism.providers.aws.cloudinit.tokens import secret
from prism.providers.aws.cloudinit.units import SERVICES
from prism.providers.aws.reach import AwsReach
from prism.providers.aws.ssh.model import Host
from prism.providers.aws.ssh.pool import Pool
from prism.workspaces.ports import Access, Door


class Service(Struct, frozen=True):
    """A service as its machine tells of it: what its secret is for, if it asks for one."""

    port: int
    token: bool = False
    password: bool = False
    command: str = ""


class Serving(Struct, frozen=True):
    """What a machine serves, and as whom."""

    user: str = ""
    home: str = ""
    services: dict[str, Service] = {}


class Doors:
    """Knows the ways into the machines of one place."""

    def __init__(self, pool: Pool, reach: AwsReach, *, services: str = SERVICES) -> None:
        """`services` is the file where a machine says what it serves."""
        self._pool, self._reach, self._file = pool, reach, services
        self._known: dict[str, tuple[str, Serving]] = {}
        self._lock = threading.Lock()

    def access(self, id: str) -> Access:
        """How to get in now; raises where the machine cannot be asked."""
        host = self._pool.host(id)
        keys, served = self._pool.keys, self.serving(host)
        return Access(
            host=host.address,
            user=host.user,
            ssh_port=keys.port,
            ssh_key=str(host.key),
            ssh_host_key=keys.of(host),
            known_hosts=str(keys.known_hosts(host)),
            doors={
                name: door
                for name, it in served.services.items()
                if (door := self._door(host, served.user, name, it))
            },
        )

    def serving(self, host: Host) -> Serving:
        """What a machine serves; it is asked once a boot."""
        boot, known = self._known.get(host.id, ("", Serving()))
        if boot == host.boot and known.services:
            return known
        said = self._pool.run(host.id, f"cat {quote(self._file)}")
        try:
            found = msgspec.json.decode(said.out, type=Serving)
        except msgspec.MsgspecError:
            return Serving()  # its first boot has not come to this yet, or it is not made by us
        with self._lock:
            self._known[host.id] = host.boot, found
        return found

    def known(self, id: str) -> tuple[str, ...]:
        """The services of a machine, as far as it has told; asks nobody."""
        return tuple(sorted(self._known.get(id, ("", Serving()))[1].services))

    def forget(self, id: str) -> None:
        """That machine is not on any more."""
        self._known.pop(id, None)

    def _door(self, host: Host, user: str, name: str, it: Service) -> Door | None:
        if (spot := self._reach.spot(host.id, it.port)) is None:
            return None
        url, ours = f"http://{spot.host}:{spot.port}", it.token or it.password
        key = secret(host.key.read_bytes(), host.workspace, name) if ours else None
        if it.password:
            return Door(url=url, port=it.port, username=user, password=key)
        return Door(url=url, port=it.port, token=key)
