"""The parts that reach machines and data, on this computer and on AWS.

This machine's location and its loops exist from the start. A location of AWS joins when it is
connected, and gets loops of its own: a slow one does not delay the others, and each is
surveyed as often as its provider requests.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from prism.client.daemon_model import LocationStatus
from prism.copies.ports import CopyWorker
from prism.copies.reconciler import CopyReconciler
from prism.copies.schedule_reconciler import ScheduleReconciler
from prism.copies.service import CopyService
from prism.daemon.aws import AwsAccessService
from prism.daemon.wiring.billing import BillingWiring
from prism.errors import Problem
from prism.idle.reconciler import IdleReconciler
from prism.kit.actor import actor_or
from prism.kit.clock import Clock, whole
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.db import CURRENT_TX, Tx
from prism.kit.reconcile import Loop
from prism.profiles import store as profile_rows
from prism.profiles.model import Profile
from prism.profiles.providers import AWS, LAB_SERVER, LOCAL, provider_of
from prism.providers.aws.account.identity import AccountCloud
from prism.providers.aws.locations import AwsLocationParts, AwsLocations, LocationsInUse
from prism.providers.local import location as this_machine
from prism.providers.local.compute import LocalCompute
from prism.providers.local.provider import LocalProvider
from prism.providers.local.restic.repository import S3Access
from prism.providers.local.ssh.gate import SshGate
from prism.providers.provider import Location, Provider
from prism.providers.ssh.provider import LabServers, ServersInUse
from prism.recovery.generation import DatabaseGeneration
from prism.recovery.homes import HomePlace, HomeRegistry
from prism.recovery.model import SurveyedLocation
from prism.recovery.orphan_scanner import AllOrphans, OrphanScanner
from prism.recovery.provenance import ProvenanceReader
from prism.recovery.service import RecoveryService
from prism.recovery.storage_recovery import StorageRecovery
from prism.recovery.storage_scanner import StorageScanner
from prism.settings import Settings
from prism.storage import store as storage_rows
from prism.storage.model import StorageOffer
from prism.storage.ports import Volumes
from prism.storage.reconciler import StorageParts, VolumeReconciler
from prism.storage.snapshot_reconciler import SnapshotReconciler
from prism.storage.snapshot_service import SnapshotService
from prism.workspaces import store as workspace_rows
from prism.workspaces.attachment_hosts import AttachmentHosts, DetachmentCheck
from prism.workspaces.changes import WorkspaceChanges
from prism.workspaces.hooks import AdmissionCheck, ChangeListener
from prism.workspaces.model import Offer, ProviderMissing, Workspace
from prism.workspaces.ports import Compute, TellsNews
from prism.workspaces.reconciler import WorkspaceReconciler
from prism.workspaces.surveys.first_surveys import NOT_SEEN, FirstSurveys
from prism.workspaces.surveys.machine_notes import MachineNotes

if TYPE_CHECKING:
    from prism.idle.observer import IdleObserver
    from prism.idle.service import IdleTracker
    from prism.profiles.service import ProfileService
    from prism.templates.service import TemplateService
    from prism.workspaces.rollback import RollbackService

log = logging.getLogger(__name__)
Part = TypeVar("Part")
IsPaused = Callable[[datetime | None], bool]
PATIENT, NO_WAIT = 4.0, 0.0  # seconds that a launch waits for the identity; and others
# How long the first requests wait for the first survey. A cloud may be away.
LOCAL_TIMEOUT_SECONDS, CLOUD_TIMEOUT_SECONDS = 10.0, 2.0
GATHER = 0.5  # seconds in which the requests for one location share a survey


class ByLocation(Mapping[str, Part]):
    """One part of every location that has it, by location; includes later locations."""

    def __init__(
        self, providers: Callable[[], Iterable[Provider]], part: Callable[[Location], Part | None]
    ) -> None:
        self._providers, self._part = providers, part

    def __getitem__(self, location: str) -> Part:
        for provider in self._providers():
            parts = provider.locations.get(location)
            if parts is not None and (part := self._part(parts)) is not None:
                return part
        raise KeyError(location)

    def __iter__(self) -> Iterator[str]:
        for provider in self._providers():
            for location, parts in provider.locations.items():
                if self._part(parts) is not None:
                    yield location

    def __len__(self) -> int:
        return sum(1 for _ in self)


class ProviderWiring(BillingWiring):
    """The parts that reach machines and data; a base class of `Wiring`."""

    if TYPE_CHECKING:  # `Wiring` makes them

        @cached_property
        def profiles(self) -> ProfileService: ...  # noqa: D102
        @cached_property
        def templates(self) -> TemplateService: ...  # noqa: D102
        @cached_property
        def storage(self) -> SnapshotService: ...  # noqa: D102
        @cached_property
        def copies(self) -> CopyService: ...  # noqa: D102
        @cached_property
        def rollbacks(self) -> RollbackService: ...  # noqa: D102
        @cached_property
        def idle_observer(self) -> IdleObserver: ...  # noqa: D102
        @cached_property
        def idle_tracker(self) -> IdleTracker: ...  # noqa: D102
        @cached_property
        def machine_notes(self) -> MachineNotes: ...  # noqa: D102

    _last_in_use = LocationsInUse()
    _last_servers = ServersInUse()

    def __init__(
        self,
        settings: Settings,
        served: Mapping[str, Compute] | None,
        clock: Clock,
        stop: Callable[[], object],
        served_volumes: Mapping[str, Volumes] | None = None,
    ) -> None:
        self.settings, self.clock, self._stop = settings, clock, stop
        self._served, self._served_volumes = served, served_volumes
        self.who = actor_or(settings.actor)
        self.team = settings.auth == "tokens"
        self.orphan_scanners: list[OrphanScanner] = []  # one for each reconciler of workspaces
        self.storage_scanners: list[StorageScanner] = []
        self.joined: dict[str, WorkspaceReconciler] = {}  # by their location
        self.joined_loops: dict[str, list[Loop[Any]]] = {}

    @cached_property
    def here(self) -> str:
        """The name of this machine's location."""
        return this_machine.location_of(self.settings.folder)

    @cached_property
    def homes(self) -> HomeRegistry:
        """The homes in the database, and which of them are served."""
        folder, machine = self.settings.folder, this_machine.machine_of_this()
        registry = HomeRegistry(
            self.db,
            self.clock,
            self.local.locations.keys,
            place=HomePlace.here(str(folder), machine),
            earlier=this_machine.earlier_location(machine, folder),
            folder_ids=None if self._served is not None else self.local.found_ids,
        )
        registry.stranded += [self.stranded_costs.stop, self.stranded_reservations.stop]
        registry.returned += [self.stranded_costs.go_on, self.stranded_reservations.go_on]
        return registry

    # ------------------------------------------------------------ providers
    @cached_property
    def providers(self) -> Mapping[str, Provider]:
        """The providers of this daemon, by name."""
        if self._served is not None:
            return {LOCAL: self.local}
        return {LOCAL: self.local, AWS: self.aws, LAB_SERVER: self.lab_servers}

    @cached_property
    def local(self) -> LocalProvider:
        """The provider of this machine, or the locations that a test provides instead."""
        provider = LocalProvider(self.settings, self.here, self.price_book, self._find_s3)
        if self._served is not None:
            provider.serve(self._served, self._served_volumes)
        return provider

    def _find_s3(self, profile: str | None, bucket: str) -> S3Access:
        """Where a bucket is, and the login of a profile, for copies of snapshots."""
        from prism.providers.aws.account.buckets import s3_login  # noqa: PLC0415  cold start: boto3

        login = s3_login(self.profiles.named(profile) if profile else None, bucket)
        return S3Access(url=login.url, region=login.region, environment=login.environment)

    @cached_property
    def aws(self) -> AwsLocations:
        """The accounts and regions of AWS in use."""
        return AwsLocations(
            self.settings.folder,
            self.clock,
            self._in_use,
            self._assemble,
            price_book=self.price_book,
        )

    @cached_property
    def lab_servers(self) -> LabServers:
        """The lab servers in use."""
        return LabServers(
            self.settings.folder,
            self._servers_in_use,
            self.local.compute.ssh,
            remembered=timedelta(seconds=self.settings.terminated_retention),
            stranger=partial(self.of_a_workspace, daemon_dials=True),
            is_shared=self.team,
        )

    def _servers_in_use(self) -> ServersInUse:
        """Active profiles of lab servers, and living rows; cached while the database is away."""
        if self._served is not None or self.team:
            return self._last_servers
        try:
            with self.db.read() as sql:
                known = workspace_rows.locations(sql, f"{LAB_SERVER}:", living=True)
                profiles, stored = self.profiles.in_use(sql), self.profiles.stored(sql)
        except DatabaseUnavailable as away:
            log.warning("the lab servers in use are unknown: %s (%s)", away, away.details)
            return self._last_servers
        self._last_servers = ServersInUse(
            profiles=tuple(profile for profile in profiles if profile.provider == LAB_SERVER),
            locations=tuple(location for location, _ in known),
            stored=stored,
        )
        return self._last_servers

    @cached_property
    def aws_access(self) -> AwsAccessService:
        """Requests about AWS accounts."""
        return AwsAccessService(
            self._reachable_aws,
            self.profiles,
            lambda: self._in_use().active,
            self.settings.folder,
            self.who,
        )

    @cached_property
    def workspace_changes(self) -> WorkspaceChanges:
        """Applies every change of workspaces."""
        # The ledger first, which reduces what must be reserved.
        listeners: list[ChangeListener] = [self.ledger, self.reservations, self.idle_tracker]
        checks: list[AdmissionCheck] = [self.reservations]
        if self.team:
            checks.append(DetachmentCheck())
        return WorkspaceChanges(self.clock, checks, listeners)

    @cached_property
    def generation(self) -> DatabaseGeneration:
        """Whether the database is older than the machines."""

        def accepted(tx: Tx) -> None:
            self.idle_tracker.resend_rules(tx)
            workspace_rows.resend_expiries(tx, self.clock.now())

        return DatabaseGeneration(self.db, self.clock, self.settings.workspaces, accepted)

    @cached_property
    def recovery(self) -> RecoveryService:
        """Requests about recovery."""
        provenance_reader = ProvenanceReader(
            self.db,
            self.clock,
            templates=self.templates,
            profiles=self.profiles,
            offer_of_profile=self._terms_now,
            funding=self.reservations,
            idle_monitor=self.idle_observer,
        )
        return RecoveryService(
            self.db,
            self.clock,
            AllOrphans(self.orphan_scanners, self._unseen),
            provenance_reader,
            self.who,
            changes=self.workspace_changes,
            generation=self.generation,
            homes=self.homes,
            storage=StorageRecovery(
                self.db,
                self.clock,
                self.storage_scanners,
                self._storage_offer,
                self.who,
                changes=self.storage_changes,
            ),
        )

    @cached_property
    def computes(self) -> Mapping[str, Compute]:
        """The machines, by location."""
        return ByLocation(self.providers.values, lambda it: it.compute)

    @cached_property
    def volumes(self) -> Mapping[str, Volumes]:
        """The volumes, by location."""
        return ByLocation(self.providers.values, lambda it: it.volumes)

    def _provider(self, name: str) -> Provider:
        if (provider := self.providers.get(name)) is not None:
            return provider
        raise ProviderMissing(
            details=f"this daemon serves no location of {name}",
            remediation="Use `prism profile switch local`",
        )

    def _unreadable(self) -> list[str]:
        """Why resources cannot be read, each in a sentence."""
        return [why for provider in self.providers.values() for why in provider.unreadable()]

    @property
    def gates(self) -> list[Callable[[object], AbstractAsyncContextManager[None]]]:
        """The SSH gates, which are open while the daemon runs."""
        return [partial(_open, local_compute.ssh) for local_compute in self._local_computes]

    def of_a_workspace(self, inode: int, *, daemon_dials: bool = False) -> bool:
        """Whether the socket with that inode belongs to a sandboxed workspace of this machine."""
        return any(
            compute.peers.of_a_workspace(inode, daemon_dials=daemon_dials)
            for compute in self._local_computes
        )

    @property
    def _local_computes(self) -> list[LocalCompute]:
        served = (parts.compute for parts in self.local.locations.values())
        return [compute for compute in served if isinstance(compute, LocalCompute)]

    # ------------------------------------------------------------ loops
    @cached_property
    def first_surveys(self) -> FirstSurveys:
        """Whether the rows were compared with the machines since the start."""
        return FirstSurveys(self._first_survey_timeout)

    def _first_survey_timeout(self, location: str) -> float | None:
        """How many seconds after the start a request waits for a location; None if not served."""
        if location in self.local.locations:
            return LOCAL_TIMEOUT_SECONDS
        provider = self.providers.get(provider_of(location))
        if provider is None or provider is self.local:
            return None
        parts = provider.locations.get(location)
        return 0.0 if parts is not None and parts.away is not None else CLOUD_TIMEOUT_SECONDS

    @cached_property
    def reconciler(self) -> WorkspaceReconciler:
        """The reconciler of workspaces on this machine."""
        computes = {at: parts.compute for at, parts in self.local.locations.items()}
        return self._reconciler(computes, self.generation.is_paused)

    @property
    def loop(self) -> Loop[Any]:
        """Runs this machine's reconciler."""
        return self.local_loops[0]

    @cached_property
    def local_loops(self) -> list[Loop[Any]]:
        """The loops of this machine."""
        is_paused = self.generation.is_paused
        return self._loops(self.reconciler, self.local.locations, is_paused, idle_threads=2)

    def join(self, location: str) -> list[Loop[Any]]:
        """The loops of a connected location, made at the first call."""
        if location not in self.joined_loops:
            parts = self._provider(provider_of(location)).locations[location]
            is_paused = self._paused_until(parts.compared)
            self.joined[location] = self._reconciler({location: parts.compute}, is_paused)
            self.joined_loops[location] = self._loops(
                self.joined[location], {location: parts}, is_paused, idle_threads=4
            )
        return self.joined_loops[location]

    def join_all(self) -> list[Loop[Any]]:
        """The loops of every location that was connected since the start."""
        connected = [
            at
            for provider in self.providers.values()
            for at, parts in provider.locations.items()
            if parts.away is None and at not in self.local.locations
        ]
        return [loop for location in connected for loop in self.join(location)]

    def _loops(
        self,
        reconciler: WorkspaceReconciler,
        locations: Mapping[str, Location],
        is_paused: IsPaused,
        *,
        idle_threads: int,
    ) -> list[Loop[Any]]:
        """The loops of workspaces, which are first, and of volumes, snapshots and idleness."""
        threads = min((parts.threads for parts in locations.values()), default=1)
        workers = {at: parts.copies for at, parts in locations.items() if parts.copies}
        idle = IdleReconciler(
            self.db, self.clock, {at: parts.compute for at, parts in locations.items()}
        )
        volumes = {
            at: parts.volumes for at, parts in locations.items() if parts.volumes is not None
        }
        return [
            Loop(
                reconciler,
                self.db,
                self.clock,
                threads=threads,
                recorded=self.first_surveys.recorded,
            ),
            *(self._storage_loops(volumes, is_paused) if volumes else ()),
            *(self._copy_loops(workers) if workers else ()),
            Loop(idle, self.db, self.clock, threads=idle_threads),
        ]

    def _paused_until(self, compared: Callable[[], bool]) -> IsPaused:
        """Pause changes in a location until its machines were compared with the database."""
        return lambda requested_at: not compared() or self.generation.is_paused(requested_at)

    def _reconciler(
        self, computes: Mapping[str, Compute], is_paused: IsPaused
    ) -> WorkspaceReconciler:
        orphan_scanner = OrphanScanner(self.db, computes, lambda: reconciler.last_surveys)
        self.orphan_scanners.append(orphan_scanner)
        reconciler = WorkspaceReconciler(
            self.db,
            self.clock,
            computes,
            timedelta(seconds=self.settings.terminated_retention),
            observers=[self.idle_observer, orphan_scanner],
            notes=self.machine_notes,
            rules=self.idle_tracker,
            mispriced=self.prices.look_soon,
            running=[self.ledger, self.reservations],
            is_paused=is_paused,
            changes=self.workspace_changes,
            requests=self.workspaces,
            living=self.read_model.living,
            first_surveys=self.first_surveys,
            rollbacks=self.rollbacks,
        )
        for compute in computes.values():
            if isinstance(compute, TellsNews):
                compute.on_news = reconciler.has_news
        return reconciler

    def _storage_loops(
        self, volumes: Mapping[str, Volumes], is_paused: IsPaused
    ) -> list[Loop[Any]]:
        parts = StorageParts(
            self.db, self.clock, volumes, AttachmentHosts(), self.storage_changes, is_paused
        )
        scanner = StorageScanner(self.db, self.clock)
        self.storage_scanners.append(scanner)
        reconcilers = (VolumeReconciler(parts, [scanner]), SnapshotReconciler(parts))
        return [Loop(reconciler, self.db, self.clock, threads=4) for reconciler in reconcilers]

    def _copy_loops(self, workers: Mapping[str, CopyWorker]) -> list[Loop[Any]]:
        scheduled = ScheduleReconciler(
            self.db, self.clock, workers.keys(), storage=self.storage, copies=self.copies
        )
        return [
            Loop(CopyReconciler(self.db, self.clock, workers), self.db, self.clock, threads=2),
            Loop(scheduled, self.db, self.clock, threads=2),
        ]

    # ------------------------------------------------------------ offers and status
    def _offer(self, profile: Profile) -> Offer:
        """For a launch, which may wait a moment for the identity, but not in a transaction."""
        wait = PATIENT if CURRENT_TX.get() is None else NO_WAIT
        return self._provider(profile.provider).offer(profile, wait=wait)

    def wait_for_offer(self) -> None:
        """Wait a moment for the current profile's account."""
        with suppress(Problem):  # the request itself raises it again
            self._offer(self.profiles.current())

    def _terms_of(self, workspace: Workspace) -> Offer:
        """The offer for an existing workspace; does not wait."""
        return self._terms_now(
            replace(self.profiles.named(workspace.profile), region=workspace.region)
        )

    def _terms_now(self, profile: Profile) -> Offer:
        return self._provider(profile.provider).offer(profile, wait=NO_WAIT)

    def _reachable_aws(self) -> AwsLocations:
        self._provider(AWS)
        return self.aws

    def _storage_offer(self, location: str | None) -> StorageOffer:
        """The storage offer of a location, or else of the current profile's."""
        if location is None:
            location = self._offer(self.profiles.current()).location
        known = self.providers.get(provider_of(location), self.local)
        return known.storage_offer(location)

    def _locations(self) -> list[LocationStatus]:
        locations: list[LocationStatus] = []
        for name, provider in self.providers.items():
            locations += [
                self._seen(name, at) for at in sorted(provider.in_use & provider.locations.keys())
            ]
            locations += [
                LocationStatus(f"{name}:{profile}", name, False, None, why.message)
                for profile, why in sorted(provider.profiles_without_location().items())
            ]
        return locations

    def why_it_waits(self, workspace: Workspace) -> str | None:
        """Why a workspace's location, or the last attempt at it, cannot continue."""
        if self.generation.is_paused(workspace.requested_at):
            return " ".join(self.generation.reasons())
        provider = self.providers.get(provider_of(workspace.location), self.local)
        parts = provider.locations.get(workspace.location)
        if parts is not None and parts.away is not None:
            return parts.away.message
        loop = self.joined_loops.get(workspace.location, self.local_loops)[0]
        return provider.delay(workspace.location) or loop.failing(workspace.id)

    def why_storage_waits(self, location: str) -> str | None:
        """Why no request for volumes or snapshots is carried out in a location now."""
        if self.generation.is_paused():
            return " ".join(self.generation.reasons())
        provider = self.providers.get(provider_of(location), self.local)
        parts = provider.locations.get(location)
        if parts is not None and parts.away is not None:
            return parts.away.message
        is_here = parts is not None and parts.volumes is self.local.volumes
        return (self.local.volumes.disk.reason or None) if is_here else None

    def why_not_seen(self, workspace: Workspace) -> str | None:
        """Why the shown state may be older than the daemon; None if it is not."""
        if self.first_surveys.has_seen(workspace):
            return None
        location = workspace.location
        survey = self.joined.get(location, self.reconciler).last_surveys.get(location)
        why = self.why_it_waits(workspace) or (survey.problem if survey else None)
        return f"{NOT_SEEN}: {why}" if why else NOT_SEEN

    def _unseen(self) -> list[SurveyedLocation]:
        """Locations in use that no loop surveys yet, or can survey."""
        return [
            location
            for provider in self.providers.values()
            for location in provider.unsurveyed_locations()
            if location.place not in self.joined
        ]

    def _seen(self, provider: str, location: str) -> LocationStatus:
        parts = self.providers[provider].locations[location]
        name = provider_of(location)
        if parts.away is not None:
            return LocationStatus(location, name, False, None, parts.away.message)
        work = self.joined.get(location, self.reconciler)
        survey = work.last_surveys.get(location)
        if survey and survey.problem is None and not self.first_surveys.has_compared(location):
            survey = None
        at, problem = (whole(survey.at), survey.problem) if survey else (None, None)
        reachable = None if survey is None else problem is None
        login = self.providers[provider].login(location)
        lacks = login.missing, login.checked_at and whole(login.checked_at)
        return LocationStatus(location, name, reachable, at, problem, login.identity, *lacks)

    def _in_use(self) -> LocationsInUse:
        """Active profiles and locations with rows; cached while the database is away."""
        if self._served is not None:
            return self._last_in_use  # it serves what it was given, and nothing else
        try:
            with self.db.read() as sql:
                rows: list[tuple[str, str | None]] = [*workspace_rows.locations(sql, f"{AWS}:")]
                rows += [(location, None) for location in storage_rows.locations(sql, f"{AWS}:")]
                self._last_in_use = LocationsInUse(
                    active=tuple(
                        profile for profile in self.profiles.in_use(sql) if profile.provider == AWS
                    ),
                    rows=tuple(rows),
                    profiles={profile.name: profile for profile in profile_rows.every(sql)},
                )
        except DatabaseUnavailable as away:
            log.warning("the AWS locations in use are unknown: %s (%s)", away, away.details)
        return self._last_in_use

    def _assemble(self, cloud: AccountCloud) -> AwsLocationParts:
        from prism.providers.aws.build import assemble  # noqa: PLC0415  cold start: asyncssh

        home, caller = self.settings.folder, self.settings.caller_cidr
        stranger = partial(self.of_a_workspace, daemon_dials=True)
        return assemble(cloud, home, caller, stranger, self.generation)


def _open(gate: SshGate, _: object) -> AbstractAsyncContextManager[None]:
    return gate.open()
