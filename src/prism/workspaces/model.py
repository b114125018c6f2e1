"""The structs of workspaces: rows, requests, answers and problems."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.catalog.model import MachineType
from prism.errors import Conflict, Invalid, NotFound
from prism.kit.generations import Attempts
from prism.kit.money import Micros
from prism.profiles.providers import MACHINE_IDS
from prism.templates.model import Size, Template


class WorkspaceNotFound(NotFound, code="INSTANCE_NOT_FOUND"):
    """There is no workspace with that name."""


class NameTaken(Conflict, code="NAME_TAKEN"):
    """A workspace with that name already exists."""


class PriceTooHigh(Conflict, code="PRICE_TOO_HIGH"):
    """A launch costs more per hour than its request allows."""


class HibernationNotSupported(Conflict, code="HIBERNATION_NOT_SUPPORTED"):
    """The workspace cannot hibernate."""


class BudgetNotFound(NotFound, code="BUDGET_NOT_FOUND"):
    """There is no budget pool with that name."""


class IdleProfileNotFound(NotFound, code="IDLE_PROFILE_NOT_FOUND"):
    """There is no idle profile with that name."""


class ProviderMissing(Conflict, code="PROVIDER_UNAVAILABLE"):
    """The daemon cannot launch on that provider."""


class ConfirmationRequired(Invalid, code="CONFIRMATION_REQUIRED"):
    """Terminating destroys all data and must be confirmed."""


class LifecycleVerb(StrEnum):
    """A verb that a row stores as its last request."""

    LAUNCH = "launch"
    START = "start"
    RESUME = "resume"
    STOP = "stop"
    HIBERNATE = "hibernate"
    TERMINATE = "terminate"


class Observed(StrEnum):
    """The state of a machine, as last observed."""

    NONE = "none"  # no machine was launched yet
    UNSURE = "unsure"  # requested; the provider has neither confirmed nor listed it yet
    STARTING = "starting"
    ON = "on"
    STOPPING = "stopping"
    OFF = "off"
    ASLEEP = "asleep"
    BROKEN = "broken"  # the last start failed; nothing runs, the disk is kept
    GONE = "gone"  # the machine does not exist any more


class WorkspaceState(StrEnum):
    """A workspace's state on the wire."""

    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    HIBERNATING = "hibernating"
    HIBERNATED = "hibernated"
    RESUMING = "resuming"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FAILED = "failed"


class WorkspaceFailure(Struct, frozen=True):
    """Why a request was not fulfilled; `message` also says what to do."""

    code: str
    message: str


STOP_HANGS = "STOP_HANGS"
"""The code of a machine that does not stop; another stop is by force."""


SPOT_INTERRUPTED = "SPOT_INTERRUPTED"  # the failure code of a machine that EC2 took back


def memory_lost(why: str) -> WorkspaceFailure:
    """The failure if a sleeping machine lost its memory, with the same text everywhere."""
    return WorkspaceFailure("MEMORY_LOST", f"{why}: its memory is lost, its disk is kept")


class Workspace(Attempts, Struct, frozen=True, kw_only=True):
    """A workspace: its launch request, the last request, and the observed state."""

    id: str
    name: str
    owner: str
    profile: str
    location: str
    template: str
    resolved_template: Template  # as it was when it was last read for this workspace
    parameters: dict[str, Any] = {}
    instance_type: str
    region: str
    expected_id: str | None = None  # the id that the provider will give, if known in advance
    spot: bool = False
    open_ports: bool = False  # the template's, to its launcher's address
    unlimited: bool = False  # a burstable machine may use more CPU than its price covers
    hourly_rate: Micros | None
    price_source: str | None
    hibernation: bool
    root_gb: int
    root_type: str = "gp3"
    project: str | None = None
    project_name: str | None = None
    allocation: str | None = None
    pool: str | None = None
    budget: str | None = None  # the pool's name
    idle_profile: str | None = None
    launched_at: datetime
    # written by requests
    launched_by: str | None = None  # null if that is not known, or somebody else has it now
    verb: LifecycleVerb = LifecycleVerb.LAUNCH
    generation: int = 1  # the number of the last request
    requested_at: datetime
    requested_by: str = ""  # a person's address or `prism`; empty if that is not known
    request_reason: str | None = None  # why Prism, or a change of members, requested it
    expires_at: datetime | None = None
    restart: bool = False  # start it again after an interruption, such as a reboot
    restarting: bool = False  # it is being stopped for a restart
    template_reread: bool = False  # it is newer than the template of its machine
    rollback_to: str | None = None  # the snapshot that its files are to be replaced by
    rollback_backup: str | None = None  # the snapshot that is taken before
    reserved_until: datetime | None = None  # money is reserved until then; written by `budgets`
    metadata_version: int = 0  # the number of changes of the metadata for its machine
    # written by the reconciler
    observed: Observed = Observed.NONE
    observed_generation: int = 0  # the last one that was fulfilled or given up
    attempted_generation: int = 0  # the last one tried, if a failure or a repeat depends on it
    attempt: int = 0  # see `MachineSpec`
    provider_called_at: datetime | None = None  # when its launch was last sent to the provider
    observed_type: str | None = None  # the type of its machine, if known; else `instance_type`
    applied_expiry: datetime | None = None  # the expiry that was last sent to its machine
    applied_metadata_version: int = 0  # the `metadata_version` that was last sent to its machine
    ended_at: datetime | None = None
    ready_at: datetime | None = None
    machine_id: str | None = None
    public_ip: str | None = None
    private_ip: str | None = None
    stage: str | None = None
    progress: int = 0
    charged: bool = False  # whether it costs as much as in the state `ON`
    hibernated_at: datetime | None = None
    failure: WorkspaceFailure | None = None


class PricedKind(Struct, frozen=True):
    """The hourly price of workspaces of the same kind, and the fields that it depends on."""

    profile: str
    region: str
    instance_type: str
    spot: bool
    unlimited: bool
    hourly_rate: Micros | None

    @classmethod
    def of(cls, workspace: Workspace) -> "PricedKind":
        """The kind of a workspace."""
        return cls(*(getattr(workspace, name) for name in cls.__struct_fields__))


class Offer(Protocol):
    """What a provider offers, known without a call to the cloud."""

    provider: str
    location: str
    region: str

    def accept(
        self, template: Template, kind: MachineType, request: "LaunchRequest"
    ) -> tuple[str, ...]:
        """Notes on what will differ from the request; raises a `Problem` if it is not possible."""

    def resize(self, workspace: Workspace, kind: MachineType) -> tuple[str, ...]:
        """Notes on what will differ from the request; raises a `Problem` if it is not possible."""

    def change_template(self, workspace: Workspace, template: Template) -> None:
        """Raise a `Problem` if the existing machine cannot be set up from this template."""

    def hibernates(self, kind: MachineType, template: Template, request: "LaunchRequest") -> bool:
        """Whether this machine will be able to keep its memory."""

    def root_gb(self, kind: MachineType, template: Template, request: "LaunchRequest") -> int:
        """The size of the root disk."""

    def price(
        self, kind: MachineType, spot: bool, unlimited: bool = False
    ) -> tuple[Micros | None, str | None]:
        """The highest hourly price, and its source."""

    def image(self, template: Template, kind: MachineType) -> str:
        """The image of a machine."""

    def expected_id(self, key: str) -> str | None:
        """The id that the machine with this key will get, if it can be known in advance."""


Name = Annotated[
    str,
    Meta(
        pattern=rf"^(?!.*--)(?!({MACHINE_IDS})$)[a-z0-9]([a-z0-9-]{{0,46}}[a-z0-9])?$(?!\n)",
        description="1-48 of a-z, 0-9 and single hyphens inside; not shaped like an instance id",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
MOST_VOLUMES = 100  # of a launch; the rights to each are looked up


class RootDisk(Struct, frozen=True, forbid_unknown_fields=True):
    """The root disk."""

    ebs_volume_size: Annotated[int, Meta(ge=8, le=16384)] | None = None
    ebs_volume_type: Literal["gp3", "gp2", "io2", "st1"] = "gp3"


class LaunchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a new workspace."""

    name: Name
    template: Text
    size: Size | None = None
    instance_type: Text | None = None
    profile: Text | None = None
    """Where it is launched; by default with the profile in use."""
    region: Text | None = None
    spot: bool = False
    open_ports: bool = False
    unlimited: bool = False
    storage: RootDisk = RootDisk()
    project: Text | None = None
    budget: Text | None = None
    parameters: dict[str, Any] = {}
    volumes: Annotated[tuple[Text, ...], Meta(max_length=MOST_VOLUMES)] = ()
    ttl_hours: Annotated[float, Meta(ge=1, le=8760)] | None = None
    idle_profile: Text | None = None
    hibernation: bool = True
    restart: bool = False
    from_snapshot: Text | None = None
    owner: Text | None = None
    """A member of the project, or who is invited to it; only its admins name another person."""
    dry_run: bool = False
    max_hourly_rate: Annotated[float, Meta(ge=0)] | None = None
    """In USD; at a higher price, or at an unknown one, nothing is launched."""


class StartRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to start; with `template_again` from the current template, if never ready."""

    template_again: bool = False


class TerminateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to destroy a workspace."""

    confirm: str = ""
    backup_ebs: bool = False


class ExtendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request for another expiry: so many hours later, or at a time, also an earlier one.

    0 hours or less means the default of 4, null removes the expiry.
    """

    hours: Annotated[int, Meta(le=8760)] | Annotated[float, Meta(le=8760)] | UnsetType | None = (
        UNSET
    )
    expires_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET


class UpdateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change whether a workspace is started again after a reboot."""

    restart: bool


class ResizeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change the machine type of a stopped workspace; one field is given."""

    instance_type: Text | None = None
    size: Size | None = None


class ResizeAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a resize; rates in USD, null without a price."""

    name: str
    state: WorkspaceState
    previous_type: str
    instance_type: str
    hourly_rate: float | None
    notes: tuple[str, ...] = ()


class RollbackRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to replace the files of a workspace by those of a snapshot of it.

    With `of_another` the snapshot may be of another workspace, for who manages it.
    """

    snapshot: Text
    of_another: bool = False


class RollbackAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a rollback; `backup` is the snapshot of the files before it."""

    name: str
    previous_state: WorkspaceState
    new_state: WorkspaceState
    snapshot: str
    backup: str


class MoveRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for another project, and perhaps another pool, to pay from now on."""

    project: Text
    budget: Text | None = None


class MoveAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a move; `budget` names the pool that pays, null if none does."""

    name: str
    state: WorkspaceState
    previous_project: str | None
    project: str
    budget: str | None


class IdleSummary(Struct, frozen=True):
    """The idleness of a workspace; `verdict` is null until there is one."""

    profile: str | None
    idle_minutes: int | None = None
    verdict: str | None = None
    because: tuple[str, ...] = ()
    keep_awake_until: datetime | None = None
    note: str | None = None  # the part of its rule that the machine cannot carry out
    never_used: bool = False  # its machine has seen nobody do anything since it was ready


class LastRequest(Struct, frozen=True, kw_only=True):
    """The last request; `by` is a person's address or `prism`, and empty if that is not known.

    The machine may have changed its state by itself since, at its expiry or because it was idle.
    """

    verb: LifecycleVerb
    at: datetime
    by: str
    reason: str | None


class Instance(Struct, frozen=True, kw_only=True):
    """A workspace as lists in the API show it."""

    name: str
    id: str | None
    state: WorkspaceState
    public_ip: str | None
    private_ip: str | None
    instance_type: str
    region: str
    template: str
    launch_time: datetime
    hourly_rate: float | None
    current_spend: float | None
    hibernation_capable: bool
    attached_volumes: tuple[str, ...] = ()
    attached_ebs_volumes: tuple[str, ...] = ()
    tags: dict[str, str]
    profile: str
    launch_progress: int
    progress: int
    stage: str | None
    expires_at: datetime | None
    failure: WorkspaceFailure | None
    idle: IdleSummary
    price_source: str | None
    restart: bool = False
    restarting: bool = False
    rolling_back: bool = False
    owner: str = ""
    launched_by: str | None = None
    """Who launched it for its owner; null if not known, or since it was handed over."""
    last_request: LastRequest | None = None
    waiting: str | None = None
    """Why it makes no progress to the requested state, or why its state may be old."""
    unreachable: str | None = None
    """Why no daemon serves it, so that its state is only the last known one."""
    notes: tuple[str, ...] = ()
    """What its machine lacks while it runs, such as a limit of memory, and why."""
    machine: str
    """Its machine in words: the type; on this computer the limits that the type stands for."""
    full_name: str | UnsetType = UNSET
    """The name that means the same to everybody on a shared daemon, such as `mine--ada`."""
    workspace: str
    """Its permanent id, as events have it; requests take it in place of the name."""


class LaunchAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a launch; `instance_id` is null until a provider has given one."""

    name: str
    instance_id: str | None
    state: WorkspaceState
    estimated_ready_time: datetime
    hourly_rate: float | None
    launch_progress: int
    notes: tuple[str, ...] = ()
    failure: WorkspaceFailure | None = None
    workspace: str


class CapEstimate(Struct, frozen=True, kw_only=True):
    """What a launch would reserve and leave of one cap that it must fit, in USD."""

    cap: str
    reserves: float
    leaves: float


class LaunchEstimate(Struct, frozen=True, kw_only=True):
    """What a launch would do, with `dry_run`; money in USD, null without a price.

    `reserves` is the amount that would be reserved at once, and `leaves` what would be left, both
    of `budget`, the budget that would then have the least left; `caps` has the same for each cap
    that applies. `lasts_until` is when the workspace would have to sleep if everything continued
    to run. `ready_seconds` is the expected time of the launch; measured if `ready_measured`.
    `machine` has the type in words, or the limits that it stands for on this computer. `profile`
    and `region` say where it would be launched; `vcpus`, `memory_gib` and `gpus` are of its type,
    null if that is not in the catalog.
    """

    instance_type: str
    machine: str
    profile: str
    region: str
    vcpus: int | None
    memory_gib: int | None
    gpus: int | None
    image: str | None
    hourly: float | None
    daily: float | None
    monthly: float | None
    budget: str | None
    price_source: str | None
    disk_monthly: float | None
    address_monthly: float | None
    reserves: float | None
    leaves: float | None
    caps: tuple[CapEstimate, ...]
    lasts_until: datetime | None
    ready_seconds: int
    ready_measured: bool
    notes: tuple[str, ...]
    creates: tuple[str, ...]


class LifecycleAnswer(Struct, frozen=True, kw_only=True):
    """The answer to stop, start, hibernate and resume; the extra fields depend on the verb."""

    name: str
    previous_state: WorkspaceState
    new_state: WorkspaceState
    message: str | UnsetType = UNSET
    estimated_ready_time: datetime | UnsetType = UNSET
    hibernation_supported: bool | UnsetType = UNSET
    estimated_savings: str | UnsetType | None = UNSET


class TerminateAnswer(Struct, frozen=True):
    """The answer to terminate."""

    name: str
    state: WorkspaceState
    message: str


class HibernationStatus(Struct, frozen=True, kw_only=True):
    """Whether a workspace can hibernate, and since when; `resume_by` and `note` are its limits."""

    hibernation_supported: bool
    current_state: WorkspaceState
    hibernation_time: datetime | None
    estimated_savings: float | None
    hibernation_duration: str | None
    resume_by: datetime | None = None
    note: str | None = None


class SshAccess(Struct, frozen=True, kw_only=True):
    """How to reach a workspace by SSH; null if it has no SSH."""

    command: str | None
    host: str
    user: str
    port: int | None
    host_key: str | UnsetType = UNSET
    """Its public host key, if SSH also works through `stream` of the workspace, without a key."""


class ServiceAccess(Struct, frozen=True, kw_only=True):
    """How to reach one service; `url` is scheme, host and port only."""

    url: str
    local_forward: str | UnsetType | None = UNSET
    token: str | UnsetType = UNSET
    username: str | UnsetType = UNSET
    password: str | UnsetType = UNSET


class WorkspaceConnection(Struct, frozen=True, kw_only=True):
    """How to connect to a running workspace."""

    ssh: SshAccess
    services: dict[str, ServiceAccess]
