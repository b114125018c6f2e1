"""What workspaces need from a provider."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

from prism.errors import Conflict
from prism.templates.model import Template
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.model import Failure, Observed


class ProviderRefused(Conflict, code="CAPACITY_UNAVAILABLE"):
    """The provider refuses, and repeating the request does not help."""


class NextAttempt(Exception):
    """There is no room where this attempt went; the next one goes elsewhere."""


class MachineOrder(Struct, frozen=True, kw_only=True):
    """A machine to be made. `key` is our id: it is the token and goes into the tags.

    `attempt` counts the places that were tried, and is stored before each is: an attempt may
    be repeated and is then the same one.
    """

    key: str
    name: str
    owner: str = ""
    profile: str = ""
    project: str | None = None  # its name
    allocation: str | None = None  # its id
    budget: str | None = None  # its name
    idle_profile: str | None = None
    idle: IdleRule | None = None  # what the machine makes of it before anybody tells it more
    launched_at: datetime | None = None
    attempt: int = 0
    template: Template  # resolved: nothing is inherited any more
    parameters: dict[str, Any] = {}
    instance_type: str
    spot: bool = False
    open_ports: bool = False
    unlimited: bool = False  # CPU beyond what a burstable machine's price covers
    root_gb: int
    root_type: str = "gp3"
    zone: str | None = None  # where its volumes are, and so where it has to be
    hibernation: bool
    expires_at: datetime | None = None
    ends_at: datetime | None = None  # what of that was asked for; money may end sooner


class Machine(Struct, frozen=True, kw_only=True):
    """A machine as its provider sees it.

    `stage` is what it is doing on its way to `ON` and `progress` (0-100) how far that is;
    `failure` says why it is `BROKEN`, or why it is `OFF` although nobody asked.

    Bills go by the rest. `charged` says of one that is not `ON` that it is paid for as if it
    were: it runs and is being set up, or writes down its memory. `since` is when it became
    what it is, where the provider knows; of one that sleeps it may know only when it `dozed`
    off, which is when it began to. `started` is when its last run began to be paid for.
    `interrupted` says that it ran until its computer was restarted, or its supervisor ended,
    which nobody asked for. `has_rule` says of one that was launched just now that it was made
    with the idle rule of its order, and so need not be told it. `type` is its machine type,
    where the provider has types of its own.
    """

    id: str
    key: str
    seen: Observed
    public_ip: str | None = None
    private_ip: str | None = None
    stage: str | None = None
    progress: int | None = None
    failure: Failure | None = None
    charged: bool = False
    since: datetime | None = None
    dozed: datetime | None = None
    started: datetime | None = None
    idle: Idleness | None = None
    interrupted: bool = False
    has_rule: bool = False
    type: str | None = None


class ServiceEndpoint(Struct, frozen=True, kw_only=True):
    """A service of a machine that answers now, with that machine's own secrets.

    `url` answers from this computer; `port` is the machine's own, if a tunnel leads there.
    """

    url: str
    port: int | None = None
    token: str | None = None
    username: str | None = None
    password: str | None = None


class Access(Struct, frozen=True, kw_only=True):
    """How to get into a machine that is on; `ssh_port` is null where there is no SSH.

    `ssh_key` is the file of our private key; `ssh_host_key` the machine's own public one,
    as `known_hosts` has it, which it told by another way than that port; `known_hosts` is a
    file of ours that holds it.
    """

    host: str
    user: str
    ssh_port: int | None = None
    ssh_key: str | None = None
    ssh_host_key: str | None = None
    known_hosts: str | None = None
    endpoints: dict[str, ServiceEndpoint] = {}


class MachineObserver(Protocol):
    """Gets the machines of each survey."""

    def saw(self, machines: Mapping[str, Iterable[Machine]]) -> None:
        """These are there, by the place that was looked at; called outside of any transaction.

        Of other places nothing is said; a place that did not answer has none.
        """


@runtime_checkable
class FindsById(Protocol):
    """A provider whose survey finds machines by their labels, which somebody may remove.

    A machine counts as gone there only after the provider was asked for it by its id.
    """

    def find(self, id: str | None, order: MachineOrder) -> Machine | None:
        """The machine, labelled anew as in `order`; none where there is none of that id.

        Raises `Unavailable` where it is there and what the provider says of it cannot be read;
        that is known of one without an id, too, whose launch was never answered.
        """


@runtime_checkable
class LooksAtOne(Protocol):
    """A provider to which one machine costs less than a survey, however few there are."""

    def look_at(self, id: str) -> Machine | None:
        """It, as a survey would show it now; none where only a survey can tell."""


class Compute(Protocol):
    """Somewhere machines run.

    Every call may be repeated: a launch with the same key makes one machine, and a verb
    on a machine that is already there, or gone, changes nothing. A destroyed machine is
    surveyed as `GONE` for a while. Who does not answer raises `Unavailable`, and may
    have acted all the same. No call waits for a machine: it answers when the wish is
    durable at the provider, and `survey` tells the rest.
    """

    busy: timedelta
    """How soon to look again while something changes."""

    calm: timedelta
    """How soon to look again while nothing does."""

    patience: timedelta
    """How long a machine that was promised may be missing from a survey."""

    def survey(self) -> Sequence[Machine]:
        """Every machine of ours; a new one may be missing for some seconds."""

    def launch(self, order: MachineOrder) -> Machine:
        """Bring a machine into being, powered on; raises `NextAttempt`, or `ProviderRefused`."""

    def start(self, id: str) -> None:
        """Power it on, or wake it up; a `BROKEN` one is set up once more."""

    def stop(self, id: str) -> None:
        """Power it off, keeping its disk."""

    def hibernate(self, id: str) -> None:
        """Power it off, keeping disk and memory."""

    def terminate(self, id: str) -> None:
        """Destroy it and its disk; who refuses is asked again."""

    def change_template(self, id: str, order: MachineOrder) -> None:
        """Make the next start of a stopped or `BROKEN` machine use `order.template`."""

    def expire(self, id: str, at: datetime | None, action: Literal["hibernate", "stop"]) -> None:
        """Send the machine its expiry, at which it goes to sleep by itself."""

    def resize(self, id: str, instance_type: str) -> None:
        """Make one that is off another type of machine."""

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Send the machine its idle rule; None ends it. The machine needs no daemon for it."""

    def describe(self, id: str, order: MachineOrder) -> None:
        """Write down on the machine what is known of it now, for who loses everything else."""

    def access(self, id: str) -> Access:
        """How to get in, now; raises `Unavailable` where the machine cannot be asked."""
