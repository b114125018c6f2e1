"""Taking back what has no row: each one transaction; nothing here waits for a provider.

A machine that is adopted, or to be destroyed, becomes a row; from then on the workspaces'
reconciler does for it what it does for every other.
"""

from collections.abc import Sequence
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
    Found,
    Left,
    Orphan,
    OrphanNotFound,
    Orphans,
    Recovered,
    Recovery,
    Sight,
    Storage,
    StorageTaken,
)
from prism.recovery.origins import Origins
from prism.recovery.plan import cost_so_far, end_of, may_take, name_for, rebuilt
from prism.workspaces import store as workspaces
from prism.workspaces.events import about
from prism.workspaces.model import ConfirmationRequired, Verb, Workspace
from prism.workspaces.plan import ACTIVE, STEPS, state_of
from prism.workspaces.upstairs import LaunchGuard, Meter


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
        sight: Sight,
        origins: Origins,
        actor: Who,
        *,
        guards: Sequence[LaunchGuard] = (),
        meters: Sequence[Meter] = (),
        storage: Storage | None = None,
        generation: Generation | None = None,
    ) -> None:
        self._db, self._clock, self._sight, self._origins = db, clock, sight, origins
        self._who, self._guards, self._meters = actor, guards, meters
        self._storage, self._generation = storage, generation

    def orphans(self) -> Orphans:
        """Every machine without a row, as the last looks have shown it."""
        shown = [self._shown(it) for it in self._sight.strays()]
        kept = self._storage.orphans() if self._storage else ()
        return Orphans(shown, self._sight.places(), kept)

    def adopt(self, id: str) -> Adopted:
        """Make a workspace of it."""
        return self._take(self._named(id), Verb.LAUNCH)

    def terminate(self, id: str, end: End) -> Adopted:
        """Have it destroyed: it becomes a workspace that is to be terminated."""
        it = self._named(id)
        if end.confirm != "DELETE":
            raise ConfirmationRequired(
                details='confirm: must be "DELETE"',
                remediation=f"Use `prism orphans terminate {id} --yes`",
                data={"fields": [{"field": "confirm", "why": 'must be "DELETE"'}]},
            )
        return self._take(it, Verb.TERMINATE)

    def recover(self, asked: Recovery) -> Recovered:
        """Make workspaces of all that is ours; what is somebody else's is left and said."""
        recovered, left = [], []
        for it in self._sight.strays():
            if why := may_take(it, self._who(), everybody=asked.everybody):
                left.append(Left(it.id, it.name or None, why))
                continue
            try:
                recovered.append(self._take(it, Verb.LAUNCH, dry=asked.dry_run))
            except Problem as no:  # one that cannot be rebuilt is no reason to leave the rest
                left.append(Left(it.id, it.name or None, no.message))
        stored: Sequence[StorageTaken] = ()
        if self._storage:  # after the machines: they are attached to them
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
        if self._generation is None or (behind := self._generation.behind) is None:
            return None
        if not asked.dry_run and (asked.accept or behind.why == "new"):
            self._generation.accept(self._who())
            return f"{behind.words}; it is accepted"
        return f"{behind.words}. {DECIDE}"

    def _named(self, id: str) -> Found:
        for it in self._sight.strays():
            if it.id == id:
                return it
        raise OrphanNotFound(
            f"There is no orphan with the id {id!r}",
            details="what a place has is known since it was last looked at",
            remediation="Use `prism orphans` to see those there are",
        )

    def _take(self, it: Found, verb: Verb, *, dry: bool = False) -> Adopted:
        with suppress(_Undone), self._db.write() as tx:
            if known := workspaces.by_ids(tx.sql, [it.key]):  # somebody was faster
                taken = Loss(known[0], ())
            else:
                taken = self._write(tx, it, verb)
            if dry:
                raise _Undone
        return _adopted(taken.workspace, it, taken.notes)

    def _write(self, tx: Tx, it: Found, verb: Verb) -> Loss:
        now = self._clock.now()
        origin, notes = self._origins.of(tx, it)
        if not it.owner:
            it, notes = replace(it, owner=self._who()), (*notes, "it is yours: it names no owner")
        name = name_for(it, store.names(tx.sql))
        if name != it.name:
            notes = (*notes, f"it was called {it.name!r}" if it.name else "it had no name")
        notes = (*notes, *filter(None, [end_of(it)[1]]))
        workspace = rebuilt(it, name, origin, verb, now)
        workspaces.add(tx, workspace, due_at=now)
        since = it.started_at or now
        for meter in self._meters:
            meter.changed(tx, None, workspace, since, sure=it.started_at is not None)
        notes = (*notes, *self._allowed(tx, workspace, now))
        tx.happened(
            WorkspaceRecovered(
                **about(workspace),
                actor=self._who(),
                machine=it.id,
                place=it.place,
                verb=verb,
                state=state_of(workspace),
                notes=notes,
            )
        )
        return Loss(workspaces.by_id(tx.sql, workspace.id), notes)

    def _allowed(self, tx: Tx, workspace: Workspace, now: datetime) -> tuple[str, ...]:
        """Set money aside; a machine that is there is taken back even where none is left."""
        if state_of(workspace) not in ACTIVE:
            return ()
        notes: list[str] = []
        allowed = []
        for guard in self._guards:
            try:
                with self._db.write():  # what a refusal has begun is undone alone
                    allowed.append(guard.allow(tx, workspace))
            except Problem as no:
                allowed.append(now)
                notes.append(f"it goes to sleep at once: {no.message}")
        until = min((at for at in allowed if at is not None), default=None)
        workspaces.reserve(tx, workspace.id, until, now)
        return tuple(notes)

    def _shown(self, it: Found) -> Orphan:
        now, (hourly, source) = self._clock.now(), self._origins.price(it)
        launched = it.launched_at or it.started_at
        cost = cost_so_far(it, hourly, now)
        return Orphan(
            id=it.id,
            name=it.name or None,
            place=it.place,
            state=STEPS["kept", it.seen].state,
            owner=it.owner or None,
            project=it.project,
            template=it.template or None,
            instance_type=it.instance_type,
            launched_at=launched and whole(launched),
            age_seconds=None if launched is None else int((now - launched).total_seconds()),
            running_since=it.started_at and whole(it.started_at),
            hourly_rate=None if hourly is None else rate(hourly),
            price_source=source,
            cost_so_far=None if cost is None else amount(cost),
            goes_down_at=it.told_until,
            key_here=it.at_home,
        )


def _adopted(workspace: Workspace, it: Found, notes: tuple[str, ...]) -> Adopted:
    return Adopted(
        name=workspace.name,
        instance_id=it.id,
        state=state_of(workspace),
        owner=workspace.owner,
        place=it.place,
        notes=notes,
    )
