"""Making what is wanted of snapshots true: look, plan, act, record."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement

from prism.errors import Unavailable
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER, Claim, Found
from prism.storage import store
from prism.storage.events import SnapshotSeen, about
from prism.storage.look import Look, copy_order
from prism.storage.model import Host, Hosts, Meter, Seen, Snapshot, Trouble, Verb, Volume
from prism.storage.plan import (
    Act,
    gigabytes,
    next_verification,
    perceive,
    plan_snapshot,
    snapshot_state,
    verification,
    verification_token,
)
from prism.storage.ports import Copy, CopyOrder, StorageRefused, Verified, Volumes
from prism.storage.reconciler import SYSTEM, VANISHED, called
from prism.storage.rounds import Rounds


class SnapshotReconciler:
    """Keeps every snapshot what was asked of it."""

    rows = store.snapshots

    def __init__(
        self,
        db: Database,
        clock: Clock,
        places: Mapping[str, Volumes],
        hosts: Hosts,
        meters: Sequence[Meter] = (),
        *,
        held: Callable[[None], bool] = lambda _: False,
    ) -> None:
        self._db, self._clock, self._places = db, clock, places
        self._hosts, self._meters = hosts, meters
        self._rounds = Rounds(places)
        self._held = held  # whether a database older than the world holds all back

    def reachable(self) -> ColumnElement[bool]:
        """The rows whose place one of our providers serves."""
        return self.rows.c.place.in_(self._places)

    def patrol(self) -> timedelta:
        """One look at each place whose turn it is; what is not as we last saw it becomes due."""
        now, look = self._clock.now(), self.look()
        places = self._rounds.due(now)
        with self._db.read() as sql:
            known = store.idle_in(sql, Snapshot, places)
        if changed := [it.id for it in known if _differs(it, look)]:
            with self._db.write() as tx:
                store.make_due(tx, Snapshot, changed, now)
        return self._rounds.pause()

    def look(self) -> Look:
        """Everything of ours, once."""
        return Look(self._places, self._named)

    def _named(self, project: str | None) -> str | None:
        with self._db.read() as sql:
            return called(sql, project)

    def reconcile(self, claim: Claim, view: Look) -> Found:
        """Take one snapshot one step closer."""
        with self._db.read() as sql:
            before = store.by_id(sql, Snapshot, claim.id)
            host = self._hosts.of(sql, [before.source_id]).get(before.source_id)
            links = store.attachments_of(sql, [before.source_id])[before.source_id]
        place, now = self._places[before.place], self._clock.now()
        copy = view.copy(before)
        seen = perceive(before, copy.seen if copy else None, now, place.patience)
        moving = not place.early and any(one.wanted != one.attached for one in links)
        act = plan_snapshot(before, seen, host, moving=moving)
        if self._held(None) and act in {Act.MAKE, Act.DELETE}:
            act = Act.WAIT
        if act is Act.FORGET:
            return Found(NEVER - now, lambda tx: self._forget(tx, before))
        facts = _facts(before, seen, copy)
        try:
            facts |= self._act(claim, before, act, host)
        except StorageRefused as no:
            facts |= {"seen": Seen.BROKEN, "trouble": Trouble(no.code, no.message)}
            facts |= {"granted": before.wish, "tried": before.wish, "asked_at": None}
        if act is Act.REST:
            facts |= self._verified(replace(before, **facts), copy)
        return self._found(before, facts, act)

    def _verified(self, it: Snapshot, copy: Copy | None) -> dict[str, Any]:
        """Have it verified if that is due; how it ended, if it has."""
        due, token = next_verification(it, self._clock.now()), verification_token(it)
        if copy is None or due is None or due > self._clock.now():
            return {}
        done = copy.verified if copy.verified and copy.verified.token == token else None
        if done is None:
            try:
                self._places[it.place].verify(copy.id, token)
            except StorageRefused as no:
                done = Verified(
                    token=token, at=self._clock.now(), trouble=Trouble(no.code, no.message)
                )
        if done is None:
            return {}
        facts = {"verified_at": whole(done.at), "verify_trouble": done.trouble}
        return {**facts, "verify_done": it.verify_wish}

    def _act(self, claim: Claim, it: Snapshot, act: Act, host: Host | None) -> dict[str, Any]:
        place = self._places[it.place]
        if act is Act.MAKE:
            source = self._source(it, host)
            with self._db.write() as tx:  # before the call: from here on there may be one
                claim.update(tx, asked_at=self._clock.now())
            made = place.snapshot(self._order(it), source)
            return {**_facts(it, made.seen, made), "tried": it.wish}
        if act is Act.DELETE and it.copy_id is not None:
            place.delete_snapshot(it.copy_id)
            return {"asked_at": None}  # from here on, not listed is gone
        return {}

    def _order(self, it: Snapshot) -> CopyOrder:
        return copy_order(it, self._named(it.project))

    def _source(self, it: Snapshot, host: Host | None) -> str:
        """The id at the provider of what is to be copied."""
        if it.source == "workspace":
            source = host.machine if host else None
        else:
            with self._db.read() as sql:
                volume = next(iter(store.by_ids(sql, Volume, [it.source_id])), None)
            source = volume.disk_id if volume else None
        if source is None:
            raise StorageRefused(f"There is nothing left of {it.source_name!r} to copy")
        return source

    def _found(self, before: Snapshot, facts: dict[str, Any], act: Act) -> Found:
        if act is Act.REST:
            facts |= {"granted": before.wish}
        at_rest = act is Act.REST or facts.get("granted") == before.wish
        now, busy = self._clock.now(), self._places[before.place].busy
        due = next_verification(replace(before, **facts), now)
        rest = max(busy, due - now) if due is not None else NEVER - now
        pause = rest if at_rest else busy
        return Found(pause, lambda tx: self._record(tx, before.id, facts))

    def _record(self, tx: Tx, id: str, facts: dict[str, Any]) -> None:
        before, now = store.by_id(tx.sql, Snapshot, id), self._clock.now()
        after = replace(before, **facts)
        if after == before:
            return
        store.change(tx, before, facts)
        for meter in self._meters:
            meter.changed(tx, before, after, now)
        if _shown(before) != _shown(after):
            tx.happened(_told(before, after))

    def _forget(self, tx: Tx, it: Snapshot) -> None:
        now = self._clock.now()
        store.forget(tx, it)
        for meter in self._meters:
            meter.changed(tx, it, None, now)
        tx.happened(_told(it, replace(it, verb=Verb.DELETE, seen=Seen.GONE)))


def _facts(it: Snapshot, seen: Seen, copy: Copy | None) -> dict[str, Any]:
    if copy is None:
        lost = seen is Seen.GONE and it.verb is Verb.MAKE
        return {"seen": seen, "trouble": VANISHED if lost else it.trouble}
    used = copy.used_bytes
    return {
        "seen": seen,
        "copy_id": copy.id,
        "progress": copy.progress,
        "used_bytes": used,
        "trouble": copy.trouble,
        "one_moment": copy.one_moment,
    }


def _differs(it: Snapshot, look: Look) -> bool:
    """Whether a look shows anything that the row does not say."""
    try:
        copy = look.copy(it)
    except Unavailable:
        return False
    if copy is None:
        return it.copy_id is not None and it.seen not in {Seen.GONE, Seen.BROKEN}
    facts = _facts(it, copy.seen, copy)
    return any(getattr(it, name) != value for name, value in facts.items())


def _shown(it: Snapshot) -> tuple[object, ...]:
    verified = verification(it), it.verified_at, it.verify_trouble
    size = gigabytes(it.used_bytes)
    return snapshot_state(it), it.copy_id, size, it.trouble, it.progress, it.one_moment, verified


def _told(before: Snapshot, after: Snapshot) -> SnapshotSeen:
    return SnapshotSeen(
        **about(after),
        actor=SYSTEM,
        previous_state=snapshot_state(before),
        state=snapshot_state(after),
        failure=after.trouble,
    )
