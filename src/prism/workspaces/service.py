"""Asking for workspaces. One verb, one transaction; nothing here waits for a provider."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from prism.catalog.model import MachineType
from prism.catalog.plan import machine_type
from prism.errors import InvalidState, Problem, ValidationFailed
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.money import Micros
from prism.profiles.model import Profile
from prism.profiles.service import ProfileService
from prism.projects.model import Project, ProjectNotFound
from prism.storage.copies import SnapshotService
from prism.templates.model import Template
from prism.templates.plan import parameters_for
from prism.templates.service import TemplateService
from prism.workspaces import store
from prism.workspaces.events import (
    SYSTEM,
    WorkspaceAsked,
    WorkspaceExtended,
    WorkspaceMoved,
    WorkspaceRepriced,
    WorkspaceUpdated,
    about,
)
from prism.workspaces.hosts import host
from prism.workspaces.model import (
    BudgetNotFound,
    ConfirmationRequired,
    Failure,
    HibernationNotSupported,
    Launch,
    Seen,
    State,
    Termination,
    Terms,
    Update,
    Verb,
    Workspace,
)
from prism.workspaces.plan import (
    ACTIVE,
    AGAIN,
    admit,
    asks_again_at,
    expiry_after,
    possible,
    puts_down,
    restart_begins_with,
    state_of,
)
from prism.workspaces.upstairs import Fund, LaunchGuard, Meter, Outlook, Treasury, Watcher

LAST = datetime(2999, 12, 31, tzinfo=UTC)
ASKED_NOT_TO = (
    "it was launched without hibernation, as with `--no-hibernation`, and a launch decides that"
)


class Drawn(Struct, frozen=True):
    """A launch as it would be carried out: the workspace, and what is to be said about it."""

    workspace: Workspace
    image: str
    notes: tuple[str, ...]
    outlook: Outlook = Outlook()


class WorkspaceService:
    """What one person may ask about workspaces."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        templates: TemplateService,
        profiles: ProfileService,
        terms: Callable[[Profile], Terms],
        storage: SnapshotService,
        actor: Who,
        sleepless: Callable[[Workspace], str | None] = lambda it: None,
        guards: Sequence[LaunchGuard] = (),
        meters: Sequence[Meter] = (),
        treasury: Treasury | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """`sleepless` says why one that does not hibernate could not have; asks no cloud."""
        self._db, self._clock, self._templates = db, clock, templates
        self._sleepless = sleepless
        self._profiles, self._terms, self._storage = profiles, terms, storage
        self._who, self._guards = actor, guards
        self._meters, self._treasury, self._watcher = meters, treasury, watcher

    def draw(self, order: Launch) -> Drawn:
        """What a launch would be, without asking for it; raises what would refuse it."""
        drawn = self._drawn(order)
        with self._db.read() as sql:
            if store.is_taken(sql, order.name):
                raise store.name_taken(order.name)
            self._storage.may_join(sql, host(drawn.workspace), order.volumes)
            if self._treasury is None:
                return drawn
            return replace(drawn, outlook=self._treasury.outlook(sql, drawn.workspace))

    def launch(self, order: Launch) -> Drawn:
        """Ask for a new workspace."""
        drawn = self._drawn(order)
        workspace = drawn.workspace
        with self._db.write() as tx:
            if store.is_taken(tx.sql, order.name):
                raise store.name_taken(order.name)
            workspace = replace(workspace, reserved_until=self._allowed(tx, workspace))
            store.add(tx, workspace, due_at=self._clock.now())
            self._storage.join(tx, host(workspace), order.volumes)
            self._profiles.used(tx, workspace.profile)
            self._tell(tx, None, workspace)
        return replace(drawn, workspace=workspace)

    def every(self) -> list[Workspace]:
        """All workspaces."""
        with self._db.read() as sql:
            return store.every(sql)

    def named(self, name: str) -> Workspace:
        """The workspace with that name or instance id."""
        with self._db.read() as sql:
            return store.named(sql, name)

    def ready_at(self, workspace: Workspace, verb: Verb) -> datetime:
        """When it should be ready, were `verb` asked now; from what it took before."""
        return whole(self._clock.now() + self.ready_in(workspace, verb)[0])

    def ready_in(self, workspace: Workspace, verb: Verb) -> tuple[timedelta, bool]:
        """How long `verb` takes, and whether that was measured."""
        provider = workspace.place.partition(":")[0]
        with self._db.read() as sql:
            usual = store.usual_seconds(sql, workspace.template, provider, verb)
        if usual is not None:
            return timedelta(seconds=usual), True
        return timedelta(minutes=1 if provider == "local" else 5), False

    def ask(self, name: str, verb: Verb) -> tuple[State, Workspace]:
        """Ask something of a workspace; the state before, and the workspace after."""
        with self._db.write() as tx:
            before, now = store.named(tx.sql, name), self._clock.now()
            if verb is Verb.HIBERNATE and not before.hibernation:
                raise _cannot_hibernate(before, self._sleepless(before))
            if (admitted := admit(before, verb)) is None:
                return state_of(before), self._as_it_is(tx, before, verb)
            store.ask(tx, before, admitted, now, expiry_after(before, verb, now))
            after = store.by_id(tx.sql, before.id)
            if state_of(after) in ACTIVE:
                store.reserve(tx, after.id, self._allowed(tx, after), now)
                after = store.by_id(tx.sql, after.id)
            self._tell(tx, before, after)
            return state_of(before), after

    def restart(self, name: str) -> tuple[State, Workspace]:
        """Ask for a stop and then a start; the reconciler asks for the start in this one's name.

        One that is down already is only started.
        """
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            if before.restarting:
                return state_of(before), before
            first = restart_begins_with(before)
            was, after = self.ask(name, first)
            if first is Verb.STOP:
                store.set_restarting(tx, after.id, restarting=True)
            return was, store.by_id(tx.sql, after.id)

    def terminate(self, name: str, termination: Termination) -> Workspace:
        """Ask for a workspace to be destroyed."""
        self.named(name)
        if termination.confirm != "DELETE":
            raise ConfirmationRequired(
                details='confirm: must be "DELETE"',
                remediation=f"Use `prism workspace terminate {name} --yes`",
                data={"fields": [{"field": "confirm", "why": 'must be "DELETE"'}]},
            )
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            if before.verb is not Verb.TERMINATE:
                self._storage.undisturbed(tx.sql, before.id, before.name, "terminate")
            after = self.ask(name, Verb.TERMINATE)[1]
            exists = before.seen not in {Seen.NONE, Seen.UNSURE, Seen.GONE}
            wanted = termination.backup_ebs and exists
            self._storage.backup(tx, host(before), wanted=wanted)
            self._storage.leave(tx, before.id)
            return after

    def extend(self, name: str, hours: float | None) -> Workspace:
        """Let it run longer: hours are added to its expiry, even to one that has passed.

        0 or less are 4 hours; none takes its expiry away.
        """
        with self._db.write() as tx:
            before, now = store.named(tx.sql, name), self._clock.now()
            if (state := state_of(before)) in {State.TERMINATING, State.TERMINATED}:
                raise InvalidState(
                    f"Workspace {before.name!r} is {state}",
                    details="there is nothing left to extend",
                    remediation="Use `prism workspace list` to see available workspaces",
                    data={"state": state, "allowed": possible(before)},
                )
            expires_at = None
            if hours is not None:
                more = timedelta(hours=hours) if hours > 0 else AGAIN
                expires_at = _later(before.expires_at or now, more)
            store.extend(tx, before.id, expires_at, now)
            if state in ACTIVE:
                longer = replace(before, expires_at=expires_at)
                until = self._allowed(tx, longer, beyond=before.expires_at)
                store.reserve(tx, before.id, until, now)
            tx.happened(
                WorkspaceExtended(
                    **about(before),
                    actor=self._who(),
                    previous_expires_at=before.expires_at,
                    expires_at=expires_at,
                )
            )
            return store.by_id(tx.sql, before.id)

    def update(self, name: str, asked: Update) -> Workspace:
        """Change whether it is started again after an interruption."""
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            if before.restart == asked.restart:
                return before
            store.set_restart(tx, before.id, restart=asked.restart)
            tx.happened(
                WorkspaceUpdated(
                    **about(before),
                    actor=self._who(),
                    previous_restart=before.restart,
                    restart=asked.restart,
                )
            )
            return store.by_id(tx.sql, before.id)

    def start_again(self, id: str, why: str) -> None:
        """Start one that was interrupted, if its money allows; else it stays stopped, and why."""
        with self._db.write() as tx:
            before, now = store.by_id(tx.sql, id), self._clock.now()
            try:
                with self._db.write():
                    store.ask(tx, before, Verb.START, now, before.expires_at)
                    after = store.by_id(tx.sql, id)
                    store.reserve(tx, id, self._allowed(tx, after), now)
            except Problem as no:
                store.ask(tx, before, Verb.STOP, now, before.expires_at)
                why = f"{why}, and it is not started again: {no.message}"
            else:
                why = f"{why}; it is started again, as set"
            self._tell(tx, before, store.by_id(tx.sql, id), actor=SYSTEM, reason=why)

    def finish_restart(self, id: str, *, stopped: bool) -> Failure | None:
        """Start one that was stopped for that; why it is not started, where it may not be."""
        with self._db.write() as tx:
            before, now = store.by_id(tx.sql, id), self._clock.now()
            store.set_restarting(tx, id, restarting=False)
            if not stopped:
                return None
            try:
                with self._db.write():
                    store.ask(tx, before, Verb.START, now, expiry_after(before, Verb.START, now))
                    store.reserve(tx, id, self._allowed(tx, store.by_id(tx.sql, id)), now)
            except Problem as no:
                return Failure(no.code, f"It was stopped, and is not started again: {no.message}")
            after = store.by_id(tx.sql, id)
            self._tell(tx, before, after, actor=SYSTEM, reason="it was stopped to be restarted")
            return None

    def _as_it_is(self, tx: Tx, before: Workspace, verb: Verb) -> Workspace:
        """A verb that changes nothing, but that `stop` ends a restart."""
        if verb is not Verb.STOP or not before.restarting:
            return before
        store.set_restarting(tx, before.id, restarting=False)
        after = store.by_id(tx.sql, before.id)
        self._tell(tx, before, after)
        return after

    def holds(self, tx: Tx, profile: str) -> str | None:
        """Implements `profiles.model.Holder`: a profile stays while its workspaces live."""
        count = store.living_of(tx.sql, profile)
        return f"{count} workspaces were launched with it" if count else None

    def holds_project(self, tx: Tx, project: Project) -> str | None:
        """Implements `projects.model.Holder`: a project stays while it has workspaces."""
        count = store.listed_in(tx.sql, project.id)
        return f"{count} workspaces belong to it" if count else None

    def renamed_project(self, tx: Tx, project: Project) -> None:
        """Implements `projects.model.Holder`: its workspaces show the new name."""
        for it in store.rename(tx, project.id, project.name, self._clock.now()):
            tx.happened(
                WorkspaceMoved(
                    **about(it),
                    actor=self._who(),
                    state=state_of(it),
                    stage=it.stage,
                    progress=it.progress,
                )
            )

    def put_down(self, id: str, why: str) -> None:
        """Have it sleep, or stop where it cannot, because somebody upstairs says so."""
        with self._db.write() as tx:
            before, now = store.by_id(tx.sql, id), self._clock.now()
            if state_of(before) not in ACTIVE:
                return
            if now < asks_again_at(before):
                return
            exists = before.seen not in {Seen.NONE, Seen.UNSURE}
            verb = puts_down(before) if exists else Verb.STOP
            store.ask(tx, before, verb, now, before.expires_at)
            self._tell(tx, before, store.by_id(tx.sql, id), actor=SYSTEM, reason=why)

    def reprice(self, id: str, hourly: Micros | None, source: str | None) -> None:
        """An hour of it costs something else from now on."""
        with self._db.write() as tx:
            before = store.by_id(tx.sql, id)
            store.reprice(tx, id, hourly, source)
            after = store.by_id(tx.sql, id)
            for meter in self._meters:
                meter.changed(tx, before, after, self._clock.now(), sure=True)
            tx.happened(
                WorkspaceRepriced(
                    **about(after),
                    actor=SYSTEM,
                    previous_hourly=before.hourly_rate,
                    hourly=hourly,
                )
            )

    def hold(self, id: str, until: datetime | None) -> None:
        """Let it run until then; its machine is told."""
        with self._db.write() as tx:
            store.reserve(tx, id, until, self._clock.now())

    def _drawn(self, order: Launch) -> Drawn:
        profile, template = self._profiles.current(), self._templates.named(order.template)
        terms = self._terms(replace(profile, region=order.region or profile.region))
        parameters = parameters_for(template, order.parameters)
        size = order.size or template.size or "M"
        kind = machine_type(order.instance_type, size, template.family)
        self._know(order.idle_profile or template.idle_profile)
        fund = self._funded(order, profile)
        notes = terms.accept(template, kind, order)
        workspace = fund.pays(self._workspace(order, profile, terms, template, kind))
        return Drawn(replace(workspace, parameters=parameters), terms.image(template, kind), notes)

    def _workspace(
        self,
        order: Launch,
        profile: Profile,
        terms: Terms,
        template: Template,
        kind: MachineType,
    ) -> Workspace:
        now = self._clock.now()
        id = sortable_id("ws", now)
        hourly, source = terms.price(kind, order.spot, order.unlimited)
        return Workspace(
            id=id,
            name=order.name,
            owner=self._who(),
            profile=profile.name,
            place=terms.place,
            template=template.name,
            recipe=template,
            instance_type=kind.name,
            region=terms.region,
            expected_id=terms.expected_id(id),
            spot=order.spot,
            open_ports=order.open_ports,
            unlimited=order.unlimited,
            hourly_rate=hourly,
            price_source=source,
            hibernation=order.hibernation and terms.hibernates(kind, template, order),
            root_gb=terms.root_gb(kind, template, order),
            root_type=order.storage.ebs_volume_type,
            restart=order.restart,
            idle_profile=order.idle_profile or template.idle_profile,
            launched_at=whole(now),
            wished_at=now,
            expires_at=whole(now + timedelta(hours=order.ttl_hours)) if order.ttl_hours else None,
        )

    def _funded(self, order: Launch, profile: Profile) -> Fund:
        project = order.project or profile.default_project
        if self._treasury is not None:
            with self._db.read() as sql:
                return self._treasury.fund(sql, project, order.budget)
        if project is not None:
            raise ProjectNotFound(f"Project {project!r} not found")
        if order.budget is not None:
            raise BudgetNotFound(f"Budget {order.budget!r} not found")
        return Fund()

    def _know(self, idle_profile: str | None) -> None:
        """Raise where nobody has that profile; a name is never ignored."""
        if self._watcher is not None and idle_profile is not None:
            with self._db.read() as sql:
                self._watcher.know(sql, idle_profile)

    def _allowed(
        self, tx: Tx, workspace: Workspace, *, beyond: datetime | None = None
    ) -> datetime | None:
        """Ask everybody upstairs; the nearest time until which they let it run."""
        allowed = [guard.allow(tx, workspace, beyond=beyond) for guard in self._guards]
        return min((until for until in allowed if until is not None), default=None)

    def _tell(
        self,
        tx: Tx,
        before: Workspace | None,
        after: Workspace,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        for meter in self._meters:
            meter.changed(tx, before, after, self._clock.now(), sure=True)
        tx.happened(
            WorkspaceAsked(
                **about(after),
                actor=actor or self._who(),
                verb=after.verb,
                previous_state=None if before is None else state_of(before),
                state=state_of(after),
                reason=reason,
            )
        )


def _later(at: datetime, more: timedelta) -> datetime:
    if at + more > LAST:
        raise ValidationFailed.of(("hours", f"nothing may expire after {LAST:%Y}"))
    return whole(at + more)


def _cannot_hibernate(workspace: Workspace, why: str | None) -> HibernationNotSupported:
    return HibernationNotSupported(
        f"Workspace {workspace.name!r} cannot hibernate",
        details=why or ASKED_NOT_TO,
        remediation=f"Stop it instead: `prism workspace stop {workspace.name}`",
    )
