"""The provider that is this machine: one location, there from the start."""

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import timedelta

from msgspec.structs import replace

from prism.catalog.plan import PriceBook
from prism.errors import Problem
from prism.profiles.model import Profile
from prism.providers.local.compute import LocalCompute
from prism.providers.local.files import LocalFiles
from prism.providers.local.logs import LocalLogs
from prism.providers.local.offer import LocalOffer
from prism.providers.local.storage_offer import LocalStorageOffer
from prism.providers.local.volumes import LocalVolumes
from prism.providers.provider import Location, Login
from prism.recovery.model import Looked
from prism.settings import Settings, variable
from prism.storage.ports import Volumes
from prism.workspaces.ports import Compute

TOLD = ("uid_range", "pids_max", "workspace_network")
"""Settings that the supervisors of local machines need."""
THREADS = 4
"""A call to a cloud waits; one to this machine computes, and with more threads at it those who
answer requests wait three times as long for the interpreter."""


def local_compute(settings: Settings) -> LocalCompute:
    """Machines that are folders of this computer."""
    told = {name: str(getattr(settings, name)) for name in TOLD}
    return LocalCompute(
        settings.workspaces,
        remembered=timedelta(seconds=settings.terminated_retention),
        told={variable(name): value for name, value in told.items()},
    )


class LocalProvider:
    """Implements `providers.provider.Provider`."""

    def __init__(self, settings: Settings, here: str, prices: PriceBook) -> None:
        self._settings, self._here, self._prices = settings, here, prices
        self.compute = local_compute(settings)
        self.volumes = LocalVolumes(settings.storage, settings.workspaces)
        files = LocalFiles(settings.workspaces, self.volumes.mounted)
        self.locations: Mapping[str, Location] = {
            here: Location(
                compute=self.compute,
                volumes=self.volumes,
                logs=LocalLogs(settings.workspaces),
                files=files,
                threads=THREADS,
            )
        }

    def serve(
        self, computes: Mapping[str, Compute], volumes: Mapping[str, Volumes] | None = None
    ) -> None:
        """Serve these locations instead, for tests: machines and data that are no folders."""
        mine = self.locations[self._here]
        kept = {self._here: self.volumes} if volumes is None else volumes
        self.locations = {
            place: replace(
                mine if place == self._here else Location(compute=compute),
                compute=compute,
                volumes=kept.get(place),
                threads=16,
            )
            for place, compute in computes.items()
        }

    @property
    def in_use(self) -> Set[str]:
        """All of them, always."""
        return self.locations.keys()

    def offer(self, profile: Profile, *, wait: float) -> LocalOffer:
        """What this machine says of a launch."""
        return LocalOffer(self._here, simulated=self._simulates)

    def storage_offer(self, location: str) -> LocalStorageOffer:
        """What this machine says of storage."""
        prices = self._prices if self._simulates else None
        return LocalStorageOffer(self._here, self._settings.folder, prices)

    def login(self, location: str) -> Login:
        """Nobody logs in here."""
        return Login()

    def delay(self, location: str) -> str | None:
        """Nobody waits for this machine."""
        return None

    def unreadable(self) -> Sequence[str]:
        """Why volumes and snapshots here cannot be read, each in a sentence."""
        served = any(location.volumes is self.volumes for location in self.locations.values())
        return list(self.volumes.unreadable.values()) if served else ()

    def nowhere(self) -> Mapping[str, Problem]:
        """Every local profile leads here."""
        return {}

    def unseen(self) -> Sequence[Looked]:
        """The location that is this machine; whoever looks at it knows better."""
        return [*map(Looked, self.locations)]

    def look(self, wait: float) -> None:
        """It is always connected."""

    def start(self, connected: Callable[[str], object]) -> None:
        """Nothing joins later."""

    def ring(self) -> None:
        """Nothing joins later."""

    def stop(self) -> None:
        """Nothing was begun."""

    def close(self) -> None:
        """Its parts are let go of by those who use them."""

    @property
    def _simulates(self) -> bool:
        return self._settings.local_prices != "none"
