"""The way into the machines of one place: who asks about them, and who is told how they are."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prism.connections.ports import Spot
from prism.providers.aws.booted import Booted
from prism.providers.aws.console import Console
from prism.providers.aws.doors import Doors
from prism.providers.aws.hosts import AwsHosts
from prism.providers.aws.instance import Instance
from prism.providers.aws.logs import AwsLogs
from prism.providers.aws.reach import AwsReach
from prism.providers.aws.ssh.forwards import Forwards
from prism.providers.aws.ssh.hostkeys import HostKeys
from prism.providers.aws.ssh.model import Host, MachineUnreachable
from prism.providers.aws.ssh.pool import Pool
from prism.providers.aws.survey import Book
from prism.providers.aws.watch import AwsWatch
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.ports import Access


class AwsWay:
    """Implements `parts.Way`: everything that goes through a machine's one SSH connection."""

    def __init__(
        self,
        book: Book,
        console: Console,
        home: Path,
        shut: Callable[[str], object] = lambda id: None,
        stranger: Callable[[int], bool] = lambda inode: False,
    ) -> None:
        """`shut` is told the id of each machine at whose address nobody answers.

        `stranger` says whose sockets, by inode, may not use our ports.
        """
        self._hosts = AwsHosts(book, home)
        self.keys = HostKeys(home / "hostkeys", console)
        self.pool = Pool(self._hosts, self.keys, shut=shut)
        self._forwards = Forwards(self.pool, stranger=stranger)
        self._reach = AwsReach(self.pool, self._forwards)
        self._doors = Doors(self.pool, self._reach)
        self._watch = AwsWatch(self.pool, console)
        self.logs = AwsLogs(console, self.pool, self._doors)
        self.booted = Booted(self.pool)
        self._on: frozenset[str] = frozenset()

    def access(self, id: str) -> Access:
        """How to get in."""
        return self._doors.access(id)

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Tell it what to make of idleness."""
        self._watch.watch(id, rule)

    def spot(self, id: str, port: int) -> Spot | None:
        """Where a port of it is dialled."""
        return self._reach.spot(id, port)

    def idle(self, id: str) -> Idleness | None:
        """What it has said last of its own idleness; asks nobody."""
        return self._watch.idle(id)

    def look(self, instances: Sequence[Instance]) -> None:
        """A survey has shown these: hang up on what is not on any more, and hear the others."""
        now = frozenset(it.id for it in instances if it.state == "running")
        entered = (self._host(id) for id in self.pool.open & now)
        self.pool.settle([host for host in entered if host is not None])
        for it in instances:
            if it.gone:
                self.keys.forget(it.id)
        for id in self._on - now:
            self._reach.forget(id)
            self._doors.forget(id)
        self._on = now
        self._forwards.settle(now)
        self._watch.look(instances)

    def close(self) -> None:
        """Hang up; machines go on."""
        self._watch.close()
        self._forwards.close()
        self.pool.close()

    def _host(self, id: str) -> Host | None:
        try:
            return self._hosts.host(id)
        except MachineUnreachable:  # another computer has its key
            return None
