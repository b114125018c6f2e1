"""The resources of EC2, as far as the double has them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Tags = dict[str, str]
ALWAYS = datetime.min.replace(tzinfo=UTC)  # what is visible from then on was never hidden
STATES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
HIBERNATED = "Client.UserInitiatedHibernate"
BY_API = "Client.UserInitiatedShutdown"
BY_ITSELF = "Client.InstanceInitiatedShutdown"
SPOT_STOPPED = "Server.SpotInstanceShutdown"
SPOT_ENDED = "Server.SpotInstanceTermination"
REASONS = {
    HIBERNATED: f"{HIBERNATED}: User initiated hibernate",
    BY_API: f"{BY_API}: User initiated shutdown",
    BY_ITSELF: f"{BY_ITSELF}: Instance initiated shutdown",
    SPOT_STOPPED: f"{SPOT_STOPPED}: Spot instance interrupted",
    SPOT_ENDED: f"{SPOT_ENDED}: Spot instance termination",
    "Client.InternalError": "Client.InternalError: Client error on launch",
    "Client.InvalidSnapshot.NotFound": "Client.InvalidSnapshot.NotFound: The specified "
    "snapshot was not found.",
    "Client.VolumeLimitExceeded": "Client.VolumeLimitExceeded: Volume limit exceeded",
    "Server.InsufficientInstanceCapacity": "Server.InsufficientInstanceCapacity: Insufficient "
    "capacity to satisfy instance request",
    "Server.InternalError": "Server.InternalError: Internal error on launch",
}


@dataclass(frozen=True, slots=True)
class Boot:
    """One start of a machine; a resumed one is done at once."""

    up: datetime
    done: datetime
    resumed: bool = False
    hung: bool = False  # its kernel stops while it reads the memory back
    unreadable: bool = False  # its kernel could not read the memory back, and booted


@dataclass(slots=True)
class Instance:
    """A machine."""

    id: str
    number: int
    reservation: str
    image: "Image"
    type: str
    subnet: "Subnet"
    groups: list[str]
    root: str  # the device's name
    launched: datetime  # of the last start, as EC2 has it
    born: datetime
    visible: datetime
    state: str = "pending"
    key: str | None = None
    token: str | None = None
    profile: str | None = None
    user_data: str = ""  # base64
    tags: Tags = field(default_factory=dict)
    hibernates: bool = False  # enabled at launch; never changes
    behaviour: str = "stop"
    credits: str | None = None  # of CPU: standard or unlimited; none where there are none
    market: dict[str, Any] | None = None
    spot_request: str | None = None
    forgot: bool = False  # it could not store its RAM: its next boot is a cold one
    taken: bool = False  # by EC2, which alone starts it again
    startable: datetime = ALWAYS  # until then its spot request is still marked for stop
    protected: bool = False
    stop_protected: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    private_ip: str = ""
    public_ip: str | None = None
    wants_address: bool = True
    address: str | None = None  # an elastic one
    interface: str = ""
    reason: str | None = None  # StateReason's code
    transition: str = ""
    changes: int = 0  # of state: an older change does not end
    touches: int = 0  # of anything
    script: str = ""  # the user data, readable
    boots: list["Boot"] = field(default_factory=list)
    console_until: datetime | None = None  # what it printed until then was shown already
    heir: Callable[[], None] | None = None  # what follows its end
    again: Callable[[], bool] | None = None  # EC2 starts it, if there is room
    xml: str | None = None  # its description, kept while nothing changes

    @property
    def zone(self) -> str:
        """Where it stands."""
        return self.subnet.zone

    @property
    def asleep(self) -> bool:
        """Whether its RAM waits on its root volume."""
        return self.state in {"stopping", "stopped"} and self.reason == HIBERNATED


@dataclass(slots=True)
class Attachment:
    """A volume at a machine."""

    instance: str
    device: str
    at: datetime
    ready: datetime
    dies: bool  # with the machine
    leaving: datetime | None = None


@dataclass(slots=True)
class Volume:
    """A disk."""

    id: str
    zone: str
    size: int
    type: str
    encrypted: bool
    made: datetime
    ready: datetime
    visible: datetime
    iops: int | None = None
    throughput: int | None = None
    snapshot: str = ""
    token: str | None = None
    kms: str | None = None
    tags: Tags = field(default_factory=dict)
    attachment: Attachment | None = None
    modified: dict[str, Any] | None = None


@dataclass(slots=True)
class Snapshot:
    """A copy of a disk."""

    id: str
    volume: str
    size: int
    encrypted: bool
    made: datetime
    ready: datetime
    description: str = ""
    owner: str = ""
    tags: Tags = field(default_factory=dict)
    visible: datetime = ALWAYS


@dataclass(slots=True)
class Image:
    """What machines are launched from."""

    id: str
    name: str
    owner: str
    architecture: str
    root: str
    size: int
    snapshot: str
    made: datetime
    ready: datetime
    alias: str | None = None
    description: str = ""
    public: bool = True
    hibernates: bool = True
    encrypted: bool = False
    tags: Tags = field(default_factory=dict)


@dataclass(slots=True)
class Network:
    """A VPC."""

    id: str
    cidr: str
    default: bool
    tags: Tags = field(default_factory=dict)


@dataclass(slots=True)
class Subnet:
    """A part of a network in one zone."""

    id: str
    network: str
    zone: str
    cidr: str
    default: bool
    gives_addresses: bool
    used: int = 3
    tags: Tags = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """One rule of a security group."""

    id: str
    protocol: str
    low: int
    high: int
    peer: str  # a range of addresses, or a group
    outward: bool = False
    description: str = ""
    tags: Tags = field(default_factory=dict)
    visible: datetime = ALWAYS


@dataclass(slots=True)
class Group:
    """A security group."""

    id: str
    name: str
    network: str
    description: str
    entries: list[Entry] = field(default_factory=list)
    tags: Tags = field(default_factory=dict)
    visible: datetime = ALWAYS


@dataclass(slots=True)
class Key:
    """The public half of a key pair."""

    id: str
    name: str
    kind: str
    public: str
    fingerprint: str
    made: datetime
    tags: Tags = field(default_factory=dict)
    visible: datetime = ALWAYS
