"""The Python client."""

from collections.abc import Iterator
from importlib import import_module
from os import PathLike, fspath
from typing import Self

import msgspec

from prism.client import models
from prism.client.budgets import Allocations, Budgets
from prism.client.costs import Costs
from prism.client.daemon import Daemon
from prism.client.files import Files
from prism.client.idle import Idle
from prism.client.limits import Limits
from prism.client.logs import Logs
from prism.client.notices import Notices, Webhooks
from prism.client.people import Audit, Invitations, Members, Sessions, Tokens
from prism.client.profiles import Profiles
from prism.client.projects import Projects
from prism.client.recovery import Recoveries
from prism.client.requests import Requests
from prism.client.sharing import Shares
from prism.client.storage import Snapshots, Volumes
from prism.client.templates import Templates
from prism.client.transport.address import DaemonAddress
from prism.client.transport.decoding import TypedWire
from prism.client.transport.stream import SILENCE_TIMEOUT, events
from prism.client.transport.wire import ANSWER_TIMEOUT
from prism.client.workspaces import Workspaces
from prism.kit.events import SentEvent

for _name in models.__all__:  # so that each refusal is raised as its own class
    import_module(getattr(models, _name).name)


class Client:
    """The client of a daemon, with an attribute per noun; threads can share it.

    The defaults for the daemon's address and the token are in `PRISM_HOME`, `PRISM_URL` and
    `PRISM_TOKEN`, else they are those of `prism login`. A refusal is raised as the `Problem` that
    the daemon raised (`prism.errors` and each package's `model`), and a daemon that does not
    answer as `prism.client.errors.DaemonUnreachable`.
    """

    def __init__(
        self,
        *,
        home: str | PathLike[str] | None = None,
        url: str | None = None,
        token: str | None = None,
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        # A login is for its own URL: no other daemon gets its token.
        read = DaemonAddress.read if home is None and url is None else DaemonAddress.of_variables
        usual = read()
        address = DaemonAddress(
            usual.home if home is None else fspath(home),
            (usual.url if home is None else "") if url is None else url,
            usual.token if token is None else token,
            usual.port,
            daemon_user=usual.daemon_user,
        )
        self._wire = TypedWire(address, timeout)
        self.workspaces = Workspaces(self._wire)
        self.templates = Templates(self._wire)
        self.volumes = Volumes(self._wire)
        self.snapshots = Snapshots(self._wire)
        self.projects = Projects(self._wire)
        self.budgets = Budgets(self._wire)
        self.allocations = Allocations(self._wire)
        self.costs, self.limits = Costs(self._wire), Limits(self._wire)
        self.notices, self.webhooks = Notices(self._wire), Webhooks(self._wire)
        self.requests = Requests(self._wire)
        self.profiles, self.members = Profiles(self._wire), Members(self._wire)
        self.shares = Shares(self._wire)
        self.invitations = Invitations(self._wire)
        self.tokens = Tokens(self._wire)
        self.sessions = Sessions(self._wire)
        self.audit = Audit(self._wire)
        self.idle = Idle(self._wire)
        self.logs = Logs(self._wire)
        self.files = Files(self._wire)
        self.recovery = Recoveries(self._wire)
        self.daemon = Daemon(self._wire)

    def events(
        self, after: str | int | None = None, *, patience: float = SILENCE_TIMEOUT
    ) -> Iterator[SentEvent]:
        """Yield events as they happen.

        It begins after the event with the id `after` (`0`: with the oldest that is stored), or
        now. It reconnects without losing events, and raises if no daemon answers for `patience`
        seconds.
        """
        for event in events(self._wire, after, patience):
            yield msgspec.convert(event, SentEvent)

    def __enter__(self) -> Self:
        """Does nothing: each request has its own connection."""
        return self

    def __exit__(self, *error: object) -> None:
        """Does nothing."""
