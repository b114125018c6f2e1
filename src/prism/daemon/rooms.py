"""Every room's parts, each made once, when somebody first asks for it.

A part is a property that says in a line or two what it is made of, so the order of the
making is nobody's concern. A new room adds its properties here, its routes and parts in
`house.py`, and nothing else needs to know.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

from prism.access.model import Subject
from prism.access.service import TokenService
from prism.access.sight import sights
from prism.audit.service import AuditService
from prism.catalog.plan import machine_type
from prism.connections.content import Content
from prism.connections.finding import Finder
from prism.daemon.api import Counts, Daemon, PlaceSeen
from prism.daemon.rescue import RescueRooms
from prism.idle.lookout import Lookout
from prism.idle.reconciler import IdleReconciler
from prism.idle.service import IdleService, Keeper
from prism.invitations.reconciler import MailReconciler
from prism.invitations.service import InvitationService
from prism.kit.actor import asking
from prism.kit.clock import Clock, whole
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.reconcile import Loop
from prism.kit.stream import Sights
from prism.logs.ports import Logs
from prism.logs.reader import Reader
from prism.profiles.model import Profile
from prism.profiles.service import ProfileService
from prism.projects.members import MemberService
from prism.projects.service import ProjectService
from prism.providers.local.compute import LocalCompute
from prism.providers.local.logs import LocalLogs
from prism.providers.local.place import place_of
from prism.providers.local.ssh.gate import SshGate
from prism.providers.local.storage_terms import LocalStorageTerms
from prism.providers.local.terms import LocalTerms
from prism.providers.local.volumes import LocalVolumes
from prism.providers.mail.outbox import OutboxPost
from prism.providers.mail.smtp import SmtpPost
from prism.settings import Settings
from prism.storage.copier import SnapshotReconciler
from prism.storage.copies import SnapshotService
from prism.storage.model import Terms as StorageTerms
from prism.storage.ports import Volumes
from prism.storage.reconciler import VolumeReconciler
from prism.templates.service import TemplateService
from prism.templates.store import shelves
from prism.workspaces.hosts import WorkspaceHosts
from prism.workspaces.model import ProviderMissing, Terms
from prism.workspaces.plan import ACTIVE, IN_BETWEEN
from prism.workspaces.ports import Compute
from prism.workspaces.reconciler import WorkspaceReconciler
from prism.workspaces.resizing import ResizeService
from prism.workspaces.service import WorkspaceService
from prism.workspaces.snapshot import Snapshot


class Rooms(RescueRooms):
    """The parts of one daemon; `given` are the places it serves instead of this machine."""

    def __init__(
        self,
        settings: Settings,
        given: Mapping[str, Compute] | None,
        clock: Clock,
        stop: Callable[[], object],
        volumes: Mapping[str, Volumes] | None = None,
    ) -> None:
        self.settings, self.clock, self._given, self._stop = settings, clock, given, stop
        self._given_volumes = volumes
        self.who = asking(settings.actor)
        self.team = settings.auth == "tokens"
        self.here = place_of(settings.folder)

    @cached_property
    def db(self) -> Database:
        """State."""
        return Database(self.settings.database, self.clock, Bus())

    @cached_property
    def computes(self) -> Mapping[str, Compute]:
        """Where machines run, by place."""
        return self._given or {self.here: LocalCompute(self.settings.workspaces)}

    @property
    def gates(self) -> list[Callable[[object], AbstractAsyncContextManager[None]]]:
        """What stands open beside HTTP while the daemon runs."""
        ours = [it for it in self.computes.values() if isinstance(it, LocalCompute)]
        return [partial(_open, it.ssh) for it in ours]

    @cached_property
    def profiles(self) -> ProfileService:
        """Where launches go."""
        return ProfileService(self.db, self.clock, self.who, self.settings.profile)

    @cached_property
    def templates(self) -> TemplateService:
        """What launches are made of."""
        return TemplateService(shelves(self.settings.templates), self.db, self.who, machine_type)

    @cached_property
    def workspaces(self) -> WorkspaceService:
        """The verbs of workspaces."""
        return WorkspaceService(
            self.db,
            self.clock,
            templates=self.templates,
            profiles=self.profiles,
            terms=self._terms,
            storage=self.storage,
            actor=self.who,
            guards=[self.escrow],
            meters=[*self.meters, self.watchman],
            treasury=self.escrow,
            watcher=self.lookout,
        )

    @cached_property
    def resizing(self) -> ResizeService:
        """What makes workspaces bigger and smaller."""
        meters = [*self.meters, self.watchman]
        return ResizeService(
            self.db, self.clock, terms=self._terms_of, actor=self.who, meters=meters
        )

    @cached_property
    def snapshot(self) -> Snapshot:
        """What reads of workspaces are answered from."""
        return Snapshot(self.db, self.costs.spends, self.lookout.idleness)

    @cached_property
    def reconciler(self) -> WorkspaceReconciler:
        """Makes workspaces what is wanted."""
        retention = timedelta(seconds=self.settings.terminated_retention)
        return WorkspaceReconciler(
            self.db,
            self.clock,
            self.computes,
            retention,
            [*self.meters, self.watchman],
            observers=[self.lookout, self.strays],
        )

    @cached_property
    def loop(self) -> Loop[Any]:
        """Runs the workspaces' reconciler."""
        # A call to a cloud waits; one to this machine computes, and with more hands at it those
        # who answer requests wait three times as long for the interpreter.
        local = all(isinstance(it, LocalCompute) for it in self.computes.values())
        return Loop(self.reconciler, self.db, self.clock, hands=4 if local else 16)

    @property
    def loops(self) -> list[Loop[Any]]:
        """Every loop there is."""
        return [self.loop, self.postman, *self.storage_loops, self.keeper, self.watch_loop]

    @cached_property
    def lookout(self) -> Lookout:
        """What machines found out about their idleness."""
        return Lookout(self.db, self.clock)

    @cached_property
    def watchman(self) -> Keeper:
        """Watches each workspace while it lives."""
        return Keeper(self.clock)

    @cached_property
    def watch_loop(self) -> Loop[Any]:
        """Tells machines what to make of idleness."""
        work = IdleReconciler(self.db, self.clock, self.computes)
        return Loop(work, self.db, self.clock, hands=2)

    @cached_property
    def logs(self) -> Reader:
        """What workspaces have said."""
        places: dict[str, Logs] = {self.here: LocalLogs(self.settings.workspaces)}
        return Reader(self.snapshot, self.db, self.clock, places)

    @cached_property
    def idleness(self) -> IdleService:
        """The verbs of idleness."""
        return IdleService(self.db, self.clock, self.who, self.lookout)

    @cached_property
    def volumes(self) -> Mapping[str, Volumes]:
        """Where data is kept, by place."""
        here = LocalVolumes(self.settings.storage, self.settings.workspaces)
        return self._given_volumes or {self.here: here}

    @cached_property
    def storage(self) -> SnapshotService:
        """The verbs of volumes and snapshots."""
        hosts = WorkspaceHosts()
        return SnapshotService(
            self.db,
            self.clock,
            terms=self._storage_terms,
            hosts=hosts,
            actor=self.who,
            meters=[self.storage_ledger],
        )

    @cached_property
    def storage_loops(self) -> list[Loop[Any]]:
        """What makes volumes and snapshots what is wanted."""
        kept = (self.db, self.clock, self.volumes, WorkspaceHosts(), [self.storage_ledger])
        found = (VolumeReconciler(*kept), SnapshotReconciler(*kept))
        return [Loop(it, self.db, self.clock, hands=4) for it in found]

    @cached_property
    def projects(self) -> ProjectService:
        """Who works together, and on whose money."""
        return ProjectService(
            self.db,
            self.clock,
            self.who,
            purse=self.purse,
            roster=self.snapshot,
            holders=[self.workspaces, self.storage, self.purse],
        )

    @cached_property
    def members(self) -> MemberService:
        """Who belongs to a project, as what."""
        return MemberService(self.db, self.clock)

    @cached_property
    def tokens(self) -> TokenService:
        """Who may ask, in team mode."""
        return TokenService(self.db, self.clock, self.settings.actor, self.members)

    @cached_property
    def sights(self) -> Sights:
        """Who may see which facts, as they happen."""
        return sights(lambda: self.snapshot.pages.version, self._whose, self.clock)

    @cached_property
    def audit(self) -> AuditService:
        """Who may see which facts, afterwards."""
        return AuditService(self.db, self._whose)

    @cached_property
    def invitations(self) -> InvitationService:
        """Who is asked to join."""
        return InvitationService(self.db, self.clock, clear=not self.team)

    @cached_property
    def postman(self) -> Loop[Any]:
        """What sends their mail."""
        to, url = self.settings, self.settings.smtp_url
        post = SmtpPost(url) if url else OutboxPost(to.folder / "outbox")
        where = to.public_url if self.team else ""
        mail = MailReconciler(self.db, self.clock, post, to.sender, where)
        return Loop(mail, self.db, self.clock, hands=4)

    @cached_property
    def finder(self) -> Finder:
        """Which door of which workspace a request is for."""
        return Finder(self.snapshot, self.computes, self.settings.port)

    @cached_property
    def content(self) -> Content:
        """What workspaces serve, on their own origins."""
        return Content(self.finder, self.clock)

    @cached_property
    def itself(self) -> Daemon:
        """The daemon, as it speaks about itself."""
        return Daemon(
            clock=self.clock,
            started_at=self.clock.now(),
            user=self.settings.actor,
            database="postgresql" if self.db.shared else "sqlite",
            counts=self._counts,
            profiles=self.profiles.every,
            places=self._places,
            stop=self._stop,
        )

    def _whose(self, workspace: str) -> Subject | None:
        kept = self.snapshot.pages.rows.get(workspace)
        return None if kept is None else Subject(kept.workspace.project, kept.workspace.owner)

    def _terms_of(self, profile: str) -> Terms:
        return self._terms(self.profiles.named(profile))

    def _terms(self, profile: Profile) -> Terms:
        if profile.provider == "local":
            return LocalTerms(self.here, simulated=self.settings.local_prices == "aws")
        raise ProviderMissing(
            f"Profile {profile.name!r} launches on {profile.provider}, which this version cannot",
            details="this version of Prism launches on this machine only",
            remediation="Use `prism profile switch local`",
        )

    def _storage_terms(self, place: str | None) -> StorageTerms:
        """What is said of storage by whoever serves a place, or the current profile."""
        if place is None and (profile := self.profiles.current()).provider != "local":
            kept = f"Profile {profile.name!r} keeps data on {profile.provider}"
            raise ProviderMissing(
                f"{kept}, which this version cannot",
                details="this version of Prism keeps data on this machine only",
                remediation="Use `prism profile switch local`",
            )
        simulated = self.settings.local_prices == "aws"
        return LocalStorageTerms(self.here, self.settings.folder, simulated=simulated)

    def _counts(self) -> Counts:
        states = [kept.state for kept in self.snapshot.pages.rows.values()]
        active, changing = (sum(it in of for it in states) for of in (ACTIVE, IN_BETWEEN))
        return Counts(len(states), active, changing)

    def _places(self) -> list[PlaceSeen]:
        places = []
        for place in self.computes:
            at, problem = self.reconciler.glances.get(place, (None, None))
            reachable = None if at is None else problem is None
            provider = place.partition(":")[0]
            places.append(PlaceSeen(place, provider, reachable, at and whole(at), problem))
        return places


def _open(gate: SshGate, _: object) -> AbstractAsyncContextManager[None]:
    return gate.open()
