"""Requests for workspaces: one transaction each; nothing here waits for a provider."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from shlex import quote

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.catalog.model import MachineType
from prism.catalog.plan import TYPES, machine_type
from prism.errors import Problem, ValidationFailed
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.money import Micros
from prism.profiles.model import Profile
from prism.profiles.providers import provider_of, traits_of
from prism.profiles.service import ProfileService
from prism.projects.model import Project, ProjectUse
from prism.storage.snapshot_service import SnapshotService
from prism.templates.model import Template
from prism.templates.plan import parameters_for
from prism.templates.service import TemplateService
from prism.workspaces import store
from prism.workspaces.attachment_hosts import host
from prism.workspaces.changes import WorkspaceChanges, asked_event
from prism.workspaces.events import (
    SYSTEM,
    WorkspaceExtended,
    WorkspaceProgressed,
    WorkspaceRepriced,
    WorkspaceResized,
    WorkspaceTransferred,
    WorkspaceUpdated,
    about,
)
from prism.workspaces.hooks import BudgetForecast, FundingPolicy, IdleMonitor
from prism.workspaces.launch_owner import with_owner
from prism.workspaces.model import (
    ConfirmationRequired,
    ExtendRequest,
    HibernationNotSupported,
    LaunchRequest,
    LifecycleVerb,
    MoveRequest,
    Observed,
    Offer,
    PricedKind,
    ResizeRequest,
    StartRequest,
    TerminateRequest,
    UpdateRequest,
    Workspace,
    WorkspaceFailure,
    WorkspaceState,
)
from prism.workspaces.plan import (
    ACTIVE,
    expiry_after,
    may_resize,
    may_sleep_at,
    requested_expiry,
    require_living,
    restart_begins_with,
    sleep_verb,
    state_of,
    verb_to_request,
    with_request,
)
from prism.workspaces.rollback import snapshot_for_launch
from prism.workspaces.template_again import TemplateReader
from prism.workspaces.view import require_price

NAMES_IN_REFUSAL = 5
LAUNCHED_WITHOUT = (
    "it was launched without hibernation, as with `--no-hibernation`, which cannot be changed"
)


class LaunchPlan(Struct, frozen=True):
    """The workspace that a launch would create, and notes about it."""

    workspace: Workspace
    image: str
    notes: tuple[str, ...]
    outlook: BudgetForecast = BudgetForecast()


class WorkspaceService:
    """The requests of one user about workspaces."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        templates: TemplateService,
        profiles: ProfileService,
        offer_of_profile: Callable[[Profile], Offer],
        storage: SnapshotService,
        actor: Who,
        template_reader: TemplateReader,
        no_hibernation: Callable[[Workspace], str | None],
        changes: WorkspaceChanges,
        offer_of_workspace: Callable[[Workspace], Offer],
        funding: FundingPolicy,
        idle_monitor: IdleMonitor,
        has_seen: Callable[[Workspace], bool] = lambda _: True,
        creation: str,
    ) -> None:
        """`no_hibernation` says why a workspace without hibernation cannot hibernate.

        `offer_of_profile` is for a launch with a profile, `offer_of_workspace` for a resize.
        `creation` says who may make projects in team mode (`Settings.project_creation`).
        `has_seen` is whether a machine was looked at since the daemon's start.
        """
        self._db, self._clock, self._templates = db, clock, templates
        self._no_hibernation, self._template_reader = no_hibernation, template_reader
        self._profiles, self._offer_of_profile, self._storage = profiles, offer_of_profile, storage
        self._actor, self._changes, self._offer_of_workspace = actor, changes, offer_of_workspace
        self._funding, self._idle_monitor, self._has_seen = funding, idle_monitor, has_seen
        self._creation = creation

    def plan_launch(self, request: LaunchRequest) -> LaunchPlan:
        """Plan a launch without requesting it; raises the refusal that it would get."""
        launch_plan = self._plan(request)
        with self._db.read() as sql:
            if store.is_taken(sql, request.name, launch_plan.workspace.owner):
                raise store.name_taken(request.name)
            self._storage.require_attachable(sql, host(launch_plan.workspace), request.volumes)
            self._with_snapshot(sql, launch_plan.workspace, request)
            return replace(launch_plan, outlook=self._funding.outlook(sql, launch_plan.workspace))

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """Request a new workspace."""
        launch_plan = self._plan(request)
        require_price(launch_plan.workspace, request.max_hourly_rate)
        with self._db.write() as tx:
            if store.is_taken(tx.sql, request.name, launch_plan.workspace.owner):
                raise store.name_taken(request.name)
            workspace = self._with_snapshot(tx.sql, launch_plan.workspace, request)
            event = partial(asked_event, None)
            workspace = self._changes.apply(tx, None, workspace, event, admit=True)
            self._storage.attach_to_new(tx, host(workspace), request.volumes)
            self._profiles.used(tx, workspace.profile)
        return replace(launch_plan, workspace=workspace)

    def _with_snapshot(
        self, sql: Connection, workspace: Workspace, request: LaunchRequest
    ) -> Workspace:
        if request.from_snapshot is None:
            return workspace
        name, location = request.from_snapshot, workspace.location
        snapshot = snapshot_for_launch(sql, self._storage, name, location)
        return replace(workspace, rollback_to=snapshot.id)

    def named(self, name: str) -> Workspace:
        """The workspace with that name or instance id."""
        with self._db.read() as sql:
            return store.named(sql, name)

    def ready_at(self, workspace: Workspace, verb: LifecycleVerb) -> datetime:
        """When a workspace should be ready if `verb` is requested now, going by earlier runs."""
        return whole(self._clock.now() + self.ready_in(workspace, verb)[0])

    def ready_in(self, workspace: Workspace, verb: LifecycleVerb) -> tuple[timedelta, bool]:
        """How long `verb` takes, and whether that was measured."""
        provider = provider_of(workspace.location)
        with self._db.read() as sql:
            usual = store.usual_seconds(sql, workspace.template, provider, verb)
        if usual is not None:
            return timedelta(seconds=usual), True
        return timedelta(seconds=traits_of(workspace.location).launch_seconds), False

    def start(self, name: str, request: StartRequest) -> tuple[WorkspaceState, Workspace]:
        """Request a start, with the current template if the request says so."""
        if not request.template_again:
            return self.ask(name, LifecycleVerb.START)
        template, parameters = self._template_reader.checked(self.named(name))
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            if (after := self._template_reader.changed(before, template, parameters)) != before:
                self._changes.apply(tx, before, after)
            return self.ask(name, LifecycleVerb.START, reason="its template was read again")

    def ask(
        self, name: str, verb: LifecycleVerb, reason: str | None = None
    ) -> tuple[WorkspaceState, Workspace]:
        """Request a verb; the workspace before and after the request."""
        with self._db.write() as tx:
            before, now = store.named(tx.sql, name), self._clock.now()
            if verb is LifecycleVerb.HIBERNATE and not before.hibernation:
                raise _cannot_hibernate(before, self._no_hibernation(before))
            admitted = verb_to_request(before, verb, seen=self._has_seen(before))
            if admitted is None:
                return state_of(before), self._end_restart(tx, before, verb)
            expires_at = expiry_after(before, verb, now)
            after = with_request(
                before, admitted, now, self._actor(), reason=reason, expires_at=expires_at
            )
            event, admit_it = partial(asked_event, before), state_of(after) in ACTIVE
            return state_of(before), self._changes.apply(tx, before, after, event, admit=admit_it)

    def restart(self, name: str) -> tuple[WorkspaceState, Workspace]:
        """Request a stop, after which the reconciler requests a start.

        A workspace that is already down is only started.
        """
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            if before.restarting:
                return state_of(before), before
            first = restart_begins_with(before)
            previous, after = self.ask(name, first)
            if first is LifecycleVerb.STOP:
                after = self._changes.apply(tx, after, replace(after, restarting=True))
            return previous, after

    def terminate(self, name: str, termination: TerminateRequest) -> Workspace:
        """Request that a workspace is destroyed."""
        self.named(name)
        if termination.confirm != "DELETE":
            raise ConfirmationRequired(
                details='confirm: must be "DELETE"',
                remediation=f"Use `prism workspace terminate {name} --yes`",
                data={"fields": [{"field": "confirm", "why": 'must be "DELETE"'}]},
            )
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            if before.verb is not LifecycleVerb.TERMINATE:
                self._storage.require_not_being_copied(tx.sql, before.id, before.name, "terminate")
            after = self.ask(name, LifecycleVerb.TERMINATE)[1]
            exists = before.observed not in {Observed.NONE, Observed.UNSURE, Observed.GONE}
            backs_up = termination.backup_ebs and exists
            self._storage.backup(tx, host(before), keep=backs_up)
            self._storage.detach_all(tx, before.id)
            return after

    def extend(self, name: str, request: ExtendRequest) -> Workspace:
        """Change the expiry; money for the time until then is reserved first."""
        with self._db.write() as tx:
            before, now = store.named(tx.sql, name), self._clock.now()
            require_living(before, "extend")
            old, new = before.expires_at, requested_expiry(request, before.expires_at, now)
            new = None if new is None else whole(new)
            event = WorkspaceExtended(
                **about(before),
                actor=self._actor(),
                previous_expires_at=old,
                expires_at=new,
            )
            return self._changes.apply(
                tx,
                before,
                replace(before, expires_at=new),
                lambda _: event,
                admit=state_of(before) in ACTIVE,
                beyond=old,
            )

    def update(self, name: str, request: UpdateRequest) -> Workspace:
        """Change whether a workspace is started again after an interruption."""
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            if before.restart == request.restart:
                return before
            event = WorkspaceUpdated(
                **about(before),
                actor=self._actor(),
                previous_restart=before.restart,
                restart=request.restart,
            )
            after = replace(before, restart=request.restart)
            return self._changes.apply(tx, before, after, lambda _: event)

    def resize(
        self, name: str, request: ResizeRequest
    ) -> tuple[Workspace, Workspace, tuple[str, ...]]:
        """Request another machine type; the workspace before and after, and notes.

        Raises `InvalidState` unless it is stopped, `UnknownType`, and the provider's refusal.
        """
        if (request.instance_type is None) == (request.size is None):
            raise ValidationFailed.of(("instance_type", "give either this or `size`"))
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            kind = machine_type(
                request.instance_type, request.size, before.resolved_template.family
            )
            may_resize(before)
            self._storage.require_not_being_copied(tx.sql, before.id, before.name, "resize")
            offer = self._offer_of_workspace(before)
            notes = offer.resize(before, kind)
            if kind.name == before.instance_type:
                return before, before, notes
            price = offer.price(kind, before.spot, before.unlimited)
            return before, self._resize(tx, before, kind.name, price, self._actor()), notes

    def other_type(self, tx: Tx, id: str, name: str) -> Workspace:
        """Update the price of a machine whose type was changed outside of Prism.

        If the price cannot be read now, it is unknown until `PriceWatch` reads it.
        """
        before, kind = store.by_id(tx.sql, id), TYPES.get(name)
        price: tuple[Micros | None, str | None] = None, None
        if kind is not None:
            with suppress(Problem):
                price = self._offer_of_workspace(before).price(kind, before.spot, before.unlimited)
        return self._resize(tx, before, name, price, SYSTEM)

    def _resize(
        self,
        tx: Tx,
        before: Workspace,
        name: str,
        price: tuple[Micros | None, str | None],
        actor: str,
    ) -> Workspace:
        hourly, source = price
        after = replace(before, instance_type=name, hourly_rate=hourly, price_source=source)
        event = WorkspaceResized(
            **about(after),
            actor=actor,
            previous_instance_type=before.instance_type,
            previous_hourly=before.hourly_rate,
            instance_type=name,
            hourly=hourly,
        )
        return self._changes.apply(tx, before, after, lambda _: event)

    def resize_refused(self, tx: Tx, before: Workspace, refused: str) -> Workspace:
        """Restore the old type, unless another type was requested meanwhile."""
        if before.instance_type != refused or before.observed_type is None:
            return before
        return self._changes.apply(tx, before, replace(before, instance_type=before.observed_type))

    def move(self, name: str, request: MoveRequest) -> tuple[Workspace, Workspace]:
        """Let another project pay from now on; the workspace before and after.

        Past costs stay where they were booked. The new payer must be able to pay: everything is
        one transaction, so the old reservation is released if, and only if, the new one is
        granted.
        """
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            require_living(before, "pay for")
            fund = self._funding.fund(tx.sql, request.project, request.budget)
            if (fund.project, fund.allocation) == (before.project, before.allocation):
                return before, before
            after = fund.apply_to(before)
            event = WorkspaceTransferred(
                **about(after),
                actor=self._actor(),
                previous_project=before.project,
                previous_budget=before.budget,
                budget=after.budget,
            )
            moved = self._changes.apply(tx, before, after, lambda _: event, admit=True)
            self._storage.detach_foreign(tx, moved.id, moved.project)
            return before, moved

    def start_again(self, id: str, why: str) -> None:
        """Start a workspace after an interruption; if that is refused, record why."""
        with self._db.write() as tx:
            before, now = store.by_id(tx.sql, id), self._clock.now()
            reason, event = f"{why}; it is started again, as set", partial(asked_event, before)
            try:
                with self._db.write():
                    after = with_request(before, LifecycleVerb.START, now, SYSTEM, reason=reason)
                    self._changes.apply(tx, before, after, event, admit=True)
            except Problem as error:
                why = f"{why}, and it is not started again: {error.message}"
                after = with_request(before, LifecycleVerb.STOP, now, SYSTEM, reason=why)
                self._changes.apply(tx, before, after, event)

    def finish_restart(self, id: str, *, stopped: bool) -> WorkspaceFailure | None:
        """Start a workspace that was stopped for a restart; the failure if that is refused."""
        with self._db.write() as tx:
            before, now = store.by_id(tx.sql, id), self._clock.now()
            ended = self._changes.apply(tx, before, replace(before, restarting=False))
            if not stopped:
                return None
            verb = LifecycleVerb.START
            after = with_request(
                ended,
                verb,
                now,
                SYSTEM,
                reason="it was stopped to be restarted",
                expires_at=expiry_after(before, verb, now),
            )
            try:
                with self._db.write():
                    self._changes.apply(tx, ended, after, partial(asked_event, before), admit=True)
            except Problem as error:
                why = f"It was stopped, and is not started again: {error.message}"
                return WorkspaceFailure(error.code, why)
            return None

    def _end_restart(self, tx: Tx, before: Workspace, verb: LifecycleVerb) -> Workspace:
        """The workspace, which `verb` does not change; a `stop` also cancels a restart."""
        if verb is not LifecycleVerb.STOP or not before.restarting:
            return before
        after = replace(before, restarting=False, requested_by=self._actor(), request_reason=None)
        return self._changes.apply(tx, before, after, partial(asked_event, before))

    def use_of_project(self, tx: Tx, project: Project) -> ProjectUse | None:
        """Implements `ProjectDependent`: a project stays while it has workspaces."""
        if not (names := store.names_in(tx.sql, project.id)):
            return None
        word = "workspaces belong" if len(names) > 1 else "workspace belongs"
        reason = f"{len(names)} {word} to it: {', '.join(names[:NAMES_IN_REFUSAL])}"
        hint = f"Terminate what you do not need: `prism list --project {quote(project.name)}`"
        return ProjectUse(reason + ", …" * (len(names) > NAMES_IN_REFUSAL), hint)

    def renamed_project(self, tx: Tx, project: Project) -> None:
        """Implements `ProjectDependent`: show the new name in the project's workspaces."""
        for before in store.all_in(tx.sql, project.id):
            after = replace(before, project_name=project.name)
            self._changes.apply(tx, before, after, self._progressed_event)

    def force_sleep(self, id: str, why: str) -> None:
        """Hibernate a workspace for another package, or stop it if it cannot hibernate."""
        with self._db.write() as tx:
            before, now = store.by_id(tx.sql, id), self._clock.now()
            if state_of(before) not in ACTIVE:
                return
            if now < may_sleep_at(before):
                return
            exists = before.observed not in {Observed.NONE, Observed.UNSURE}
            verb = sleep_verb(before) if exists else LifecycleVerb.STOP
            after = with_request(before, verb, now, SYSTEM, reason=why)
            self._changes.apply(tx, before, after, partial(asked_event, before))

    def expired(self, tx: Tx, before: Workspace, verb: LifecycleVerb, why: str) -> None:
        """Request sleep, in the transaction that has observed the expiry."""
        after = with_request(before, verb, self._clock.now(), SYSTEM, reason=why)
        self._changes.apply(tx, before, after, partial(asked_event, before))

    def reprice(
        self, id: str, hourly: Micros | None, source: str | None, priced: PricedKind | None = None
    ) -> bool:
        """Change the hourly price of a workspace from now on.

        With `priced`, the kind that the price is for, False if the workspace has changed since.
        """
        with self._db.write() as tx:
            before = store.by_id(tx.sql, id)
            if priced is not None and PricedKind.of(before) != priced:
                return False
            event = WorkspaceRepriced(
                **about(before), actor=SYSTEM, previous_hourly=before.hourly_rate, hourly=hourly
            )
            after = replace(before, hourly_rate=hourly, price_source=source)
            self._changes.apply(tx, before, after, lambda _: event)
            return True

    def set_reservation(self, id: str, until: datetime | None) -> None:
        """Let a workspace run until then, and send that time to its machine."""
        with self._db.write() as tx:
            before = store.by_id(tx.sql, id)
            self._changes.apply(tx, before, replace(before, reserved_until=until))

    def _plan(self, request: LaunchRequest) -> LaunchPlan:
        profile = self._profiles.chosen(request.profile)
        template = self._templates.named(request.template)
        offer = self._offer_of_profile(replace(profile, region=request.region or profile.region))
        parameters = parameters_for(template, request.parameters)
        size = request.size or template.size or "M"
        kind = machine_type(request.instance_type, size, template.family)
        idle_profile = request.idle_profile or template.idle_profile
        with self._db.read() as sql:
            if idle_profile is not None:
                self._idle_monitor.require_profile(sql, idle_profile)
            project = request.project or profile.default_project
            fund = self._funding.fund(sql, project, request.budget)
        notes = offer.accept(template, kind, request)
        workspace = fund.apply_to(self._workspace(request, profile, offer, template, kind))
        if request.owner is not None:
            with self._db.read() as sql:
                now, creation = self._clock.now(), self._creation
                workspace = with_owner(sql, workspace, request.owner, now, creation=creation)
        return LaunchPlan(
            replace(workspace, parameters=parameters), offer.image(template, kind), notes
        )

    def _workspace(
        self,
        request: LaunchRequest,
        profile: Profile,
        offer: Offer,
        template: Template,
        kind: MachineType,
    ) -> Workspace:
        now = self._clock.now()
        id = sortable_id("ws", now)
        hourly, source = offer.price(kind, request.spot, request.unlimited)
        return Workspace(
            id=id,
            name=request.name,
            owner=self._actor(),
            profile=profile.name,
            location=offer.location,
            template=template.name,
            resolved_template=template,
            instance_type=kind.name,
            region=offer.region,
            expected_id=offer.expected_id(id),
            spot=request.spot,
            open_ports=request.open_ports,
            unlimited=request.unlimited,
            hourly_rate=hourly,
            price_source=source,
            hibernation=request.hibernation and offer.hibernates(kind, template, request),
            root_gb=offer.root_gb(kind, template, request),
            root_type=request.storage.ebs_volume_type,
            restart=request.restart,
            idle_profile=request.idle_profile or template.idle_profile,
            launched_at=whole(now),
            launched_by=self._actor(),
            requested_at=now,
            requested_by=self._actor(),
            expires_at=whole(now + timedelta(hours=request.ttl_hours))
            if request.ttl_hours
            else None,
        )

    def _progressed_event(self, workspace: Workspace) -> WorkspaceProgressed:
        return WorkspaceProgressed(
            **about(workspace),
            actor=self._actor(),
            state=state_of(workspace),
            stage=workspace.stage,
            progress=workspace.progress,
        )


def _cannot_hibernate(workspace: Workspace, why: str | None) -> HibernationNotSupported:
    return HibernationNotSupported(
        f"Workspace {workspace.name!r} cannot hibernate",
        details=why or LAUNCHED_WITHOUT,
        remediation=f"Stop it instead: `prism workspace stop {workspace.name}`",
    )
