"""Applies every change of volumes and snapshots."""

from collections.abc import Callable, Sequence

from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.events import Event
from prism.storage import store
from prism.storage.model import (
    StorageChangeListener,
    StorageGuard,
    VolumeOrSnapshot,
)


class StorageChanges:
    """Applies changes inside a caller's transaction, always in this order.

    First admission checks may refuse the change because of its costs; then the row is written,
    listeners book the costs, and the event is recorded.
    """

    def __init__(
        self,
        clock: Clock,
        checks: Sequence[StorageGuard] = (),
        listeners: Sequence[StorageChangeListener] = (),
    ) -> None:
        self._clock, self._checks, self._listeners = clock, checks, listeners

    def add(
        self,
        tx: Tx,
        resource: VolumeOrSnapshot,
        event: Callable[[VolumeOrSnapshot], Event],
        *,
        backup: bool = False,
        budget: str | None = None,
    ) -> None:
        """Add a new volume or snapshot; raises the refusal, if any."""
        now = self._clock.now()
        for check in self._checks:
            check.allow(tx, resource, backup=backup, budget=budget)
        store.add(tx, resource, due_at=now)
        for listener in self._listeners:
            listener.changed(tx, None, resource, now)
        tx.happened(event(resource))

    def apply(
        self,
        tx: Tx,
        before: VolumeOrSnapshot,
        after: VolumeOrSnapshot,
        event: Callable[[VolumeOrSnapshot], Event] | None = None,
        *,
        observed: bool = False,
    ) -> VolumeOrSnapshot:
        """Write the request's columns or the `observed` ones, and record the event."""
        now = self._clock.now()
        if observed:
            store.observe(tx, before, after)
        else:
            store.change(tx, before, after, now)
        if after != before:
            for listener in self._listeners:
                listener.changed(tx, before, after, now)
        if event is not None:
            tx.happened(event(after))
        return after

    def forget(self, tx: Tx, resource: VolumeOrSnapshot, event: Event) -> None:
        """Delete the row, and record the event."""
        store.forget(tx, resource)
        for listener in self._listeners:
            listener.changed(tx, resource, None, self._clock.now())
        tx.happened(event)
