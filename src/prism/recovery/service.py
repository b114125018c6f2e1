"""Recovers machines without a row, each in one transaction; never waits for a provider.

A machine that is adopted, or to be destroyed, becomes a row; from then on the workspaces'
reconciler does for it what it does for every other.
"""

from contextlib import suppress
from datetime import datetime

from msgspec.structs import replace

from prism.errors import Problem
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.money import amount, rate
from prism.recovery import store
from prism.recovery.events import WorkspaceRecovered
from prism.recovery.generation import DECIDE, DatabaseGeneration
from prism.recovery.homes import HomeRegistry
from prism.recovery.model import (
    FoundMachine,
    Orphan,
    OrphanList,
    OrphanNotFound,
    OrphanReader,
    OrphanStorage,
    RecoverAnswer,
    RecoveredWorkspace,
    RecoverRequest,
    SkippedOrphan,
    TerminateOrphanRequest,
)
from prism.recovery.plan import cost_so_far, expiry_of, may_take, name_for, rebuilt
from prism.recovery.provenance import ProvenanceReader
from prism.workspaces import store as workspaces
from prism.workspaces.changes import WorkspaceChanges
from prism.workspaces.events import about
from prism.workspaces.model import ConfirmationRequired, LifecycleVerb, Workspace
from prism.workspaces.plan import ACTIVE, STEPS, state_of


class _RollBack(Exception):
    """Rolls back the transaction of a dry run."""


class RecoveryService:
    """The operator's requests about machines without a row."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        reader: OrphanReader,
        provenance: ProvenanceReader,
        actor: Who,
        *,
        changes: WorkspaceChanges,
        storage: OrphanStorage,
        generation: DatabaseGeneration,
        homes: HomeRegistry,
    ) -> None:
        self._db, self._clock, self._reader, self._provenance = db, clock, reader, provenance
        self._actor, self._changes = actor, changes
        self._storage, self._generation, self._homes = storage, generation, homes

    def orphans(self) -> OrphanList:
        """Every machine without a row, as of the last surveys."""
        orphans = [self._orphan_view(machine) for machine in self._reader.orphans()]
        return OrphanList(orphans, self._reader.locations(), self._storage.orphans())

    def adopt(self, id: str) -> RecoveredWorkspace:
        """Make a workspace from it."""
        return self._take(self._orphan(id), LifecycleVerb.LAUNCH)

    def terminate(self, id: str, end: TerminateOrphanRequest) -> RecoveredWorkspace:
        """Destroy it: it becomes a workspace that is terminated."""
        machine = self._orphan(id)
        if end.confirm != "DELETE":
            raise ConfirmationRequired(
                details='confirm: must be "DELETE"',
                remediation=f"Use `prism orphans terminate {id} --yes`",
                data={"fields": [{"field": "confirm", "why": 'must be "DELETE"'}]},
            )
        return self._take(machine, LifecycleVerb.TERMINATE)

    def recover(self, request: RecoverRequest) -> RecoverAnswer:
        """Make workspaces of your machines; those of other people are left, and named."""
        recovered, left, home = [], [], None
        if request.adopt_home is not None:
            home = self._homes.adopt(request.adopt_home, self._actor(), dry=request.dry_run)
        for machine in self._reader.orphans():
            if why := may_take(machine, self._actor(), everybody=request.everybody):
                left.append(SkippedOrphan(machine.id, machine.name or None, why))
                continue
            try:
                recovered.append(self._take(machine, LifecycleVerb.LAUNCH, dry=request.dry_run))
            except Problem as problem:  # one that cannot be rebuilt is no reason to leave the rest
                left.append(SkippedOrphan(machine.id, machine.name or None, problem.message))
        # after the machines: they are attached to them
        stored, remaining = self._storage.recover(everybody=request.everybody, dry=request.dry_run)
        left.extend(remaining)
        return RecoverAnswer(
            dry_run=request.dry_run,
            database=self._database_notice(request),
            home=home,
            recovered=recovered,
            storage=stored,
            left=left,
            places=self._reader.locations(),
        )

    def _database_notice(self, request: RecoverRequest) -> str | None:
        """The message about a database that is behind the machines; accepts it if requested."""
        if (behind := self._generation.behind) is None:
            return None
        if not request.dry_run and (request.accept or behind.why == "new"):
            self._generation.accept(self._actor())
            return f"{behind.words}. Prism now continues with this database"
        return f"{behind.words}. {DECIDE}"

    def _orphan(self, id: str) -> FoundMachine:
        for machine in self._reader.orphans():
            if machine.id == id:
                return machine
        raise OrphanNotFound(
            f"There is no orphan with the id {id!r}",
            details="the list is from the last survey of each location",
            remediation="Use `prism orphans` to see them",
        )

    def _take(
        self, machine: FoundMachine, verb: LifecycleVerb, *, dry: bool = False
    ) -> RecoveredWorkspace:
        notes: list[str] = []
        with suppress(_RollBack), self._db.write() as tx:
            if known := workspaces.by_ids(tx.sql, [machine.key]):  # somebody was faster
                workspace = known[0]
            else:
                workspace = self._write(tx, machine, verb, notes)
            if dry:
                raise _RollBack
        return RecoveredWorkspace(
            name=workspace.name,
            instance_id=machine.id,
            state=state_of(workspace),
            owner=workspace.owner,
            place=machine.location,
            notes=tuple(notes),
        )

    def _write(
        self, tx: Tx, machine: FoundMachine, verb: LifecycleVerb, notes: list[str]
    ) -> Workspace:
        """The rebuilt row; adds what could not be rebuilt to `notes`."""
        now = self._clock.now()
        origin = self._provenance.of(tx, machine, notes)
        if not machine.owner:
            machine = replace(machine, owner=self._actor())
            notes.append("it had no owner, so it is yours")
        name = name_for(machine, store.names(tx.sql, machine.owner))
        if name != machine.name:
            notes.append(f"it was called {machine.name!r}" if machine.name else "it had no name")
        if note := expiry_of(machine)[1]:
            notes.append(note)
        workspace = rebuilt(machine, name, origin, verb, now)
        since = machine.started_at or now, machine.started_at is not None
        workspace = self._changes.apply(tx, None, workspace, since=since)
        until = self._admit(tx, workspace, now, notes)
        event = WorkspaceRecovered(
            **about(workspace),
            actor=self._actor(),
            machine=machine.id,
            place=machine.location,
            verb=verb,
            state=state_of(workspace),
            notes=tuple(notes),
        )
        funded = replace(workspace, reserved_until=until)
        return self._changes.apply(tx, workspace, funded, lambda _: event)

    def _admit(
        self, tx: Tx, workspace: Workspace, now: datetime, notes: list[str]
    ) -> datetime | None:
        """Reserve money; an existing machine is recovered even if there is none left."""
        if state_of(workspace) not in ACTIVE:
            return workspace.reserved_until
        try:
            with self._db.write():  # what a refusal has begun is undone alone
                return self._changes.admitted(tx, workspace)
        except Problem as problem:
            notes.append(f"it goes to sleep at once: {problem.message}")
            return now

    def _orphan_view(self, machine: FoundMachine) -> Orphan:
        now, (hourly, source) = self._clock.now(), self._provenance.price(machine)
        launched = machine.launched_at or machine.started_at
        cost = cost_so_far(machine, hourly, now)
        return Orphan(
            id=machine.id,
            name=machine.name or None,
            place=machine.location,
            state=STEPS["kept", machine.observed].state,
            owner=machine.owner or None,
            project=machine.project,
            template=machine.template or None,
            instance_type=machine.instance_type,
            launched_at=launched and whole(launched),
            age_seconds=None if launched is None else int((now - launched).total_seconds()),
            running_since=machine.started_at and whole(machine.started_at),
            hourly_rate=None if hourly is None else rate(hourly),
            price_source=source,
            cost_so_far=None if cost is None else amount(cost),
            goes_down_at=machine.stops_at,
            key_here=machine.at_home,
        )
