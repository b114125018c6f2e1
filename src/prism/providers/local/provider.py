"""The provider of this machine, with one location, which is always connected."""

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import timedelta

from msgspec.structs import replace

from prism.catalog.plan import PriceBook
from prism.errors import Problem
from prism.profiles.model import Profile
from prism.providers.local.compute import LocalCompute
from prism.providers.local.files import LocalFiles
from prism.providers.local.launch_check import LaunchCheck
from prism.providers.local.logs import LocalLogs
from prism.providers.local.offer import LocalOffer
from prism.providers.local.restic.access import FindS3, RepositoryAccess, no_s3
from prism.providers.local.storage.storage_offer import LocalStorageOffer
from prism.providers.local.storage.volumes import LocalVolumes
from prism.providers.provider import Location, Login
from prism.recovery.model import SurveyedLocation
from prism.settings import Settings, variable
from prism.storage.ports import Volumes
from prism.workspaces.ports import Compute

PASSED_SETTINGS = ("uid_range", "pids_max", "workspace_network", "workspace_network_allow")
"""Settings that the supervisors of local machines need."""
SURVEY_THREADS = 4
"""Calls to a cloud wait; calls to this machine compute. With more threads, the threads of requests
wait three times as long for the interpreter."""


def local_compute(settings: Settings) -> LocalCompute:
    """Machines that are folders of this computer."""
    values = {name: str(getattr(settings, name)) for name in PASSED_SETTINGS}
    return LocalCompute(
        settings.workspaces,
        remembered=timedelta(seconds=settings.terminated_retention),
        environ={variable(name): value for name, value in values.items()},
    )


class LocalProvider:
    """Implements `providers.provider.Provider`."""

    def __init__(
        self,
        settings: Settings,
        location: str,
        prices: PriceBook,
        find_s3: FindS3 = no_s3,
    ) -> None:
        """`find_s3` is asked for copies in S3."""
        self._settings, self._location, self._prices = settings, location, prices
        self._simulates = settings.local_prices != "none"
        self.compute = local_compute(settings)
        self._check = LaunchCheck(settings.folder, self.compute.environ)
        self.compute.on_launch = self._check.launched
        access = RepositoryAccess(settings.folder, find_s3, settings.copy_password_file)
        self.volumes = LocalVolumes(settings.storage, settings.workspaces, access=access)
        files = LocalFiles(settings.workspaces, self.volumes.mounted)
        self.locations: Mapping[str, Location] = {
            location: Location(
                compute=self.compute,
                volumes=self.volumes,
                logs=LocalLogs(settings.workspaces),
                files=files,
                copies=self.volumes.copies,
                threads=SURVEY_THREADS,
            )
        }

    def found_ids(self) -> Set[str]:
        """The ids of the workspaces, volumes and snapshots that have a folder in the home."""
        return self.compute.folder_ids() | self.volumes.folder_ids()

    def serve(
        self, computes: Mapping[str, Compute], volumes: Mapping[str, Volumes] | None = None
    ) -> None:
        """Serve these locations instead, for tests: machines and data that are no folders."""
        mine = self.locations[self._location]
        served = {self._location: self.volumes} if volumes is None else volumes
        self.locations = {
            location: replace(
                mine if location == self._location else Location(compute=compute),
                compute=compute,
                volumes=served.get(location),
                copies=mine.copies if served.get(location) is self.volumes else None,
                threads=16,
            )
            for location, compute in computes.items()
        }

    @property
    def in_use(self) -> Set[str]:
        """All of them, always."""
        return self.locations.keys()

    def offer(self, profile: Profile, *, wait: float) -> LocalOffer:
        """The offer of this machine."""
        served = self.locations.get(self._location)  # not in tests that serve others
        check = self._check if served and served.compute is self.compute else None
        return LocalOffer(self._location, simulated=self._simulates, check=check)

    def storage_offer(self, location: str) -> LocalStorageOffer:
        """The storage offer of this machine."""
        prices = self._prices if self._simulates else None
        return LocalStorageOffer(self._location, self._settings.folder, prices)

    def login(self, location: str) -> Login:
        """There is no login here."""
        return Login()

    def delay(self, location: str) -> str | None:
        """Calls to this machine do not wait."""
        return None

    def unreadable(self) -> Sequence[str]:
        """Why volumes and snapshots here cannot be read, each in a sentence."""
        served = any(parts.volumes is self.volumes for parts in self.locations.values())
        reasons = filter(None, [self.compute.disk.reason, self.volumes.disk.reason])
        away = dict.fromkeys(reasons)
        return [*away, *self.volumes.unreadable.values()] if served else ()

    def profiles_without_location(self) -> Mapping[str, Problem]:
        """Every local profile leads here."""
        return {}

    def unsurveyed_locations(self) -> Sequence[SurveyedLocation]:
        """The location of this machine, without a reason why it could not be surveyed."""
        return [*map(SurveyedLocation, self.locations)]

    def look(self, wait: float) -> None:
        """Does nothing: this computer is always connected."""

    def start(self, connected: Callable[[str], object]) -> None:
        """Hear of changes of its machines; nothing joins later."""
        self.compute.listen()

    def wake(self) -> None:
        """Nothing joins later."""

    def stop(self) -> None:
        """Ask nothing more before launches."""
        self._check.stop()

    def close(self) -> None:
        """Stop its copies; its other parts are closed by their users."""
        self.compute.close()
