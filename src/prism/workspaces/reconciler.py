"""Making what is wanted true: look, plan, act, record."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace
from sqlalchemy import ColumnElement

from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER, Claim, Found
from prism.workspaces import store
from prism.workspaces.events import (
    SYSTEM,
    WorkspaceAsked,
    WorkspaceFailing,
    WorkspaceForgotten,
    WorkspaceMoved,
    WorkspaceNoted,
    WorkspaceSeen,
    about,
)
from prism.workspaces.hosts import before_its_end, zone_of
from prism.workspaces.idleness import IdleRule
from prism.workspaces.looking import Glance, Looks, Machines
from prism.workspaces.model import STOP_HANGS, Failure, Seen, State, Verb, Workspace
from prism.workspaces.plan import (
    BRINGS_UP,
    GLANCE,
    IN_BETWEEN,
    STEPS,
    Act,
    asleep_since,
    deadline,
    expiring,
    hangs,
    perceive,
    plan,
    puts_down_at,
    ran_unseen,
    restart_stopped,
    starts_again,
    state_of,
)
from prism.workspaces.ports import (
    Compute,
    FindsById,
    Machine,
    NextAttempt,
    Observer,
    Order,
    Refused,
)
from prism.workspaces.telling import describe
from prism.workspaces.upstairs import Meter, Rules, RunningTime

AT_ONCE = timedelta(0)
UNTOLD = timedelta(seconds=30)  # until a machine is told once more what it could not be told
VANISHED = Failure("MACHINE_VANISHED", "Its machine was destroyed outside of Prism")
PUT_DOWN = {Act.STOP, Act.HIBERNATE, Act.TERMINATE}
DOWN = {Seen.OFF, Seen.ASLEEP, Seen.STOPPING}


class FinishRestart(Protocol):
    """Starts what was stopped to be restarted; why not, where it may not be started."""

    def __call__(self, id: str, *, stopped: bool) -> Failure | None:
        """`stopped`: whether its machine is down, so that it may be started."""


class Since(NamedTuple):
    """Since when it has been what is seen now, whether somebody was looking, and a run before."""

    at: datetime
    sure: bool
    started: datetime | None = None  # when it came up, if nobody can have seen it run since
    interrupted: bool = False  # whether it ran until something nobody asked for


class WorkspaceReconciler:
    """Keeps every workspace what its owner wants it to be."""

    rows = store.workspaces

    def __init__(
        self,
        db: Database,
        clock: Clock,
        computes: Mapping[str, Compute],
        retention: timedelta = timedelta(minutes=5),
        meters: Sequence[Meter] = (),
        *,
        observers: Sequence[Observer] = (),
        rules: Rules | None = None,
        mispriced: Callable[[], object] = lambda: None,
        running: Sequence[RunningTime] = (),
        held: Callable[[datetime], bool] = lambda _: False,
        start_again: Callable[[str, str], object] = lambda id, why: None,
        finish_restart: FinishRestart | None = None,
        living: Callable[[Collection[str]], Iterable[Workspace]],
    ) -> None:
        self._db, self._clock, self._computes = db, clock, computes
        self._retention, self._meters, self._observers = retention, meters, observers
        self._rules, self._mispriced, self._running = rules, mispriced, running
        self._held = held  # whether a wish of that time is held back
        self._start_again = start_again  # with why it is not on any more
        self._finish_restart = finish_restart
        self._living = living
        self._agreed: dict[str, tuple[Workspace, Machine | None]] = {}
        self._looks = Looks(computes, clock)
        self._looked: dict[str, datetime] = {}  # when each place had answered, the time before
        self.glances: Mapping[str, Glance] = {}
        """What the last patrol has seen of each place."""

    def reachable(self) -> ColumnElement[bool]:
        """The rows whose place one of our providers serves."""
        return self.rows.c.place.in_(self._computes)

    def patrol(self) -> timedelta:
        """One look at each place; what is not as we last saw it becomes due."""
        glances = self._looks.anew()
        self._looked |= {at: it.at for at, it in self.glances.items() if it.problem is None}
        self.glances = glances
        there = {at: it.machines() for at, it in glances.items() if it.problem is None}
        for observer in self._observers:
            observer.saw({at: there[at].values() if at in there else () for at in glances})
        changed, same = self._compared(there)
        running = {at: [it.id for it in same if it.place == at and _costs(it)] for at in there}
        if changed or any(running.values()):
            with self._db.write() as tx:
                if changed:
                    store.make_due(tx, changed, self._clock.now())
                self._confirm(tx, running)
        return min(compute.calm for compute in self._computes.values())

    def _confirm(self, tx: Tx, running: Mapping[str, Sequence[str]]) -> None:
        """Tell which machines this look has shown to run, and so to cost something until then."""
        for place, ids in running.items():
            for counts in self._running if ids else ():
                counts.confirmed(tx, ids, self.glances[place].at)

    def _compared(self, there: Mapping[str, Machines]) -> tuple[list[str], list[Workspace]]:
        """The ids of those of which a look shows what their rows do not say, and all others.

        Most are as they were at the look before, and are not compared field by field again.
        """
        agreed, changed, same = {}, [], []
        for it in self._living(there.keys()):
            pair = (it, there[it.place].get(it.id))
            if self._agreed.get(it.id) == pair or not _differs(*pair):
                agreed[it.id] = pair
                same.append(it)
            else:
                changed.append(it.id)
        self._agreed = agreed
        return changed, same

    def look(self) -> Looks:
        """Every machine of ours, looked at when somebody asks."""
        return self._looks

    def reconcile(self, claim: Claim, view: Looks) -> Found:
        """Take one workspace one step closer."""
        with self._db.read() as sql:
            before = store.by_id(sql, claim.id)
        compute, now = self._computes[before.place], self._clock.now()
        machine = view.at(before.place, before.id, before.wished_at).get(before.id)
        machine = machine or _by_id(compute, before)
        seen = perceive(before, machine.seen if machine else None, now, compute.patience)
        interrupted = machine is not None and machine.interrupted
        since = self._since(before, machine, seen, now)._replace(interrupted=interrupted)
        # What came up and went down unseen has had its wish: it is not started once more.
        had = ran_unseen(before, replace(before, seen=seen), since.started)
        act = plan(replace(before, granted=before.wish) if had else before, seen).act
        if act is Act.FORGET:
            return self._forgotten(before, now)
        if held := self._held(before.wished_at):
            act = Act.REST if act is Act.REST else Act.WAIT

        facts = _facts(before, seen, machine, now)
        if act is Act.TERMINATE:
            with self._db.read() as sql:
                act, why = before_its_end(sql, before, seen)
            facts |= {"failure": why} if why else {}
        try:
            facts |= {} if held else self._act(claim, before, act, machine)
        except Refused as no:
            facts |= _refused(before, act, no)
        order = _order(before, before.attempt, None)
        told = {} if held else describe(compute, before, machine, act, order)
        if had:
            facts |= {"granted": before.wish, "ready_at": before.ready_at or since.started}
        found = self._found(before, facts | (told or {}), since)
        return found if told is not None else Found(min(found.look_again, UNTOLD), found.record)

    def _act(
        self, claim: Claim, it: Workspace, act: Act, machine: Machine | None
    ) -> dict[str, Any]:
        compute, now = self._computes[it.place], self._clock.now()
        if act is Act.LAUNCH:
            made = self._launched(claim, it, compute)
            self._looks.acted(it.id)
            facts = _facts(it, made.seen, made, now)
            self._say_what_it_lacks(it, made)
            told = {"told_expiry": deadline(it), "told_type": it.instance_type}
            return {**facts, **told, "tried": it.wish}
        id = machine.id if machine else it.machine_id
        # Who may not say when it is to go down may still put it down.
        told = {} if id is None or act in PUT_DOWN else self._tell_expiry(compute, it, id)
        if id is not None and machine is not None:
            told |= self._resize(compute, it, machine)
        if act in {Act.WAIT, Act.REST}:
            return told
        assert id is not None, "the table acts only on machines that were seen"
        try:
            getattr(compute, act.value)(id)
        finally:
            self._looks.acted(it.id)
        if act is Act.STOP and hangs(it, machine.seen if machine else it.seen):
            return {**told, "tried": it.wish}
        return {**told, "tried": it.wish, "failure": None} if act is Act.START else told

    def _say_what_it_lacks(self, it: Workspace, made: Machine) -> None:
        if made.idle is not None and made.idle.lacks is not None:
            note = WorkspaceNoted(actor=SYSTEM, **about(it), note=made.idle.lacks)
            with self._db.write() as tx:
                tx.happened(note)

    def _launched(self, claim: Claim, it: Workspace, compute: Compute) -> Machine:
        """Bring it into being, wherever there is room."""
        attempt = it.attempt
        while True:
            with self._db.write() as tx:  # before the call: from here on there may be one
                claim.update(tx, asked_at=self._clock.now(), attempt=attempt, seen=Seen.UNSURE)
                rule = self._rules.rule(tx.sql, it) if self._rules else None
                zone = zone_of(tx.sql, it)
            try:
                return compute.launch(replace(_order(it, attempt, rule), zone=zone))
            except NextAttempt:
                attempt += 1
            except Refused as no:
                if no.code == Refused.code:  # everywhere was full; a new wish begins anew
                    with self._db.write() as tx:
                        claim.update(tx, attempt=attempt + 1)
                raise

    def _tell_expiry(self, compute: Compute, it: Workspace, id: str) -> dict[str, Any]:
        at = deadline(it)
        if at == it.told_expiry or it.verb is Verb.TERMINATE or it.seen is Seen.GONE:
            return {}
        compute.expire(id, at, "hibernate" if it.hibernation else "stop")
        return {"told_expiry": at}

    def _resize(self, compute: Compute, it: Workspace, machine: Machine) -> dict[str, Any]:
        """Only a machine that is off can become another type; until then it waits."""
        same = it.told_type in {None, it.instance_type}
        if same or machine.seen is not Seen.OFF or it.verb is Verb.TERMINATE:
            return {}
        try:
            compute.resize(machine.id, it.instance_type)
        except Refused as no:  # it stays what it is, and its next start is not in vain
            self._mispriced()
            failure = Failure(no.code, f"It stays {it.told_type}: {no.message}")
            return {"instance_type": it.told_type, "failure": failure, "tried": it.wish}
        return {"told_type": it.instance_type}

    def _since(self, it: Workspace, machine: Machine | None, seen: Seen, now: datetime) -> Since:
        """Since when it has been what is seen now.

        The provider's own time counts. A machine that went down by itself did so when it had
        been told to, however late that is learned: a laptop may have slept meanwhile.
        """
        known = machine.since if machine is not None else None
        looked = max(it.wished_at, self._looked.get(it.place, it.wished_at))
        sure = now - looked <= GLANCE  # what nobody looked at for longer is reconstructed
        started = machine.started if machine is not None and not sure else None
        if machine is not None and machine.dozed is not None:
            return Since(asleep_since(it, machine.dozed, looked, now), sure, started)
        ran = it.seen is Seen.ON and it.granted == it.wish
        ran = ran or ran_unseen(it, replace(it, seen=seen), started)
        if seen in DOWN and ran and it.told_expiry is not None and looked <= it.told_expiry <= now:
            # Here the whole computer slept, and what slept has computed nothing.
            slept = known is not None and it.place.startswith("local:")
            if known is None or (slept and known > it.told_expiry):
                return Since(it.told_expiry, False, started)
        if known is not None:
            return Since(min(known, now), True, started)
        return Since(now, sure, started)

    def _found(self, before: Workspace, facts: dict[str, Any], since: Since) -> Found:
        after = replace(before, **facts)
        step = plan(after, after.seen)
        if step.act is Act.REST and after.granted < before.wish:
            facts |= {"granted": before.wish}
        if step.state is State.TERMINATED:
            facts |= {"ended_at": self._clock.now()}
        pause = self._pause(after, step.act)
        return Found(pause, lambda tx: self._record(tx, before.id, facts, since))

    def _pause(self, after: Workspace, act: Act) -> timedelta:
        now, busy = self._clock.now(), self._computes[after.place].busy
        state = state_of(after)
        if state is State.TERMINATED:
            return self._retention
        if act is Act.TERMINATE and after.tried == after.wish:  # it was refused
            return self._computes[after.place].calm
        if act is not Act.REST or state in IN_BETWEEN:
            return busy
        if (at := puts_down_at(after)) and state is State.RUNNING:
            return max(AT_ONCE, at - now)
        return NEVER - now  # a request or a patrol will say

    def _record(self, tx: Tx, id: str, facts: dict[str, Any], since: Since) -> None:
        before = store.by_id(tx.sql, id)  # once more: somebody may have asked meanwhile
        now, after = self._clock.now(), replace(before, **facts)
        state = state_of(after)
        if state is State.RUNNING and after.ready_at is None:
            facts |= {"ready_at": now}
            after = replace(after, ready_at=now)
        if after != before:
            store.saw(tx, id, facts)
            self._meter(tx, before, after, since)
            tx.happened(_told(before, after))
        if after.granted > before.granted and state is State.RUNNING and after.verb in BRINGS_UP:
            store.record_bring_up(tx, after, after.place.partition(":")[0], now)
        if self._held(after.wished_at):
            return
        if after.granted == after.wish and (verb := expiring(after, state, now)):
            store.ask(tx, after, verb, now, after.expires_at)
            tx.happened(_expired(after, state, store.by_id(tx.sql, id)))
        self._go_on_with_restart(tx, store.by_id(tx.sql, id))
        if since.interrupted and starts_again(after, now):
            self._start_again(id, _first_sentence(after.failure))

    def _go_on_with_restart(self, tx: Tx, after: Workspace) -> None:
        """Ask for the start in the transaction that records the stop."""
        stopped = restart_stopped(after)
        if stopped is None or self._finish_restart is None:
            return
        if failure := self._finish_restart(after.id, stopped=stopped):
            store.saw(tx, after.id, {"failure": failure, "tried": after.wish})
            still = replace(after, failure=failure, tried=after.wish, restarting=False)
            tx.happened(_told(after, still))

    def _meter(self, tx: Tx, before: Workspace, after: Workspace, since: Since) -> None:
        """Tell what it was and became: first that it ran, where it did so meanwhile."""
        if since.started is not None and ran_unseen(before, after, since.started):
            up = replace(after, seen=Seen.ON, failure=None)
            self._meter(tx, before, up, Since(since.started, sure=False))
            before = up
        for meter in self._meters:
            meter.changed(tx, before, after, since.at, sure=since.sure)

    def _forgotten(self, workspace: Workspace, now: datetime) -> Found:
        left = (workspace.ended_at or now) + self._retention - now
        if left > AT_ONCE:
            return Found(left, lambda _: None)

        def forget(tx: Tx) -> None:
            store.forget(tx, workspace.id)
            tx.happened(WorkspaceForgotten(actor=SYSTEM, **about(workspace)))

        return Found(NEVER - now, forget)


def _by_id(compute: Compute, it: Workspace) -> Machine | None:
    """What a survey does not show, before it is taken for gone."""
    there = it.machine_id is not None and it.seen is not Seen.GONE
    if not there or not isinstance(compute, FindsById):
        return None
    return compute.find(str(it.machine_id), _order(it, it.attempt, None))


def _first_sentence(failure: Failure | None) -> str:
    return failure.message.partition(". ")[0] if failure else "it was interrupted"


def _why(it: Workspace) -> str:
    """Why it goes down now."""
    if it.expires_at is not None and it.expires_at == deadline(it):
        return f"expired at {it.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    return f"its money was reserved until {it.reserved_until:%Y-%m-%dT%H:%M:%SZ}"


def _differs(it: Workspace, machine: Machine | None) -> bool:
    """Whether a look shows anything that the row does not say."""
    if machine is None:
        return it.machine_id is not None and it.seen is not Seen.GONE
    return any(
        getattr(it, field) != value for field, value in _shown(it, machine.seen, machine).items()
    )


def _costs(it: Workspace) -> bool:
    """Whether it costs something only as long as its machine runs."""
    return bool(it.hourly_rate) and (it.seen is Seen.ON or it.charged)


def _shown(it: Workspace, seen: Seen, machine: Machine) -> dict[str, Any]:
    ips = {"public_ip": machine.public_ip, "private_ip": machine.private_ip}
    far = 100 if seen is Seen.ON else it.progress if machine.progress is None else machine.progress
    why = machine.failure or _vanished(it, seen) or _still_refused(it, seen)
    how = {"stage": machine.stage, "progress": far, "failure": why, "charged": machine.charged}
    return {"seen": seen, "machine_id": machine.id, **ips, **how}


def _tried(it: Workspace, machine: Machine) -> dict[str, Any]:
    """What was asked for until now did not help a machine that hangs: a new wish forces it."""
    new = machine.failure is not None and machine.failure.code == STOP_HANGS
    known = it.failure is not None and it.failure.code == STOP_HANGS
    return {"tried": it.wish} if new and not known else {}


def _vanished(it: Workspace, seen: Seen) -> Failure | None:
    """Why it is gone, where nobody here wanted that."""
    return VANISHED if seen is Seen.GONE and it.verb is not Verb.TERMINATE else None


def _refused(it: Workspace, act: Act, no: Refused) -> dict[str, Any]:
    """What a refusal comes to: a wish is given up, except that something be destroyed.

    That one is asked for again and again: what would be forgotten would cost for ever.
    """
    tried = {"failure": Failure(no.code, no.message), "tried": it.wish}
    if it.verb is Verb.TERMINATE:  # also where a stop for its backup is refused
        return tried
    lost = {"seen": Seen.BROKEN, "asked_at": None} if act is Act.LAUNCH else {}
    return {"granted": it.wish, **tried, **lost}


def _still_refused(it: Workspace, seen: Seen) -> Failure | None:
    """Why what was asked for last has not come to be; until something else is seen or asked."""
    wanting = {Act.START, Act.STOP, Act.HIBERNATE, Act.TERMINATE}
    lacking = STEPS[it.verb, seen].act in wanting or seen is Seen.OFF  # off: another type
    return it.failure if lacking and it.tried == it.wish and it.seen is seen else None


def _facts(it: Workspace, seen: Seen, machine: Machine | None, now: datetime) -> dict[str, Any]:
    slept = (it.hibernated_at or now) if seen is Seen.ASLEEP else None
    if machine is not None:
        return {**_shown(it, seen, machine), **_tried(it, machine), "hibernated_at": slept}
    why = _vanished(it, seen) or it.failure
    paid = it.charged and seen is it.seen
    return {"seen": seen, "charged": paid, "hibernated_at": slept, "failure": why}


def _order(it: Workspace, attempt: int, rule: IdleRule | None) -> Order:
    return Order(
        key=it.id,
        name=it.name,
        owner=it.owner,
        profile=it.profile,
        project=it.project_name,
        allocation=it.allocation,
        budget=it.budget,
        idle_profile=it.idle_profile,
        idle=rule,
        launched_at=it.launched_at,
        attempt=attempt,
        spot=it.spot,
        open_ports=it.open_ports,
        unlimited=it.unlimited,
        root_type=it.root_type,
        template=it.recipe,
        parameters=it.parameters,
        instance_type=it.instance_type,
        root_gb=it.root_gb,
        hibernation=it.hibernation,
        expires_at=deadline(it),
        ends_at=it.expires_at,
    )


def _told(
    before: Workspace, after: Workspace
) -> WorkspaceSeen | WorkspaceFailing | WorkspaceMoved:
    was, state = state_of(before), state_of(after)
    whose = {"actor": SYSTEM, **about(after)}
    if was is state and after.failure is not None and after.failure != before.failure:
        return WorkspaceFailing(**whose, state=state, failure=after.failure)
    if was is state:
        far: dict[str, Any] = {"stage": after.stage, "progress": after.progress}
        return WorkspaceMoved(**whose, state=state, **far, failure=after.failure)
    return WorkspaceSeen(**whose, previous_state=was, state=state, failure=after.failure)


def _expired(before: Workspace, was: State, after: Workspace) -> WorkspaceAsked:
    return WorkspaceAsked(
        **about(after),
        actor=SYSTEM,
        verb=after.verb,
        previous_state=was,
        state=state_of(after),
        reason=_why(before),
    )
