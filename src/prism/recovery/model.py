"""The structs of orphans, and the requests and answers about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from prism.errors import NotFound
from prism.templates.model import Template
from prism.workspaces.model import Observed, WorkspaceState


class OrphanNotFound(NotFound, code="ORPHAN_NOT_FOUND"):
    """There is no orphan with that id."""


class FoundMachine(Struct, frozen=True, kw_only=True):
    """A machine, from its own metadata.

    `resolved_template` is the template that it was made of, if known in full; `started_at` is
    since when it is on, `charged` whether it costs money although it is off; `at_home` whether
    this home has its key. `ends_at` is the expiry at its launch, `stops_at` when it will stop by
    itself. `twin_of` is the name of the workspace whose tags it has, if another machine is that
    workspace's. The caller fills in `location`.
    """

    id: str
    key: str
    observed: Observed
    charged: bool = False
    location: str = ""
    name: str = ""
    owner: str = ""
    profile: str = ""
    template: str = ""
    resolved_template: Template | None = None
    parameters: dict[str, Any] = {}
    instance_type: str | None = None
    spot: bool = False
    unlimited: bool = False
    root_gb: int | None = None
    root_type: str | None = None
    hibernation: bool = False
    project: str | None = None
    budget: str | None = None
    idle_profile: str | None = None
    launched_at: datetime | None = None
    started_at: datetime | None = None
    ends_at: datetime | None = None
    stops_at: datetime | None = None
    at_home: bool = False
    twin_of: str | None = None


class SurveyedLocation(Struct, frozen=True):
    """A place, when it was last surveyed, and why it did not answer."""

    place: str
    looked_at: datetime | None = None
    problem: str | None = None


class OrphanReader(Protocol):
    """Lists the orphans of the last surveys."""

    def orphans(self) -> Sequence[FoundMachine]:
        """The machines that have no row now."""

    def locations(self) -> Sequence[SurveyedLocation]:
        """The surveyed locations, and their results."""


class Orphan(Struct, frozen=True, kw_only=True):
    """A machine without a row, for the API; money is in USD, null if unknown.

    `cost_so_far` is its cost since its last start, at the present rate.
    """

    id: str
    name: str | None
    place: str
    state: WorkspaceState
    owner: str | None
    project: str | None
    template: str | None
    instance_type: str | None
    launched_at: datetime | None
    age_seconds: int | None
    running_since: datetime | None
    hourly_rate: float | None
    price_source: str | None
    cost_so_far: float | None
    goes_down_at: datetime | None
    key_here: bool


class StorageOrphan(Struct, frozen=True, kw_only=True):
    """A volume or snapshot without a row; money in USD a month, null if unknown.

    `removed_by` is the command that removes it, if that is the only choice: it was made twice
    for one request, or it is somebody's copy with the same tags.
    """

    kind: str
    id: str
    name: str | None
    place: str
    owner: str | None
    project: str | None
    size_gb: int | None
    used_gb: float | None
    created_at: datetime | None
    age_seconds: int | None
    monthly_cost: float | None
    removed_by: str | None = None


class OrphanList(Struct, frozen=True):
    """All orphans of the surveyed places."""

    orphans: Sequence[Orphan]
    places: Sequence[SurveyedLocation]
    storage: Sequence[StorageOrphan] = ()


class RecoverRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to recover the machines that are ours, or with `everybody` all of them.

    `accept` continues with a database that is older than the machines. `adopt_home` is the
    location of a home that no daemon serves, whose rows then belong to this daemon's home.
    """

    dry_run: bool = False
    everybody: bool = False
    accept: bool = False
    adopt_home: Annotated[str, Meta(min_length=1, max_length=5000)] | None = None


class RecoveredWorkspace(Struct, frozen=True, kw_only=True):
    """A machine that is a workspace again; `notes` say what could not be restored."""

    name: str
    instance_id: str
    state: WorkspaceState
    owner: str
    place: str
    notes: tuple[str, ...] = ()


class SkippedOrphan(Struct, frozen=True):
    """A machine that was left alone, and why."""

    id: str
    name: str | None
    why: str


class RecoveredStorage(Struct, frozen=True, kw_only=True):
    """A volume or snapshot that has a row again; `notes` say what could not be restored."""

    kind: str
    name: str
    id: str
    owner: str
    place: str
    notes: tuple[str, ...] = ()


class OrphanStorage(Protocol):
    """Lists the volumes and snapshots without a row, and recovers them."""

    def orphans(self) -> Sequence[StorageOrphan]:
        """The orphans of the last surveys."""

    def recover(
        self, *, everybody: bool, dry: bool
    ) -> tuple[Sequence[RecoveredStorage], Sequence[SkippedOrphan]]:
        """Recover what is ours; also returns what was left."""


class RecoverAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a recovery; `database` says how the database is behind, if it is.

    `home` says what of another home belongs to this one, if that was requested.
    """

    dry_run: bool
    database: str | None = None
    home: str | None = None
    recovered: Sequence[RecoveredWorkspace]
    storage: Sequence[RecoveredStorage] = ()
    left: Sequence[SkippedOrphan]
    places: Sequence[SurveyedLocation]


class TerminateOrphanRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to destroy an orphan."""

    confirm: str = ""
