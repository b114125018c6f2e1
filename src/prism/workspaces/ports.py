"""What workspaces need from a provider."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

from prism.errors import Conflict
from prism.templates.model import Template
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.model import Observed, WorkspaceFailure


class ProviderRefused(Conflict, code="CAPACITY_UNAVAILABLE"):
    """The provider refuses, and repeating the request does not help."""


class NextAttempt(Exception):
    """There was no capacity; the next attempt tries another availability zone."""


class MachineSpec(Struct, frozen=True, kw_only=True):
    """A machine to launch. `key` is the workspace's id, the idempotency token and a tag.

    `attempt` counts the zones that were tried. It is stored before each attempt, so a repeated
    call makes the same attempt.
    """

    key: str
    name: str
    owner: str = ""
    profile: str = ""
    project: str | None = None  # its name
    allocation: str | None = None  # its id
    budget: str | None = None  # its name
    idle_profile: str | None = None
    idle: IdleRule | None = None  # the rule that the machine begins with
    launched_at: datetime | None = None
    attempt: int = 0
    template: Template  # resolved, with all that it inherits
    parameters: dict[str, Any] = {}
    instance_type: str
    spot: bool = False
    open_ports: bool = False
    unlimited: bool = False  # a burstable machine may use more CPU than its price covers
    root_gb: int
    root_type: str = "gp3"
    zone: str | None = None  # the zone of its volumes, in which it must be
    hibernation: bool
    expires_at: datetime | None = None
    ends_at: datetime | None = None  # the requested expiry, before the budget limits it
    starts: bool = True  # whether it starts at once; else it waits for the files of a snapshot


class Machine(Struct, frozen=True, kw_only=True):
    """A machine as its provider sees it.

    `stage` is the current step on the way to `ON`, and `progress` (0-100) how far it is;
    `failure` says why it is `BROKEN`, or why it is `OFF` without a request.

    Costs depend on the other fields. `charged` means that it costs as much as in the state
    `ON`, because it is being set up or is saving its memory. `since` is when the current state
    began, if the provider knows. For a sleeping machine it may only know `dozed`, when the
    machine began to fall asleep. `started` is when the costs of its last run began.
    `interrupted` means that it ran or came up until its computer restarted or its supervisor
    ended. `has_rule` means that a new machine has the idle rule of its spec already. `type` is
    its machine type, if the provider has machine types. `notes` say what it lacks
    while it runs, such as a limit of memory.
    """

    id: str
    key: str
    observed: Observed
    public_ip: str | None = None
    private_ip: str | None = None
    stage: str | None = None
    progress: int | None = None
    failure: WorkspaceFailure | None = None
    charged: bool = False
    since: datetime | None = None
    dozed: datetime | None = None
    started: datetime | None = None
    idle: Idleness | None = None
    interrupted: bool = False
    has_rule: bool = False
    type: str | None = None
    notes: tuple[str, ...] = ()


class ServiceEndpoint(Struct, frozen=True, kw_only=True):
    """A service of a machine that answers now, and its secrets.

    `url` works on this computer; `port` is the port on the machine, if `url` is a tunnel.
    """

    url: str
    port: int | None = None
    token: str | None = None
    username: str | None = None
    password: str | None = None


class Access(Struct, frozen=True, kw_only=True):
    """How to connect to a machine that is on; `ssh_port` is None if it has no SSH.

    `ssh_key` is the file of Prism's private key. `ssh_host_key` is the public host key, which
    the machine reported over another channel; `known_hosts` is Prism's file with that key.
    """

    host: str
    user: str
    ssh_port: int | None = None
    ssh_key: str | None = None
    ssh_host_key: str | None = None
    known_hosts: str | None = None
    ssh_by_daemon: bool = False  # the daemon serves it, also on `connections/byte_stream.py`
    endpoints: dict[str, ServiceEndpoint] = {}


class MachineObserver(Protocol):
    """Gets the machines of each survey."""

    def saw(self, machines: Mapping[str, Iterable[Machine]]) -> None:
        """The machines of each surveyed location; called outside of any transaction.

        Locations that were not surveyed are missing; one that did not answer has no machines.
        """


@runtime_checkable
class FindsById(Protocol):
    """A provider whose survey finds machines by tags, which somebody may remove.

    A machine counts as gone only after the provider was asked for its id.
    """

    def find(self, id: str | None, spec: MachineSpec) -> Machine | None:
        """The machine with that id, with the tags of `spec` again; None if it does not exist.

        Raises `Unavailable` if it exists and the provider's description cannot be read. That can
        also happen without an id, if the launch was never answered.
        """


@runtime_checkable
class SingleMachineSurvey(Protocol):
    """A provider that can describe one machine with less effort than a survey."""

    def look_at(self, id: str) -> Machine | None:
        """The machine, as a survey would show it now; None if only a survey can tell."""


@runtime_checkable
class TellsNews(Protocol):
    """A provider that hears of changes of its machines before the next survey."""

    on_news: Callable[[Sequence[Machine]], object]
    """Called with machines that may have changed, in a thread of the provider."""


@runtime_checkable
class ReplacesFiles(Protocol):
    """A location that can replace the files of a machine by those of a snapshot."""

    def replace_files(self, id: str, snapshot: str, token: str) -> bool:
        """Replace them while the machine is off; returns whether that is done.

        Repeat it until it is; the same token replaces them once. `snapshot` is the provider's id.
        Raises `ProviderRefused` if it failed, and then the files are as before.
        """


class Compute(Protocol):
    """The machines of a provider in one location.

    Every call may be repeated: launches with the same key make one machine, and a verb changes
    nothing if the machine is already in that state or gone. A survey lists a destroyed machine as
    `GONE` for a while. If a provider does not answer, `Unavailable` is raised, and the request may
    have succeeded. No call waits for a machine: it returns when the provider has stored the
    request, and `survey` shows the rest.
    """

    busy: timedelta
    """How soon to look again while something changes."""

    calm: timedelta
    """How soon to look again while nothing changes."""

    patience: timedelta
    """How long a new machine may be missing from a survey."""

    def survey(self) -> Sequence[Machine]:
        """Every machine of Prism; a new one may be missing for some seconds."""

    def launch(self, spec: MachineSpec) -> Machine:
        """Launch a machine; raises `NextAttempt`, or `ProviderRefused`."""

    def start(self, id: str) -> None:
        """Boot or resume a machine; set a `BROKEN` machine up again."""

    def stop(self, id: str) -> None:
        """Power a machine off, keeping its disk."""

    def hibernate(self, id: str) -> None:
        """Power a machine off, keeping its disk and memory."""

    def terminate(self, id: str) -> None:
        """Destroy a machine and its disk; Prism repeats this if the provider refuses."""

    def change_template(self, id: str, spec: MachineSpec) -> None:
        """Make the next start of a stopped or `BROKEN` machine use `spec.template`."""

    def expire(self, id: str, at: datetime | None, action: Literal["hibernate", "stop"]) -> None:
        """Send the machine its expiry, at which it goes to sleep by itself."""

    def resize(self, id: str, instance_type: str) -> None:
        """Change the type of a machine that is off."""

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Send a machine its idle rule, which needs no daemon; None removes the rule."""

    def describe(self, id: str, spec: MachineSpec) -> None:
        """Write the workspace's metadata to the machine, for a recovery without the database."""

    def access(self, id: str) -> Access:
        """How to connect to a machine now; raises `Unavailable` if the machine cannot be asked."""
