"""Making what is wanted of volumes true: look, plan, act, record."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER, Claim, Found
from prism.projects import store as projects
from prism.storage import store
from prism.storage.events import (
    VolumeAttached,
    VolumeDetached,
    VolumeMeasured,
    VolumeSeen,
    about,
)
from prism.storage.look import Look, volume_order
from prism.storage.model import (
    Attachment,
    Host,
    Hosts,
    Meter,
    Seen,
    Snapshot,
    Trouble,
    Verb,
    Volume,
    VolumeElsewhere,
)
from prism.storage.plan import (
    Act,
    Step,
    gigabytes,
    looked_at,
    machine_of,
    perceive,
    plan_volume,
    settled,
    settlement,
    unaccounted,
    unknown,
    volume_state,
    wants,
)
from prism.storage.ports import Disk, DiskUnreadable, StorageRefused, Volumes
from prism.storage.rounds import Rounds

SYSTEM = "prism"
BOOTING = 4  # times as long is waited for a machine to come up as for a volume to change
AGAIN = timedelta(seconds=30)  # until what was refused is tried once more
VANISHED = Trouble("VANISHED", "It was destroyed outside of Prism; what it held is lost")


class Links(NamedTuple):
    """A volume's attachments as they were seen.

    `ended` are workspaces among them that are over, `refused` one that cannot have it; what
    else was refused is tried `again`.
    """

    seen: list[Attachment]
    ended: set[str]
    refused: str | None = None
    again: bool = False


class Observer(Protocol):
    """Whoever wants to see what there is, at each look."""

    def look(self, view: Look, places: Iterable[str]) -> None:
        """These places may be looked at; called outside of any transaction."""


class VolumeReconciler:
    """Keeps every volume what was asked of it."""

    rows = store.volumes

    def __init__(
        self,
        db: Database,
        clock: Clock,
        places: Mapping[str, Volumes],
        hosts: Hosts,
        meters: Sequence[Meter] = (),
        *,
        observers: Sequence[Observer] = (),
        held: Callable[[None], bool] = lambda _: False,
    ) -> None:
        self._db, self._clock, self._places = db, clock, places
        self._hosts, self._meters, self._observers = hosts, meters, observers
        self._rounds = Rounds(places)
        self._held = held  # whether a database older than the world holds all back
        self._left: dict[tuple[str, str], datetime] = {}  # when a machine was told to leave one
        self._first: dict[tuple[str, str], datetime] = {}  # when one was first seen to have it

    def reachable(self) -> ColumnElement[bool]:
        """The rows whose place one of our providers serves."""
        return self.rows.c.place.in_(self._places)

    def patrol(self) -> timedelta:
        """One look at each place whose turn it is; what is not as we last saw it becomes due."""
        now = self._clock.now()
        places, look = self._rounds.due(now), self.look()
        for observer in self._observers:
            observer.look(look, places)
        with self._db.read() as sql:
            known = store.idle_in(sql, Volume, places)
            attachments = store.attachments_of(sql, [it.id for it in known])
            rows = [one for its in attachments.values() for one in its]
            hosts = self._hosts_of(sql, rows)
            owners = self._hosts.on(sql, {one.workspace for one in rows if unknown(one)})
        hosts = {**hosts, **owners}
        changed = [it.id for it in known if self._differs(it, attachments[it.id], hosts, look)]
        if changed:
            with self._db.write() as tx:
                store.make_due(tx, Volume, changed, now)
        return self._rounds.pause()

    def look(self) -> Look:
        """Everything of ours, once."""
        return Look(self._places, self._named)

    def _named(self, project: str | None) -> str | None:
        with self._db.read() as sql:
            return called(sql, project)

    def reconcile(self, claim: Claim, view: Look) -> Found:
        """Take one volume one step closer."""
        with self._db.read() as sql:
            before = store.by_id(sql, Volume, claim.id)
            attachments = store.attachments_of(sql, [before.id])[before.id]
            hosts = self._hosts_of(sql, attachments)
        place, now = self._places[before.place], self._clock.now()
        try:
            disk = view.disk(before)
        except DiskUnreadable:
            with self._db.read() as sql:
                order = volume_order(before, called(sql, before.project))
            place.create(order)  # it is there already: what is written on it is written anew
            return Found(place.busy, lambda _: None)
        if disk is not None and self._settled(claim, before, attachments, hosts, disk):
            return Found(timedelta(0), lambda _: None)  # once more, with what is known now
        seen = perceive(before, disk.seen if disk else None, now, place.patience)
        attachments = _looked_at(attachments, disk, hosts)
        unmounted = disk.unmounted if disk else frozenset()
        step = plan_volume(before, seen, attachments, hosts, unmounted, early=place.early)
        if self._held(None) and step.act not in {Act.REST, Act.FORGET}:
            step = Step(Act.WAIT)
        if step.act is Act.FORGET:
            return Found(NEVER - now, lambda tx: self._forget(tx, before))
        facts, refused = _facts(before, seen, disk) | _in_use(before, step, attachments), False
        try:
            facts |= self._act(claim, replace(before, **facts), step, hosts)
        except (StorageRefused, VolumeElsewhere) as no:
            lost = {"seen": Seen.BROKEN, "asked_at": None} if step.act is Act.MAKE else {}
            facts |= {"granted": before.wish, "trouble": Trouble(no.code, no.message), **lost}
            refused = True
        return self._found(before, facts, self._links(attachments, hosts, step, refused), step)

    def _links(
        self, seen: list[Attachment], hosts: Mapping[str, Host], step: Step, refused: bool
    ) -> Links:
        ended = {one.workspace for one in seen if not _lives(one, hosts)}
        one = step.attachment if refused and step.act is Act.ATTACH else None
        again = refused and step.act in {Act.DETACH, Act.DELETE}
        return Links(seen, ended, one.workspace if one else None, again)

    def _act(
        self, claim: Claim, it: Volume, step: Step, hosts: Mapping[str, Host]
    ) -> dict[str, Any]:
        place = self._places[it.place]
        if step.act is Act.MAKE:
            with self._db.write() as tx:  # before the call: from here on there may be one
                claim.update(tx, asked_at=self._clock.now())
            return _facts(it, (made := self._make(it)).seen, made)
        id = it.disk_id or it.expected_id
        if step.act is Act.DELETE and id is not None:
            place.delete(id)
            return {"asked_at": None}  # from here on, not listed is gone
        if step.attachment is not None and id is not None:
            machine = machine_of(step.attachment, hosts)
            if step.act is Act.ATTACH:
                self._aim(step.attachment, machine)  # before the call: from here on it may be so
                place.attach(id, machine, it.name)
            else:
                self._left[it.id, machine] = self._clock.now()
                place.detach(id, machine)
                self._aim(step.attachment, None)
            # What was refused when it was attached stays told while that is undone.
            told = step.act is Act.DETACH and not step.attachment.attached
            return {} if told else {"trouble": None}
        return {}

    def _settled(
        self,
        claim: Claim,
        it: Volume,
        attachments: Sequence[Attachment],
        hosts: Mapping[str, Host],
        disk: Disk,
    ) -> bool:
        """Take down which machines have it that no attachment names; whether there were any."""
        machines = unaccounted(attachments, hosts, disk.attached)
        machines = {one for one in machines if self._is_sure(it, one, attachments)}
        if not machines:
            return False
        with self._db.write() as tx:
            owners = self._hosts.on(tx.sql, machines)
            added, over = settlement(it, attachments, machines, disk.attached, owners)
            claim.update(tx, attempts=0)  # the lease has to be ours
            for one in over:
                store.drop(tx, one)
            for one in added:
                store.want(tx, one)
        return bool(added)

    def _is_sure(self, it: Volume, machine: str, rows: Sequence[Attachment]) -> bool:
        """Whether a machine has it, and no look merely shows still what was undone.

        A provider may show that for a while, also one that a daemon before this has undone. Where
        rows are known to be old, or data is to be destroyed, one look is enough.
        """
        now, patience = self._clock.now(), self._places[it.place].patience
        left = self._left.get((it.id, machine))
        if left is not None and now < left + max(patience * BOOTING, AGAIN):
            return False
        if any(one.workspace == machine for one in rows):
            return True  # it stands there in its own name already
        first = self._first.setdefault((it.id, machine), now)
        return self._held(None) or it.verb is Verb.DELETE or now >= first + patience

    def _aim(self, one: Attachment, machine: str | None) -> None:
        with self._db.write() as tx:
            store.aim(tx, one, machine)

    def _make(self, it: Volume) -> Disk:
        place = self._places[it.place]
        with self._db.read() as sql:
            order = volume_order(it, called(sql, it.project))
        if it.from_snapshot is None:
            return place.create(order)
        with self._db.read() as sql:
            origin = next(iter(store.by_ids(sql, Snapshot, [it.from_snapshot])), None)
        if origin is None or origin.copy_id is None:
            raise StorageRefused("The snapshot it was to be made from is gone")
        return place.restore(order, origin.copy_id)

    def _found(self, before: Volume, facts: dict[str, Any], links: Links, step: Step) -> Found:
        after = replace(before, **facts)
        if step.act is Act.REST and after.granted < before.wish:
            facts |= {"granted": before.wish}
        place = self._places[before.place]
        pause = place.busy
        if step.act is Act.WAIT and after.seen is Seen.THERE and not place.early:
            pause = place.busy * BOOTING
        if _begins(step):
            pause = timedelta(0)  # there may be more of them
        if links.again:
            pause = AGAIN
        elif step.act is Act.REST and settled(after, links.seen):
            pause = NEVER - self._clock.now()  # a request or a patrol will say
        return Found(pause, lambda tx: self._record(tx, before.id, facts, links))

    def _record(self, tx: Tx, id: str, facts: dict[str, Any], links: Links) -> None:
        before, now = store.by_id(tx.sql, Volume, id), self._clock.now()
        were = store.attachments_of(tx.sql, [id])[id]  # once more: somebody may have asked
        was = volume_state(before, were)
        self._record_attachments(tx, before, were, links)
        after = replace(before, **facts)
        if after != before:
            store.change(tx, before, facts)
            for meter in self._meters:
                meter.changed(tx, before, after, now)
        state = volume_state(after, store.attachments_of(tx.sql, [id])[id])
        told: dict[str, Any] = {"actor": SYSTEM, **about(after)}
        if state is not was or before.trouble != after.trouble or before.disk_id != after.disk_id:
            told |= {"previous_state": was, "state": state, "failure": after.trouble}
            tx.happened(VolumeSeen(**told))
        elif gigabytes(before.used_bytes) != gigabytes(after.used_bytes):
            tx.happened(VolumeMeasured(**told, used_bytes=after.used_bytes))

    def _record_attachments(
        self, tx: Tx, it: Volume, were: list[Attachment], links: Links
    ) -> None:
        now = {one.workspace: one for one in links.seen}
        for one in were:
            if (found := now.get(one.workspace)) is None:
                continue  # asked for since we looked
            if found.attached != one.attached:
                happened = VolumeAttached if found.attached else VolumeDetached
                store.saw(tx, found)
                host = self._hosts.of(tx.sql, {one.workspace}).get(one.workspace)
                tx.happened(
                    happened(
                        **about(it),
                        actor=SYSTEM,
                        workspace=one.workspace,
                        instance=one.name,
                        instance_project=None if host is None else host.project,
                    )
                )
            if one.workspace == links.refused:
                one = replace(one, wanted=False)  # noqa: PLW2901
                store.want(tx, one)
            over = not one.wanted or one.workspace in links.ended
            gone = one.machine is None or unknown(one)  # a machine of nobody's need not be told
            if over and not found.attached and gone:
                store.drop(tx, one)

    def _forget(self, tx: Tx, it: Volume) -> None:
        attachments = store.attachments_of(tx.sql, [it.id])[it.id]
        was, gone = volume_state(it, attachments), replace(it, seen=Seen.GONE)
        store.forget(tx, it)
        for meter in self._meters:
            meter.changed(tx, it, None, self._clock.now())
        state = volume_state(gone, ())
        told = VolumeSeen(**about(it), actor=SYSTEM, previous_state=was, state=state, failure=None)
        tx.happened(told)

    def _hosts_of(self, sql: Connection, attachments: Sequence[Attachment]) -> Mapping[str, Host]:
        return self._hosts.of(sql, {one.workspace for one in attachments})

    def _differs(
        self,
        it: Volume,
        attachments: list[Attachment],
        hosts: Mapping[str, Host],
        look: Look,
    ) -> bool:
        """Whether a look shows anything that the row does not say."""
        try:
            disk = look.disk(it)
        except Unavailable as why:
            return isinstance(why, DiskUnreadable)
        if any(one.wanted and not wants(one, hosts) for one in attachments):
            return True  # its workspace has ended
        if disk is None:
            return it.disk_id is not None and it.seen is not Seen.GONE
        new = unaccounted(attachments, hosts, disk.attached)
        new -= {one.workspace for one in attachments if one.workspace not in hosts}
        if any(
            [self._is_sure(it, machine, attachments) for machine in new]
        ):  # each is to be noted
            return True
        seen = _looked_at(attachments, disk, hosts)
        if any(a.attached != b.attached for a, b in zip(attachments, seen, strict=True)):
            return True
        shown = _facts(it, disk.seen, disk)
        shown["used_bytes"] = gigabytes(disk.used_bytes)
        return shown != {
            **{name: getattr(it, name) for name in shown},
            "used_bytes": gigabytes(it.used_bytes),
        }


def _looked_at(
    attachments: Sequence[Attachment], disk: Disk | None, hosts: Mapping[str, Host]
) -> list[Attachment]:
    if disk is None:
        return looked_at(attachments, hosts, ())
    return looked_at(attachments, hosts, disk.attached, disk.unmounted)


def _in_use(it: Volume, step: Step, attachments: Sequence[Attachment]) -> dict[str, Any]:
    """Why one is not destroyed yet, where that is."""
    names = ", ".join(sorted(one.name for one in attachments if one.attached))
    if it.verb is not Verb.DELETE or step.act is not Act.WAIT or not names:
        return {}
    message = f"{names} has it; take it away first: `prism volume detach {it.name}`"
    return {"trouble": Trouble("IN_USE", message)}


def _begins(step: Step) -> bool:
    """Whether this is the first try at an attachment, and not one step of many."""
    if step.attachment is None:
        return False
    aimed = step.attachment.machine is not None
    return aimed is (step.act is Act.DETACH)


def _lives(one: Attachment, hosts: Mapping[str, Host]) -> bool:
    host = hosts.get(one.workspace)
    return host is not None and not host.ended


def _facts(it: Volume, seen: Seen, disk: Disk | None) -> dict[str, Any]:
    if disk is None:
        lost = seen is Seen.GONE and it.verb is Verb.MAKE
        return {"seen": seen, "trouble": VANISHED if lost else it.trouble}
    if disk.seen is not Seen.THERE:
        trouble = disk.trouble
    else:  # what was refused is told until something else is asked
        told = it.seen is Seen.THERE and it.granted == it.wish
        trouble = it.trouble if told else None
    return {
        "seen": seen,
        "disk_id": disk.id,
        "zone": disk.zone,
        "used_bytes": disk.used_bytes,
        "trouble": trouble,
    }


def called(sql: Connection, project: str | None) -> str | None:
    """The name of a project, which goes into tags; its id, once it is gone."""
    found = projects.find(sql, project) if project else None
    return found.name if found else project
