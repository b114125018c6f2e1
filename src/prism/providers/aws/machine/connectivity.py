"""Builds everything that uses the SSH connections to the machines of one location."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.machine.boot_probe import boot_markers
from prism.providers.aws.machine.logs import AwsLogs
from prism.providers.aws.machine.service_access import AwsServiceAccess
from prism.providers.aws.machine.watch import AwsWatch
from prism.providers.aws.ssh.hostkeys import HostKeys
from prism.providers.aws.ssh.hosts import AwsHosts
from prism.providers.aws.ssh.model import MachineUnreachable, SshHost
from prism.providers.aws.ssh.pool import SshPool
from prism.providers.aws.ssh.port_forwarding import AwsPortFinder
from prism.providers.tunnels.forwards import Forwards


class AwsConnectivity:
    """Implements `Connectivity` through one SSH connection per machine."""

    def __init__(
        self,
        instances: InstanceCache,
        console: Console,
        home: Path,
        on_unreachable: Callable[[str], object] = lambda id: None,
        stranger: Callable[[int], bool] = lambda inode: False,
    ) -> None:
        """`on_unreachable` is called with the id of each machine whose address does not answer.

        `stranger` returns whether a socket, by its inode, may not use our ports.
        """
        self._hosts = AwsHosts(instances, home)
        self.keys = HostKeys(home / "hostkeys", console)
        self.pool = SshPool(self._hosts, self.keys, on_unreachable=on_unreachable)
        self._forwards = Forwards(self.pool, stranger=stranger)
        self._reach = AwsPortFinder(self.pool, self._forwards)
        self._services = AwsServiceAccess(self.pool, self._reach)
        self._watch = AwsWatch(self.pool, console)
        self.logs = AwsLogs(console, self.pool, self._services)
        self.booted = partial(boot_markers, self.pool)
        self._on: frozenset[str] = frozenset()
        self.access, self.address_of = self._services.access, self._reach.address_of
        self.watch, self.idle = self._watch.watch, self._watch.idle

    def look(self, instances: Sequence[Ec2Instance]) -> None:
        """Disconnect from surveyed machines that are off, and read the idleness of the others."""
        running = frozenset(instance.id for instance in instances if instance.state == "running")
        entered = (self._host(id) for id in self.pool.open & running)
        self.pool.settle([host for host in entered if host is not None])
        for instance in instances:
            if instance.gone:
                self.keys.forget(instance.id)
        for id in self._on - running:
            self._reach.forget(id)
            self._services.forget(id)
        self._on = running
        self._forwards.settle(running)
        self._watch.look(instances)

    def close(self) -> None:
        """Close all connections; machines keep running."""
        self._watch.close()
        self._forwards.close()
        self.pool.close()

    def _host(self, id: str) -> SshHost | None:
        try:
            return self._hosts.host(id)
        except MachineUnreachable:  # only another computer has its key
            return None
