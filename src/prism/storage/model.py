"""Volumes and snapshots, and requests and answers about them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, Protocol, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.access.model import PermissionDenied
from prism.errors import AlreadyExists, Conflict, InUse, InvalidState, NotFound
from prism.kit.generations import Attempts, Generations
from prism.kit.money import Micros
from prism.kit.transaction import Rows, Tx

DiskType = Literal["gp3", "gp2", "io2", "st1"]
Period = Literal["daily", "weekly", "monthly"]
RESERVED = frozenset({"create"})  # a route has this name


class VolumeNotFound(NotFound, code="VOLUME_NOT_FOUND"):
    """There is no volume with that name."""


class SnapshotNotFound(NotFound, code="SNAPSHOT_NOT_FOUND"):
    """There is no snapshot with that name."""


class VolumeExists(AlreadyExists):
    """A volume of that name already exists."""


class SnapshotExists(AlreadyExists):
    """A snapshot of that name already exists."""


class VolumeInUse(InUse):
    """The volume is attached, or being copied."""


class SnapshotInUse(InUse):
    """A volume is being made from the snapshot."""


class BeingCopied(InUse):
    """A snapshot of the workspace's disk is under way."""


class VolumeElsewhere(Conflict, code="VOLUME_ELSEWHERE"):
    """The volume and the workspace are not in the same location."""


class VolumeOfAnotherProject(PermissionDenied):
    """The volume belongs to another project, whose storage the caller may not manage."""


class NoSnapshots(Conflict, code="NO_SNAPSHOTS"):
    """The provider cannot take snapshots of this kind of volume."""


class NoVerification(Conflict, code="NO_VERIFICATION"):
    """The provider cannot verify snapshots."""


class NoRollback(Conflict, code="NO_ROLLBACK"):
    """The provider cannot replace the files of a workspace by those of a snapshot."""


class NameOfWorkspace(Conflict, code="NAME_OF_WORKSPACE"):
    """The name of a new volume is that of a workspace."""


class StorageState(InvalidState):
    """The volume or snapshot is not in a state that allows this."""


class VolumeKind(StrEnum):
    """The kind of a volume."""

    EBS = "ebs"  # one workspace at a time
    EFS = "efs"  # shared by several


class StorageVerb(StrEnum):
    """The last request."""

    MAKE = "make"
    DELETE = "delete"


class StorageObserved(StrEnum):
    """The state of a volume or snapshot, as last observed."""

    NONE = "none"  # there never was one
    UNSURE = "unsure"  # requested; the provider has neither confirmed nor listed it yet
    MAKING = "making"
    THERE = "there"
    DELETING = "deleting"
    BROKEN = "broken"  # creating it failed; nothing of it exists
    GONE = "gone"  # it existed, and does not exist any more


class VolumeState(StrEnum):
    """A volume's state in the API."""

    CREATING = "creating"
    AVAILABLE = "available"
    ATTACHING = "attaching"
    IN_USE = "in-use"
    DETACHING = "detaching"
    DELETING = "deleting"
    DELETED = "deleted"
    ERROR = "error"


class SnapshotState(StrEnum):
    """A snapshot's state in the API."""

    PENDING = "pending"
    COMPLETED = "completed"
    DELETING = "deleting"
    DELETED = "deleted"
    ERROR = "error"


class StorageFailure(Struct, frozen=True):
    """Why a request was not fulfilled; `message` also says what to do."""

    code: str
    message: str


class Volume(Generations, Struct, frozen=True, kw_only=True):
    """A volume: its spec, the last request, and the observed state."""

    id: str
    name: str
    kind: VolumeKind
    owner: str
    location: str
    project: str | None = None  # its id
    size_gb: int | None = None  # an efs volume grows by itself
    volume_type: DiskType | None = None
    iops: int | None = None
    throughput: int | None = None
    gb_month: Micros | None = None  # null if the price is unknown
    performance_month: Micros | None = None  # of all its provisioned IOPS and throughput
    notes: tuple[str, ...] = ()
    from_snapshot: str | None = None  # the snapshot's row
    expected_id: str | None = None
    created_at: datetime
    # written by requests
    verb: StorageVerb = StorageVerb.MAKE
    generation: int = 1
    # written by the reconciler
    observed: StorageObserved = StorageObserved.NONE
    observed_generation: int = 0
    provider_called_at: datetime | None = None
    disk_id: str | None = None
    zone: str | None = None  # the zone that its workspaces must be in
    used_bytes: int | None = None
    trouble: StorageFailure | None = None


class Attachment(Struct, frozen=True, kw_only=True):
    """A volume of a workspace: requests write `wanted`, the reconciler writes `attached`.

    If a machine without a workspace here has the volume, `workspace` is the machine's id.
    """

    volume: str
    workspace: str  # its permanent id
    name: str  # the workspace's name
    wanted: bool = True
    attached: bool = False
    machine: str | None = None  # the id of the machine that has or may have it


class SnapshotOrigin(Struct, frozen=True, kw_only=True):
    """Where a snapshot is fetched from, instead of being taken here."""

    destination: str
    remote_id: str
    profile: str | None = None  # for S3


class Snapshot(Attempts, Struct, frozen=True, kw_only=True):
    """A copy of a volume, or of a workspace's root disk."""

    id: str
    name: str
    owner: str
    location: str
    project: str | None = None
    source: Literal["volume", "workspace"]
    source_id: str  # the permanent id of its source
    source_name: str
    kind: VolumeKind  # the kind of a volume that is restored from it
    size_gb: int | None
    volume_type: DiskType | None
    iops: int | None = None
    throughput: int | None = None
    gb_month: Micros | None = None
    holds: bool = False  # whether its workspace is destroyed only once it is complete
    origin: SnapshotOrigin | None = None  # null if it was taken here
    created_at: datetime
    # written by requests
    verb: StorageVerb = StorageVerb.MAKE
    generation: int = 1
    verify_every: Period | None = None
    verify_generation: int = 0  # the number of requested verifications
    # written by the reconciler
    observed: StorageObserved = StorageObserved.NONE
    observed_generation: int = 0
    attempted_generation: int = 0
    one_moment: bool | None = None  # null if unknown
    verified_generation: int = 0  # the last `verify_generation` that was fulfilled
    verified_at: datetime | None = None
    verify_trouble: StorageFailure | None = None  # of the last verification
    provider_called_at: datetime | None = None
    copy_id: str | None = None
    progress: int | None = None
    used_bytes: int | None = None
    trouble: StorageFailure | None = None


VolumeOrSnapshot = TypeVar("VolumeOrSnapshot", Volume, Snapshot)


class AttachmentHost(Struct, frozen=True, kw_only=True):
    """What storage needs to know about a workspace."""

    id: str
    name: str
    location: str
    machine: str | None  # the id of its machine, once one is known
    quiet: bool  # no process in it writes now
    up: bool = False  # it is on and can be asked
    ended: bool  # it was, or is being, destroyed
    project: str | None = None
    owner: str = ""
    root_gb: int = 8
    root_type: DiskType = "gp3"


class AttachmentHostReader(Protocol):
    """Finds workspaces, in the given transaction."""

    def named(self, sql: Rows, name: str) -> AttachmentHost:
        """The workspace with that name or instance id; raises a `Problem` if there is none."""

    def of(self, sql: Rows, ids: Collection[str]) -> Mapping[str, AttachmentHost]:
        """The workspaces with these ids that are still listed, by id."""

    def on(self, sql: Rows, machines: Collection[str]) -> Mapping[str, AttachmentHost]:
        """The workspaces on these machines, by machine."""


class AttachmentHostStopper(Protocol):
    """Stops workspaces, in the given transaction."""

    def stop_by_id(self, tx: Tx, id: str, reason: str) -> None:
        """Request a stop if the workspace runs or is coming up."""


class StorageOffer(Protocol):
    """What a provider offers, known without a call to the cloud."""

    location: str

    def notes(self, kind: VolumeKind, size_gb: int | None) -> tuple[str, ...]:
        """Notes on what will differ from the request."""

    def gb_month(self, kind: str) -> Micros | None:
        """The monthly price of a GB of `gp3`, `efs` or `snapshot`; None if it is unknown."""

    def performance_month(
        self, kind: str | None, iops: int | None, throughput: int | None
    ) -> Micros | None:
        """The monthly price of a volume's provisioned performance; None if it is unknown."""

    def expected_id(self, key: str, kind: VolumeKind) -> str | None:
        """The id that the volume with this key will get, if it can be known in advance."""

    def no_copies(self, kind: VolumeKind) -> str | None:
        """Why such a volume cannot have snapshots; None if it can."""

    def no_verification(self) -> str | None:
        """Why snapshots cannot be verified here; None if they can."""

    def no_rollback(self) -> str | None:
        """Why the files of a workspace cannot become those of a snapshot; None if they can."""

    def no_copies_elsewhere(self) -> str | None:
        """Why snapshots cannot be copied to other disks and computers; None if they can."""


class StorageChangeListener(Protocol):
    """Follows changes of storage, to record costs; called inside the transaction."""

    def changed(
        self,
        tx: Tx,
        before: Volume | Snapshot | None,
        after: Volume | Snapshot | None,
        at: datetime,
    ) -> None:
        """A change at `at`: `before` is null for a new one, `after` for a removed one."""


class StorageGuard(Protocol):
    """May refuse a new volume or snapshot, inside the transaction."""

    def allow(
        self, tx: Tx, resource: Volume | Snapshot, *, backup: bool, budget: str | None = None
    ) -> None:
        """Raise a `Problem` to refuse; a backup before a workspace's end is never refused.

        `budget` names the pool that pays, if the request says so.
        """


class AttachedVolumes(NamedTuple):
    """The names of a workspace's volumes, by kind."""

    efs: tuple[str, ...] = ()
    ebs: tuple[str, ...] = ()


Name = Annotated[
    str,
    Meta(
        pattern=r"^(?!(?:vol|fs|snap)-[0-9a-f]{8,17}$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)",
        description="1-64 letters, digits, `.`, `_` and `-`; the first a letter or digit; "
        "not shaped like an id",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class SnapshotSource(Struct, frozen=True, kw_only=True):
    """What a snapshot was taken of, as the destination of a copy tells it."""

    source: Literal["volume", "workspace"]
    source_id: Text
    source_name: Text
    kind: VolumeKind
    size_gb: Annotated[int, Meta(ge=1, le=65536)] | None = None
    volume_type: DiskType | None = None
    iops: Annotated[int, Meta(ge=1)] | None = None
    throughput: Annotated[int, Meta(ge=1)] | None = None
    taken_at: Annotated[datetime, Meta(tz=True)]


class NewVolume(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a new volume; an efs volume has neither size nor type."""

    type: VolumeKind
    name: Name
    size_gb: Annotated[int, Meta(ge=1, le=65536)] | None = None
    volume_type: DiskType | None = None
    iops: Annotated[int, Meta(ge=1)] | None = None
    throughput: Annotated[int, Meta(ge=1)] | None = None
    project: Text | None = None
    budget: Text | None = None


class AttachRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to attach a volume to a workspace."""

    instance: Text


class DetachRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to detach a volume, from all workspaces unless `instance` names one.

    `force` also stops the workspaces that run, because their programs may have files of it open.
    """

    instance: Text | None = None
    force: bool = False


class NewSnapshot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a snapshot, of a volume or of a workspace's root disk."""

    name: Name
    volume: Text | None = None
    instance: Text | None = None
    verify: Period | None = None


class VerifyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to verify a snapshot now; `every` also changes how often Prism does it."""

    every: Period | Literal["never"] | None = None


class RestoreRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a new volume from a snapshot."""

    name: Name


class EfsVolume(Struct, frozen=True, kw_only=True):
    """A shared volume as lists in the API show it; `size_gb` is the used space."""

    name: str
    filesystem_id: str | None
    state: VolumeState
    size_gb: float | None
    creation_time: datetime
    monthly_cost: float | None
    attached_instances: tuple[str, ...]
    project: str | None
    from_snapshot: str | None
    failure: StorageFailure | None
    notes: tuple[str, ...]
    unreachable: str | None = None
    """Why no daemon serves it, so that its state is only the last known one."""
    waiting: str | None = None
    """Why the last request for it is not carried out yet; null if nothing holds it up."""
    full_name: str | UnsetType = UNSET
    """The name that means the same to everybody on a shared daemon, such as `data--ada`."""


class EbsVolume(Struct, frozen=True, kw_only=True):
    """A volume for one workspace at a time, which must be in `zone`; null for any zone."""

    name: str
    volume_id: str | None
    state: VolumeState
    size_gb: int
    volume_type: DiskType
    attached_instance: str | None
    monthly_cost: float | None
    iops: int | None
    throughput: int | None
    used_gb: float | None
    zone: str | None
    creation_time: datetime
    project: str | None
    from_snapshot: str | None
    failure: StorageFailure | None
    notes: tuple[str, ...]
    unreachable: str | None = None
    """Why no daemon serves it, so that its state is only the last known one."""
    waiting: str | None = None
    """Why the last request for it is not carried out yet; null if nothing holds it up."""
    full_name: str | UnsetType = UNSET
    """The name that means the same to everybody on a shared daemon, such as `data--ada`."""


class VolumeList(Struct, frozen=True):
    """Every volume."""

    efs_volumes: tuple[EfsVolume, ...]
    ebs_volumes: tuple[EbsVolume, ...]


class SnapshotItem(Struct, frozen=True, kw_only=True):
    """A snapshot in the API; `source` is the volume or workspace that was copied.

    `one_moment` is null if unknown; `verification` is null if none was requested. `fetched_from`
    is the destination from which it was fetched; null if it was taken here.
    """

    name: str
    snapshot_id: str | None
    state: SnapshotState
    progress: int | None
    source_type: Literal["volume", "workspace"]
    source: str
    size_gb: int | None
    used_gb: float | None
    creation_time: datetime
    monthly_cost: float | None
    project: str | None
    failure: StorageFailure | None
    one_moment: bool | None
    verify: Period | None
    verification: Literal["pending", "passed", "failed"] | None
    verified_at: datetime | None
    verification_failure: StorageFailure | None
    fetched_from: str | None = None
    unreachable: str | None = None
    """Why no daemon serves it, so that its state is only the last known one."""
    waiting: str | None = None
    """Why the last request for it is not carried out yet; null if nothing holds it up."""
    full_name: str | UnsetType = UNSET
    """The name that means the same to everybody on a shared daemon, such as `data--ada`."""


class DeletedStorage(Struct, frozen=True):
    """The answer to a deletion."""

    message: str
