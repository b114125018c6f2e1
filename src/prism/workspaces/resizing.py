"""Asking for another type of machine; the disk stays, so it must be off."""

from collections.abc import Callable, Sequence

from prism.catalog.plan import machine_type
from prism.errors import InvalidState, ValidationFailed
from prism.kit.actor import Who
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.storage.copies import SnapshotService
from prism.workspaces import store
from prism.workspaces.events import WorkspaceResized, about
from prism.workspaces.model import Resizing, State, Terms, Workspace
from prism.workspaces.plan import possible, state_of
from prism.workspaces.upstairs import Meter


class ResizeService:
    """What one person may ask about the type of a workspace's machine."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        terms: Callable[[Workspace], Terms],
        storage: SnapshotService,
        actor: Who,
        meters: Sequence[Meter] = (),
    ) -> None:
        self._db, self._clock, self._terms, self._storage = db, clock, terms, storage
        self._who, self._meters = actor, meters

    def resize(self, name: str, asked: Resizing) -> tuple[Workspace, Workspace, tuple[str, ...]]:
        """Ask for another type; the workspace before and after, and notes on it.

        Raises `InvalidState` unless it is stopped, `UnknownType`, and what the provider says.
        """
        if (asked.instance_type is None) == (asked.size is None):
            raise ValidationFailed.of(("instance_type", "give it or `size`, one of the two"))
        with self._db.write() as tx:
            before, now = store.named(tx.sql, name), self._clock.now()
            kind = machine_type(asked.instance_type, asked.size, before.recipe.family)
            if (state := state_of(before)) is not State.STOPPED or before.machine_id is None:
                raise _not_stopped(before, state)
            self._storage.undisturbed(tx.sql, before.id, before.name, "resize")
            terms = self._terms(before)
            notes = terms.resize(before, kind)
            if kind.name == before.instance_type:
                return before, before, notes
            hourly, source = terms.price(kind, before.spot, before.unlimited)
            store.resize(tx, before.id, kind.name, now)
            store.reprice(tx, before.id, hourly, source)
            after = store.by_id(tx.sql, before.id)
            for meter in self._meters:
                meter.changed(tx, before, after, now, sure=True)
            tx.happened(
                WorkspaceResized(
                    **about(after),
                    actor=self._who(),
                    previous_instance_type=before.instance_type,
                    previous_hourly=before.hourly_rate,
                    instance_type=after.instance_type,
                    hourly=hourly,
                )
            )
            return before, after, notes


def _not_stopped(workspace: Workspace, state: State) -> InvalidState:
    return InvalidState(
        f"Workspace {workspace.name!r} is {state}",
        details=f"resize is not possible while {state}; a machine changes its type while stopped",
        remediation=f"Stop it first: `prism workspace stop {workspace.name}`",
        data={"state": state, "allowed": possible(workspace)},
    )
