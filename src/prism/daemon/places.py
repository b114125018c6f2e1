"""The parts that reach machines and data: this machine, and AWS where somebody uses it.

This machine's place is there from the start, with its loops. A place of AWS joins when it is
connected, and brings loops of its own: one that is slow or away delays nobody else, and each
is looked at as often as it says itself.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, TypeVar

from msgspec.structs import replace

from prism.daemon.api import PlaceSeen
from prism.daemon.aws import AwsDesk
from prism.daemon.rescue import RescueRooms
from prism.files.ports import Files
from prism.idle.reconciler import IdleReconciler
from prism.kit.clock import whole
from prism.kit.database_faults import DatabaseUnavailable
from prism.kit.reconcile import Loop
from prism.logs.ports import Logs
from prism.profiles import store as profile_rows
from prism.profiles.model import Profile
from prism.providers.aws.away import Away
from prism.providers.aws.identity import OwnCloud, place_of, region_of
from prism.providers.aws.places import AwsPlaces, Parts, Usage
from prism.providers.aws.terms import AwsTerms
from prism.providers.local import place as this_machine
from prism.providers.local.compute import LocalCompute
from prism.providers.local.files import LocalFiles
from prism.providers.local.logs import LocalLogs
from prism.providers.local.ssh.gate import SshGate
from prism.providers.local.storage_terms import LocalStorageTerms
from prism.providers.local.terms import LocalTerms
from prism.providers.local.volumes import LocalVolumes, Mount
from prism.recovery.lookout import Strays
from prism.recovery.model import Looked
from prism.recovery.storing import Gleaner
from prism.settings import Settings, variable
from prism.storage import store as storage_rows
from prism.storage.copier import SnapshotReconciler
from prism.storage.model import Terms as StorageTerms
from prism.storage.ports import Volumes
from prism.storage.reconciler import VolumeReconciler
from prism.workspaces import store as workspace_rows
from prism.workspaces.hosts import WorkspaceHosts
from prism.workspaces.model import ProviderMissing, Terms, Workspace
from prism.workspaces.ports import Compute
from prism.workspaces.reconciler import WorkspaceReconciler

log = logging.getLogger(__name__)
T = TypeVar("T")
AWS = "aws:"  # how the names of its places begin
Held = Callable[[datetime | None], bool]
PATIENT, AT_ONCE = 4.0, 0.0  # seconds that a launch waits for who we are; and everybody else
GATHER = 0.5  # seconds in which wishes to a cloud share one look


class Joined(Mapping[str, T]):
    """What is here, and whatever has joined since; each look sees one moment."""

    def __init__(self, here: Mapping[str, T], joined: Callable[[], Mapping[str, T]]) -> None:
        self._here, self._joined = here, joined

    def __getitem__(self, place: str) -> T:
        found = self._here.get(place)
        return self._joined()[place] if found is None else found

    def __iter__(self) -> Iterator[str]:
        return iter([*self._here, *self._joined()])

    def __len__(self) -> int:
        return len(self._here) + len(self._joined())


# Settings that the supervisors of local machines need.
TOLD = ("uid_range", "pids_max", "workspace_network")


def local_compute(settings: Settings) -> LocalCompute:
    """Machines that are folders of this computer."""
    told = {name: str(getattr(settings, name)) for name in TOLD}
    return LocalCompute(
        settings.workspaces,
        remembered=timedelta(seconds=settings.terminated_retention),
        told={variable(name): value for name, value in told.items()},
    )


class PlaceRooms(RescueRooms):
    """What reaches machines and data; a part of `Rooms`, which has the rest."""

    settings: Settings
    _used = Usage()
    _given: Mapping[str, Compute] | None
    _given_volumes: Mapping[str, Volumes] | None

    @cached_property
    def here(self) -> str:
        """The name of this machine's place."""
        return this_machine.place_of(self.settings.folder)

    # ------------------------------------------------------------ what there is
    @cached_property
    def local(self) -> Mapping[str, Compute]:
        """Where machines run from the start."""
        return self._given or {self.here: local_compute(self.settings)}

    @cached_property
    def local_volumes(self) -> Mapping[str, Volumes]:
        """Where data is kept from the start."""
        here = LocalVolumes(self.settings.storage, self.settings.workspaces)
        return self._given_volumes or {self.here: here}

    def _unreadable(self) -> list[str]:
        """What is there on this machine and says nothing of itself."""
        ours = [it for it in self.local_volumes.values() if isinstance(it, LocalVolumes)]
        return [why for it in ours for why in it.unreadable.values()]

    @cached_property
    def aws(self) -> AwsPlaces:
        """What is in use of AWS."""
        return AwsPlaces(self.settings.folder, self.clock, self._in_use, self._assembled)

    @cached_property
    def desk(self) -> AwsDesk:
        """What may be asked about AWS."""
        return AwsDesk(self._reachable_aws, self.profiles, lambda: self._in_use().active)

    @cached_property
    def computes(self) -> Mapping[str, Compute]:
        """Where machines run, by place."""
        return Joined(self.local, lambda: self.aws.computes)

    @cached_property
    def volumes(self) -> Mapping[str, Volumes]:
        """Where data is kept, by place."""
        return Joined(self.local_volumes, self._joined_volumes)

    @cached_property
    def kept_logs(self) -> Mapping[str, Logs]:
        """Where what machines say is kept, by place."""
        here: dict[str, Logs] = {self.here: LocalLogs(self.settings.workspaces)}
        return Joined(here, lambda: self.aws.logs)

    @cached_property
    def homes(self) -> Mapping[str, Files]:
        """Where the files of machines are, by place."""
        volumes = self.local_volumes.get(self.here)
        attached = volumes.mounted if isinstance(volumes, LocalVolumes) else _none_attached
        here: dict[str, Files] = {self.here: LocalFiles(self.settings.workspaces, attached)}
        return Joined(here, lambda: self.aws.files)

    @property
    def gates(self) -> list[Callable[[object], AbstractAsyncContextManager[None]]]:
        """What stands open beside HTTP while the daemon runs."""
        ours = [it for it in self.local.values() if isinstance(it, LocalCompute)]
        return [partial(_open, it.ssh) for it in ours]

    def of_a_workspace(self, inode: int, *, daemon_dials: bool = False) -> bool:
        """Whether the socket with that inode belongs to a sandboxed workspace of this machine."""
        ours = [it for it in self.local.values() if isinstance(it, LocalCompute)]
        return any(it.peers.of_a_workspace(inode, daemon_dials=daemon_dials) for it in ours)

    # ------------------------------------------------------------ what works there
    @cached_property
    def reconciler(self) -> WorkspaceReconciler:
        """Makes workspaces of this machine what is wanted."""
        return self._reconciler(self.local)

    @cached_property
    def loop(self) -> Loop[Any]:
        """Runs this machine's reconciler."""
        # A call to a cloud waits; one to this machine computes, and with more hands at it those
        # who answer requests wait three times as long for the interpreter.
        here = all(isinstance(it, LocalCompute) for it in self.local.values())
        return Loop(self.reconciler, self.db, self.clock, hands=4 if here else 16)

    @cached_property
    def local_loops(self) -> list[Loop[Any]]:
        """What makes workspaces, volumes and snapshots of this machine what is wanted."""
        work = IdleReconciler(self.db, self.clock, self.local)
        watching: Loop[Any] = Loop(work, self.db, self.clock, hands=2)
        return [self.loop, *self._storage_loops(self.local_volumes), watching]

    @cached_property
    def joined(self) -> dict[str, WorkspaceReconciler]:
        """The reconcilers of places that have joined."""
        return {}

    @cached_property
    def joined_loops(self) -> dict[str, list[Loop[Any]]]:
        """Their loops."""
        return {}

    def _joined_volumes(self) -> Mapping[str, Volumes]:
        parts = self.aws.connected.items()
        return {place: it.volumes for place, it in parts if it.volumes is not None}

    def join(self, place: str) -> list[Loop[Any]]:
        """Make the loops of a place that was connected, unless there are."""
        if place not in self.joined_loops:
            self.joined_loops[place] = self._loops(place)
        return self.joined_loops[place]

    def _loops(self, place: str) -> list[Loop[Any]]:
        parts = self.aws.connected[place]
        computes = {place: parts.compute}
        held = self._held_until(parts.compared)
        self.joined[place] = self._reconciler(computes, held)
        idle = IdleReconciler(self.db, self.clock, computes)
        watching: Loop[Any] = Loop(idle, self.db, self.clock, hands=4)
        found = [Loop(self.joined[place], self.db, self.clock, hands=16), watching]
        if parts.volumes is not None:
            found += self._storage_loops({place: parts.volumes}, held)
        return found

    def _held_until(self, compared: Callable[[], bool]) -> Held:
        """Nothing is done in a place before its machines have said how old the database is."""
        return lambda wished_at: not compared() or self.generation.held(wished_at)

    def _reconciler(
        self, computes: Mapping[str, Compute], held: Held | None = None
    ) -> WorkspaceReconciler:
        strays = Strays(self.db, computes, lambda: made.glances)
        self.lookouts.append(strays)
        made = WorkspaceReconciler(
            self.db,
            self.clock,
            computes,
            timedelta(seconds=self.settings.terminated_retention),
            [*self.meters, self.watchman],
            observers=[self.lookout, strays],
            rules=self.watchman,
            mispriced=self.prices.hurry,
            running=self.running_time,
            held=held or self.generation.held,
            start_again=self.workspaces.start_again,
            finish_restart=self.workspaces.finish_restart,
            living=self.snapshot.living,
        )
        return made

    def _storage_loops(
        self, volumes: Mapping[str, Volumes], held: Held | None = None
    ) -> list[Loop[Any]]:
        kept = (self.db, self.clock, volumes, WorkspaceHosts(), self.storage_meters)
        gleaner = Gleaner(self.db, self.clock)
        self.gleaners.append(gleaner)
        held = held or self.generation.held
        found = (
            VolumeReconciler(*kept, observers=[gleaner], held=held),
            SnapshotReconciler(*kept, held=held),
        )
        return [Loop(it, self.db, self.clock, hands=4) for it in found]

    # ------------------------------------------------------------ what is said of it
    def _terms(self, profile: Profile) -> Terms:
        """For a launch, which may wait a moment for who we are."""
        if profile.provider == "local":
            return LocalTerms(self.here, simulated=self.settings.local_prices == "aws")
        return self._aws_terms(profile, PATIENT)

    def _terms_of(self, it: Workspace) -> Terms:
        """Of a workspace that is there; nobody waits for anything."""
        return self._terms_now(replace(self.profiles.named(it.profile), region=it.region))

    def _terms_now(self, profile: Profile) -> Terms:
        local = profile.provider == "local"
        return self._terms(profile) if local else self._aws_terms(profile, AT_ONCE)

    def _aws_terms(self, profile: Profile, patience: float) -> AwsTerms:
        return self._reachable_aws().terms(profile, patience=patience)

    def _reachable_aws(self) -> AwsPlaces:
        if self._given is not None:
            raise ProviderMissing(
                details="this daemon serves the places that it was given, and AWS is none of them",
                remediation="Use `prism profile switch local`",
            )
        return self.aws

    def _storage_terms(self, place: str | None) -> StorageTerms:
        """What is said of storage by whoever serves a place, or the current profile."""
        if place is None and (profile := self.profiles.current()).provider != "local":
            place = self._aws_terms(profile, PATIENT).place
        if place is not None and place.startswith(AWS):
            return self.aws.storage_terms(place)
        simulated = self.settings.local_prices == "aws"
        return LocalStorageTerms(self.here, self.settings.folder, simulated=simulated)

    def _places(self) -> list[PlaceSeen]:
        aws = sorted(self.aws.wanted & self.aws.computes.keys())
        nowhere = sorted(self.aws.troubles.items())
        return [
            *map(self._seen, [*self.local, *aws]),
            *(PlaceSeen(f"{AWS}{it}", "aws", False, None, why.message) for it, why in nowhere),
        ]

    def why_it_waits(self, it: Workspace) -> str | None:
        """What keeps the location of a workspace, or the last attempt at it, from going on."""
        compute = self.computes.get(it.place)
        if isinstance(compute, Away):
            return compute.reason.message
        loops = self.joined_loops.get(it.place)
        loop = loops[0] if loops else self.loop
        failing, parts = loop.failing(it.id), self.aws.connected.get(it.place)
        return (parts.cloud.pending.reason() if parts else None) or failing

    def _unseen(self) -> list[Looked]:
        """Places in use where nobody looks yet, or nobody can."""
        away = {place: it for place, it in self.aws.computes.items() if isinstance(it, Away)}
        found = [Looked(place, None, it.reason.message) for place, it in away.items()]
        for profile in self._in_use().active:
            who = self.aws.identities.known(profile.aws_profile)
            trouble = who.problem or self.aws.troubles.get(profile.name)
            if who.identity is None or trouble is not None:
                why = None if trouble is None else trouble.message
                found.append(Looked(f"{AWS}{profile.name}", None, why))
            elif (place := place_of(who.identity.account, region_of(profile))) not in self.joined:
                found.append(Looked(place))
        return [*map(Looked, self.local), *(it for it in found if it.place not in self.joined)]

    def _seen(self, place: str) -> PlaceSeen:
        provider, compute = place.partition(":")[0], self.computes[place]
        if isinstance(compute, Away):
            return PlaceSeen(place, provider, False, None, compute.reason.message)
        work = self.joined.get(place, self.reconciler)
        glance = work.glances.get(place)
        at, problem = (glance.at, glance.problem) if glance else (None, None)
        reachable = None if glance is None else problem is None
        who = self.aws.who(place) if provider == "aws" else None
        found = self.aws.checked(place)
        lacks = (found.missing, whole(found.at)) if found else (None, None)
        return PlaceSeen(place, provider, reachable, at and whole(at), problem, who, *lacks)

    def _in_use(self) -> Usage:
        """What somebody works with, and where rows are; as before while the database is away."""
        if self._given is not None:
            return self._used  # it serves what it was given, and nothing else
        try:
            with self.db.read() as sql:
                rows: list[tuple[str, str | None]] = [*workspace_rows.places(sql, AWS)]
                rows += [(place, None) for place in storage_rows.places(sql, AWS)]
                self._used = Usage(
                    active=tuple(it for it in self.profiles.in_use(sql) if it.provider == "aws"),
                    rows=tuple(rows),
                    profiles={it.name: it for it in profile_rows.every(sql)},
                )
        except DatabaseUnavailable as away:
            log.warning("nobody knows what is in use of AWS: %s (%s)", away, away.details)
        return self._used

    def _assembled(self, cloud: OwnCloud) -> Parts:
        from prism.providers.aws.assembly import assemble  # noqa: PLC0415  cold start: asyncssh

        home, caller = self.settings.folder, self.settings.caller_cidr
        stranger = partial(self.of_a_workspace, daemon_dials=True)
        return assemble(cloud, home, caller, stranger, self.generation)


def _open(gate: SshGate, _: object) -> AbstractAsyncContextManager[None]:
    return gate.open()


def _none_attached(machine: str) -> tuple[Mount, ...]:
    """For volumes of a test's own, which no folder of a machine knows."""
    return ()
