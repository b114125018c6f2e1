"""Taking back what has no row: each one transaction; nothing here waits for a provider.

A machine that is adopted, or to be destroyed, becomes a row; from then on the workspaces'
reconciler does for it what it does for every other.
"""

from contextlib import suppress
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from prism.errors import Problem
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.money import amount, rate
from prism.recovery import store
from prism.recovery.events import WorkspaceRecovered
from prism.recovery.generation import DECIDE, Generation
from prism.recovery.model import (
    Adopted,
    End,
    FoundMachine,
    Left,
    Orphan,
    OrphanNotFound,
    OrphanReader,
    Orphans,
    OrphanStorage,
    Recovered,
    Recovery,
)
from prism.recovery.plan import cost_so_far, end_of, may_take, name_for, rebuilt
from prism.recovery.provenance import ProvenanceReader
from prism.workspaces import store as workspaces
from prism.workspaces.changes import WorkspaceChanges
from prism.workspaces.events import about
from prism.workspaces.model import ConfirmationRequired, LifecycleVerb, Workspace
from prism.workspaces.plan import ACTIVE, STEPS, state_of


class _Undone(Exception):
    """What was written was only tried."""


class Loss(Struct, frozen=True):
    """A row, and what of it could not be rebuilt."""

    workspace: Workspace
    notes: tuple[str, ...]


class RecoveryService:
    """What the operator may ask about machines that nobody here knows."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sight: OrphanReader,
        origins: ProvenanceReader,
        actor: Who,
        *,
        changes: WorkspaceChanges,
        storage: OrphanStorage,
        generation: Generation,
    ) -> None:
        self._db, self._clock, self._sight, self._origins = db, clock, sight, origins
        self._who, self._changes = actor, changes
        self._storage, self._generation = storage, generation

    def orphans(self) -> Orphans:
        """Every machine without a row, as the last looks have shown it."""
        shown = [self._shown(machine) for machine in self._sight.orphans()]
        return Orphans(shown, self._sight.places(), self._storage.orphans())

    def adopt(self, id: str) -> Adopted:
        """Make a workspace of it."""
        return self._take(self._named(id), LifecycleVerb.LAUNCH)

    def terminate(self, id: str, end: End) -> Adopted:
        """Destroy it: it becomes a workspace that is terminated."""
        machine = self._named(id)
        if end.confirm != "DELETE":
            raise ConfirmationRequired(
                details='confirm: must be "DELETE"',
                remediation=f"Use `prism orphans terminate {id} --yes`",
                data={"fields": [{"field": "confirm", "why": 'must be "DELETE"'}]},
            )
        return self._take(machine, LifecycleVerb.TERMINATE)

    def recover(self, asked: Recovery) -> Recovered:
        """Make workspaces of all that is ours; what is somebody else's is left and said."""
        recovered, left = [], []
        for machine in self._sight.orphans():
            if why := may_take(machine, self._who(), everybody=asked.everybody):
                left.append(Left(machine.id, machine.name or None, why))
                continue
            try:
                recovered.append(self._take(machine, LifecycleVerb.LAUNCH, dry=asked.dry_run))
            except Problem as no:  # one that cannot be rebuilt is no reason to leave the rest
                left.append(Left(machine.id, machine.name or None, no.message))
        # after the machines: they are attached to them
        stored, others = self._storage.recover(everybody=asked.everybody, dry=asked.dry_run)
        left.extend(others)
        return Recovered(
            dry_run=asked.dry_run,
            database=self._decided(asked),
            recovered=recovered,
            storage=stored,
            left=left,
            places=self._sight.places(),
        )

    def _decided(self, asked: Recovery) -> str | None:
        """What is said of a database that is behind the world; accepted, if so asked."""
        if (behind := self._generation.behind) is None:
            return None
        if not asked.dry_run and (asked.accept or behind.why == "new"):
            self._generation.accept(self._who())
            return f"{behind.words}; it is accepted"
        return f"{behind.words}. {DECIDE}"

    def _named(self, id: str) -> FoundMachine:
        for machine in self._sight.orphans():
            if machine.id == id:
                return machine
        raise OrphanNotFound(
            f"There is no orphan with the id {id!r}",
            details="Prism knows what a location had when it last listed it",
            remediation="Use `prism orphans` to see them",
        )

    def _take(self, machine: FoundMachine, verb: LifecycleVerb, *, dry: bool = False) -> Adopted:
        with suppress(_Undone), self._db.write() as tx:
            if known := workspaces.by_ids(tx.sql, [machine.key]):  # somebody was faster
                taken = Loss(known[0], ())
            else:
                taken = self._write(tx, machine, verb)
            if dry:
                raise _Undone
        return _adopted(taken.workspace, machine, taken.notes)

    def _write(self, tx: Tx, machine: FoundMachine, verb: LifecycleVerb) -> Loss:
        now = self._clock.now()
        origin, notes = self._origins.of(tx, machine)
        if not machine.owner:
            machine, notes = (
                replace(machine, owner=self._who()),
                (*notes, "it is yours: it names no owner"),
            )
        name = name_for(machine, store.names(tx.sql))
        if name != machine.name:
            notes = (
                *notes,
                f"it was called {machine.name!r}" if machine.name else "it had no name",
            )
        notes = (*notes, *filter(None, [end_of(machine)[1]]))
        workspace = rebuilt(machine, name, origin, verb, now)
        since = machine.started_at or now, machine.started_at is not None
        workspace = self._changes.apply(tx, None, workspace, since=since)
        until, more = self._allowed(tx, workspace, now)
        notes = (*notes, *more)
        event = WorkspaceRecovered(
            **about(workspace),
            actor=self._who(),
            machine=machine.id,
            place=machine.place,
            verb=verb,
            state=state_of(workspace),
            notes=notes,
        )
        funded = replace(workspace, reserved_until=until)
        return Loss(self._changes.apply(tx, workspace, funded, lambda _: event), notes)

    def _allowed(
        self, tx: Tx, workspace: Workspace, now: datetime
    ) -> tuple[datetime | None, tuple[str, ...]]:
        """Set money aside; a machine that is there is taken back even where none is left."""
        if state_of(workspace) not in ACTIVE:
            return workspace.reserved_until, ()
        try:
            with self._db.write():  # what a refusal has begun is undone alone
                return self._changes.admitted(tx, workspace), ()
        except Problem as no:
            return now, (f"it goes to sleep at once: {no.message}",)

    def _shown(self, machine: FoundMachine) -> Orphan:
        now, (hourly, source) = self._clock.now(), self._origins.price(machine)
        launched = machine.launched_at or machine.started_at
        cost = cost_so_far(machine, hourly, now)
        return Orphan(
            id=machine.id,
            name=machine.name or None,
            place=machine.place,
            state=STEPS["kept", machine.seen].state,
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
            goes_down_at=machine.told_until,
            key_here=machine.at_home,
        )


def _adopted(workspace: Workspace, machine: FoundMachine, notes: tuple[str, ...]) -> Adopted:
    return Adopted(
        name=workspace.name,
        instance_id=machine.id,
        state=state_of(workspace),
        owner=workspace.owner,
        place=machine.place,
        notes=notes,
    )
