"""The parts of every package, each made once, when it is first used.

A part is a cached property that builds it from other parts, so the order does not matter. A new
package adds its properties here, and its routes and dependencies in `app.py`.
"""

import logging
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from prism.access.handles import Handles
from prism.access.middleware import Authenticator
from prism.access.model import Subject, current
from prism.access.plan import visible
from prism.access.request_lifetime import LongRequests
from prism.access.revocation import Revocation
from prism.access.service import TokenService
from prism.access.visibility import event_filters, ids_of_caller
from prism.audit.model import AuditedWorkspace
from prism.audit.service import AuditService
from prism.catalog.plan import machine_type
from prism.connections.app_origins import AppOrigins
from prism.connections.model import AppsDomain
from prism.connections.routing import PortRouter
from prism.connections.terminal_sessions import ShellSessions
from prism.connections.waking import AddressWaking
from prism.connections.workspace_proxy import WorkspaceProxy
from prism.copies.remote import RemoteCopyReader
from prism.copies.service import CopyService
from prism.daemon.api import Counts, DaemonControl
from prism.daemon.cleaning import CleaningService
from prism.daemon.database_probe import DatabaseProbe
from prism.daemon.disk_reserve import HomeDisk
from prism.daemon.doctor import Doctor
from prism.daemon.gui_settings import GuiSettingsFile
from prism.daemon.server_certificate import ServerCertificate
from prism.daemon.wiring.logins import (
    LoginParts,
    account_login,
    account_troubles,
    link_mails,
    mails_links,
    open_invitation,
    provider_logins,
)
from prism.daemon.wiring.notices import NoticeWiring
from prism.daemon.wiring.providers import ByLocation
from prism.daemon.wiring.sharing import SharingParts
from prism.daemon.wiring.watching import WatchingWiring
from prism.files.homes import HomeFiles
from prism.idle.activity import ActivityRecorder
from prism.idle.observer import IdleObserver
from prism.idle.service import IdleService, IdleTracker
from prism.invitations.ports import MailTransport
from prism.invitations.reconciler import MailReconciler
from prism.invitations.service import InvitationService
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.database.disk_reserve import Reserve
from prism.kit.db import Database, Tx
from prism.kit.event_ids import IdsOfCaller
from prism.kit.events import Bus
from prism.kit.gui_origin import host_parts
from prism.kit.reconcile import Loop
from prism.kit.stream import EventFilters
from prism.logs.reader import LogReader
from prism.profiles.model import ProfileShown
from prism.profiles.providers import AWS, provider_of
from prism.profiles.service import ProfileService
from prism.projects.members import MemberService
from prism.projects.model import Member, MembershipListener, NewMembership, Project
from prism.projects.reconciler import MemberEndReconciler
from prism.projects.service import ProjectService
from prism.providers.aws.offer import no_hibernation
from prism.providers.local.cleaning import Cleaner
from prism.providers.mail.outbox import OutboxTransport
from prism.sessions.api import LoginSettings
from prism.sessions.app_sessions import AppSessions
from prism.sessions.groups import remember_end
from prism.sessions.invitation_links import InvitationLinks
from prism.sessions.lineage import SessionLineage
from prism.sessions.service import SessionService
from prism.sessions.terminal_login import TerminalLogins
from prism.sharing.service import ShareService
from prism.storage import store as storage_rows
from prism.storage.snapshot_service import SnapshotService
from prism.storage.view import ViewSources
from prism.templates.service import TemplateService
from prism.templates.store import template_folders
from prism.visits.service import VisitService
from prism.workspaces import store as workspace_rows
from prism.workspaces.attachment_hosts import AttachmentHosts
from prism.workspaces.leaving import LeavingService
from prism.workspaces.model import LifecycleVerb
from prism.workspaces.plan import ACTIVE, IN_BETWEEN
from prism.workspaces.read_model import ReadModel
from prism.workspaces.rollback import RollbackService
from prism.workspaces.routes import ConnectionReader
from prism.workspaces.service import WorkspaceService
from prism.workspaces.surveys.delays import Delays
from prism.workspaces.surveys.machine_notes import MachineNotes
from prism.workspaces.template_again import TemplateReader

log = logging.getLogger(__name__)


class Wiring(NoticeWiring, WatchingWiring):
    """The parts of one daemon; `served` are the locations it serves instead of this machine."""

    _profiles: Sequence[ProfileShown] = ()
    _failed_copies: Sequence[str] = ()

    @cached_property
    def db(self) -> Database:
        """The database."""
        patience = float(self.settings.database_timeout)
        db = Database(self.settings.database, self.clock, Bus(), patience)
        if not db.shared:
            db.full = self.reserve.spend
        return db

    @cached_property
    def reserve(self) -> Reserve:
        """Disk space that is freed when the disk is full."""
        return Reserve(self.settings.folder)

    @cached_property
    def home_disk(self) -> HomeDisk:
        """The disk of the home."""
        return HomeDisk(self.reserve, holds_database=not self.db.shared)

    @cached_property
    def cleaning(self) -> CleaningService:
        """Frees space in the home."""
        return CleaningService(Cleaner(self.settings.folder), self.reserve)

    @cached_property
    def profiles(self) -> ProfileService:
        """Requests about profiles."""
        living_of = workspace_rows.living_of
        return ProfileService(self.db, self.clock, self.who, living_of, self.settings.profile)

    @cached_property
    def templates(self) -> TemplateService:
        """Requests about templates."""
        return TemplateService(
            template_folders(self.settings.templates), self.db, self.who, machine_type
        )

    @cached_property
    def workspaces(self) -> WorkspaceService:
        """Requests about workspaces."""
        return WorkspaceService(
            self.db,
            self.clock,
            templates=self.templates,
            profiles=self.profiles,
            offer_of_profile=self._offer,
            storage=self.storage,
            actor=self.who,
            template_reader=TemplateReader(self.templates, self._terms_of),
            no_hibernation=lambda w: no_hibernation(w) if provider_of(w.location) == AWS else None,
            changes=self.workspace_changes,
            offer_of_workspace=self._terms_of,
            funding=self.reservations,
            idle_monitor=self.idle_observer,
            has_seen=self.first_surveys.has_seen,
            creation=self.settings.project_creation,
        )

    @cached_property
    def rollbacks(self) -> RollbackService:
        """Requests for earlier files of workspaces."""
        return RollbackService(
            self.db,
            self.clock,
            storage=self.storage,
            changes=self.workspace_changes,
            actor=self.who,
        )

    @cached_property
    def read_model(self) -> ReadModel:
        """The cache that answers reads of workspaces."""
        model = ReadModel(
            self.db,
            self.costs.spends,
            self.idle_observer.idleness,
            self.costs.saved_since,
            Delays(self.clock, self.why_it_waits, self.why_not_seen).of,
            first_surveys=self.first_surveys,
            unreachable=self.homes.reason,
            notes=self.machine_notes.of,
            full_name=self.handles.full_name,
        )
        self.homes.changed.append(model.recache)
        self.machine_notes.changed.append(model.recache)
        return model

    @property
    def loops(self) -> list[Loop[Any]]:
        """The loops that run from the start."""
        main = [*self.local_loops, self.mail_loop, self.budget_loop, self.member_end_loop]
        shared = self.sharing_parts.loops if self.team else []
        return [*main, *self.notice_parts.loops, *shared]

    @cached_property
    def machine_notes(self) -> MachineNotes:
        """What machines lack while they run."""
        return MachineNotes()

    @cached_property
    def idle_observer(self) -> IdleObserver:
        """The idleness that machines report."""
        return IdleObserver(self.db, self.clock, self.measurements, self.activity)

    @cached_property
    def activity(self) -> ActivityRecorder:
        """The activity of workspaces in the last 24 hours."""
        return ActivityRecorder(self.db, self.clock)

    @cached_property
    def idle_tracker(self) -> IdleTracker:
        """Watches each workspace while it lives."""
        return IdleTracker(self.clock)

    @cached_property
    def logs(self) -> LogReader:
        """The logs of workspaces."""
        logs = ByLocation(self.providers.values, lambda it: it.logs)
        return LogReader(self.read_model, self.db, self.clock, logs)

    @cached_property
    def files(self) -> HomeFiles:
        """The files in the homes of workspaces."""
        files = ByLocation(self.providers.values, lambda it: it.files)
        return HomeFiles(self.read_model, self.db, self.clock, self.who, files)

    @cached_property
    def idleness(self) -> IdleService:
        """Requests about idleness."""
        return IdleService(
            self.db,
            self.clock,
            self.who,
            self.idle_observer,
            self.activity,
            changes=self.workspace_changes,
        )

    @cached_property
    def storage(self) -> SnapshotService:
        """Requests about volumes and snapshots."""
        hosts = AttachmentHosts()
        return SnapshotService(
            self.db,
            self.clock,
            offer=self._storage_offer,
            hosts=hosts,
            actor=self.who,
            changes=self.storage_changes,
            stopper=self.leaving,
            operator=self.settings.actor if self.team else None,
            sources=ViewSources(self.homes.reason, self.why_storage_waits, self.handles.full_name),
        )

    @cached_property
    def copies(self) -> CopyService:
        """Requests about copies of snapshots."""
        return CopyService(
            self.db,
            self.clock,
            self.who,
            storage=self.storage,
            profiles=self.profiles,
            hosts=AttachmentHosts(),
            offer=self._storage_offer,
            local_location=self.here,
        )

    @cached_property
    def remote_copies(self) -> RemoteCopyReader:
        """Reads what is at destinations of copies."""
        return RemoteCopyReader(
            ByLocation(self.providers.values, lambda it: it.copies), self.profiles
        )

    @cached_property
    def projects(self) -> ProjectService:
        """Requests about projects."""
        return ProjectService(
            self.db,
            self.clock,
            self.who,
            spending=self.spending,
            counts=self.read_model.counts,
            dependents=[self.workspaces, self.storage, self.spending],
            listeners=self.membership_listeners,
            creation=self.settings.project_creation,
        )

    @cached_property
    def handles(self) -> Handles:
        """The handles of people, for full names."""
        return Handles(self.db, self.settings.actor, team=self.team)

    def give_handles(self) -> None:
        """Give handles to the owners of what was made before the daemon was shared."""
        if self.team:
            with self.db.read() as sql:
                owners = {*workspace_rows.owners(sql), *storage_rows.owners(sql)}
            self.handles.give_missing(owners)

    @cached_property
    def leaving(self) -> LeavingService:
        """Stops and hands over the workspaces of people who lose a right."""
        return LeavingService(self.clock, actor=self.who, changes=self.workspace_changes)

    @cached_property
    def members(self) -> MemberService:
        """Requests about members."""
        parts = (self.db, self.clock, self.membership_listeners, self.leaving, self.revocation)
        settings = self.settings
        operator, creation = settings.actor, settings.project_creation
        return MemberService(*parts, creation=creation, operator=operator, on_end=remember_end)

    @cached_property
    def member_end_loop(self) -> Loop[Any]:
        """Ends memberships at their time."""
        ends = MemberEndReconciler(self.db, self.clock, self.members)
        return Loop(ends, self.db, self.clock, 1)

    @cached_property
    def membership_listeners(self) -> Sequence[MembershipListener]:
        """What follows from who joins and leaves projects."""
        return (self.invitations, self.storage, self.shares, self.webhook_makers)

    @cached_property
    def gui_settings(self) -> GuiSettingsFile:
        """What a person has chosen in the web GUI."""
        return GuiSettingsFile(self.settings.folder)

    @cached_property
    def tokens(self) -> TokenService:
        """Requests about tokens, for team mode."""
        actor = self.settings.actor
        return TokenService(self.db, self.clock, actor, self.members, self.revocation)

    @cached_property
    def revocation(self) -> Revocation:
        """Ends tokens and sessions with all that was made with them."""
        return Revocation(SessionLineage(), self.webhook_makers)

    @cached_property
    def long_requests(self) -> LongRequests:
        """Long requests, which end when their rights do."""
        return LongRequests(self.db, self.clock, self.sessions.with_current_rights)

    @cached_property
    def sessions(self) -> SessionService:
        """Requests about sessions of browsers, for team mode."""
        usual = f"http://localhost:{self.settings.port}"
        address = self.settings.public_url.rstrip("/") or usual
        is_open = partial(open_invitation, self.clock, mails_links=self.mails_links)
        return SessionService(
            self.db, self.clock, self.tokens, self.revocation, is_open, address=address
        )

    @cached_property
    def server_certificate(self) -> ServerCertificate | None:
        """The certificate with which the daemon itself speaks TLS, if it does."""
        settings = self.settings
        if not settings.tls_cert:
            return None
        return ServerCertificate(Path(settings.tls_cert), Path(settings.tls_key))

    @cached_property
    def terminal_logins(self) -> TerminalLogins:
        """Logins of command lines."""
        return TerminalLogins(self.db, self.clock, self.sessions)

    @property
    def authenticator(self) -> Authenticator:
        """Knows people by their tokens and sessions."""
        return self.sessions

    @property
    def login_parts(self) -> LoginParts:
        """What logins are made of."""
        return LoginParts(self.settings, self.db, self.clock, self.sessions, self.members)

    @cached_property
    def login(self) -> LoginSettings:
        """What logging in depends on."""
        settings = self.settings
        return LoginSettings(
            self.team,
            settings.public_url,
            settings.apps_domain,
            settings.project_creation,
            provider_logins(self.login_parts),
            account_login(self.login_parts),
            link_mails(self.login_parts, self.mail_transport.send),
        )

    @cached_property
    def visibility(self) -> EventFilters:
        """Filters live events by what a caller may see."""
        return event_filters(lambda: self.read_model.pages.version, self._subject_of, self.clock)

    @cached_property
    def event_ids(self) -> IdsOfCaller:
        """The ids of events that a caller gets."""
        return ids_of_caller(Path(self.settings.home, "event-ids.key"))

    @cached_property
    def audit(self) -> AuditService:
        """Reads the audit log."""
        return AuditService(self.db, self._subject_of, self._audited, self.event_ids)

    @cached_property
    def invitations(self) -> InvitationService:
        """Requests about invitations."""
        operator = self.settings.actor
        return InvitationService(
            self.db,
            self.clock,
            clear=not self.team,
            operator=operator,
            plan_membership=self._plan_membership,
            login_links=InvitationLinks(self.clock) if self.mails_links else None,
        )

    def _plan_membership(self, tx: Tx, project: Project, request: NewMembership) -> Member:
        """Implements `MembershipPlan`; members are made after invitations, which follow them."""
        return self.members.planned(tx, project, request)

    @property
    def mails_links(self) -> bool:
        """Whether links that log a person in are mailed."""
        return mails_links(self.settings)

    @cached_property
    def mail_transport(self) -> MailTransport:
        """Sends mail, or writes it into files without a mail server."""
        if url := self.settings.smtp_url:
            from prism.providers.mail.smtp import SmtpTransport  # noqa: PLC0415  cold start

            return SmtpTransport(url)
        return OutboxTransport(self.settings.folder / "outbox")

    @cached_property
    def mail_loop(self) -> Loop[Any]:
        """Sends the mail of invitations."""
        to = self.settings
        public_url = to.public_url if self.team else ""
        mail = MailReconciler(self.db, self.clock, self.mail_transport, to.sender, public_url)
        return Loop(mail, self.db, self.clock, threads=4)

    @cached_property
    def port_router(self) -> PortRouter:
        """Finds the port of a workspace that a request is for."""
        return PortRouter(self.read_model, self.computes, self.settings.port, self._apps_domain)

    @property
    def _apps_domain(self) -> AppsDomain | None:
        settings = self.settings
        if not settings.apps_domain:
            return None
        address = settings.public_url.rstrip("/")
        _, colon, port = host_parts(address.partition("://")[2])
        return AppsDomain(settings.apps_domain, f"{colon}{port}", address)

    @cached_property
    def app_origins(self) -> AppOrigins:
        """Serves workspaces at origins of their own."""
        sessions = AppSessions(self.db, self.clock, self.sessions)
        parts = (self.port_router, self.workspace_proxy, sessions, self.long_requests)
        return AppOrigins(*parts, clock=self.clock, shares=self.shares, visits=self.visits)

    @cached_property
    def sharing_parts(self) -> SharingParts:
        """Shares and visits."""
        has_apps = self._apps_domain is not None
        return SharingParts(self.db, self.clock, self.settings, self.workspaces, has_apps)

    @property
    def shares(self) -> ShareService:
        """Requests about shares, and who is let in by them."""
        return self.sharing_parts.shares

    @property
    def visits(self) -> VisitService:
        """Who enters workspaces of others."""
        return self.sharing_parts.visits

    @property
    def connection_reader(self) -> ConnectionReader:
        """Reads how to connect to a workspace."""
        return self.port_router.connection_reader

    @cached_property
    def workspace_proxy(self) -> WorkspaceProxy:
        """Serves the ports of workspaces, on their own origins."""
        mode, read_model = self.settings.wake_on_request, self.read_model
        waking = AddressWaking(mode, read_model, self.db.bus, self._resume)
        return WorkspaceProxy(self.port_router, self.clock, waking, team=self.team)

    def _resume(self, name: str) -> None:
        """Request that a hibernated workspace runs, because its address was opened."""
        self.homes.refuse(self.read_model.pages.named(name).workspace.location, name)
        self.workspaces.ask(name, LifecycleVerb.RESUME, reason="its address was opened")

    @cached_property
    def shells(self) -> ShellSessions:
        """Shells of browsers, which outlive their connection for some minutes."""
        return ShellSessions()

    @cached_property
    def control(self) -> DaemonControl:
        """The status of the daemon, and its shutdown."""
        return DaemonControl(
            clock=self.clock,
            started_at=self.clock.now(),
            user=self.settings.actor,
            database="postgresql" if self.db.shared else "sqlite",
            counts=self._counts,
            profiles=lambda: self._profiles,
            locations=self._locations,
            troubles=lambda: [
                *self.database_probe.troubles(),
                *self.generation.reasons(),
                *self.homes.reasons(),
                *self._unreadable(),
                *self.home_disk.reasons(),
                *self._failed_copies,
                *account_troubles(self.settings),
                *(self.server_certificate.troubles() if self.server_certificate else []),
            ],
            stop=self._stop,
        )

    @cached_property
    def doctor(self) -> Doctor:
        """The checks of `prism doctor`."""
        return Doctor(self.clock, str(self.settings.folder))

    @cached_property
    def database_probe(self) -> DatabaseProbe:
        """Asks the database for the daemon's status."""
        return DatabaseProbe(self._ask_database)

    def _ask_database(self) -> Sequence[str]:
        """The problems of the database; keeps what the status shows of it for while it is away."""
        troubles = self.db.troubles()
        try:
            self._profiles = self.profiles.every()
            self._failed_copies = self.copies.reasons()
        except DatabaseUnavailable as away:
            log.debug("profiles and copies as they were: %s", away)
        return troubles

    def _audited(self, name: str) -> AuditedWorkspace:
        """The workspace of that name or id; raises `WorkspaceNotFound`."""
        workspace = self.read_model.pages.named(name).workspace
        return AuditedWorkspace(workspace.id, workspace.name, workspace.launched_at)

    def _subject_of(self, workspace: str) -> Subject | None:
        row = self.read_model.pages.rows.get(workspace)
        return None if row is None else Subject(row.workspace.project, row.workspace.owner)

    def _counts(self) -> Counts:
        """The numbers of workspaces that the caller may see."""
        pages, unserved = self.read_model.known, self.homes.unserved
        if current().operator and not unserved:
            return Counts(len(pages.rows), pages.many(ACTIVE), pages.many(IN_BETWEEN))
        visible_rows = [
            cached
            for cached in pages.rows.values()
            if visible(cached.workspace.project, cached.workspace.owner)
        ]
        states = [
            cached.state for cached in visible_rows if cached.workspace.location not in unserved
        ]
        active, changing = (sum(state in of for state in states) for of in (ACTIVE, IN_BETWEEN))
        return Counts(len(visible_rows), active, changing)
