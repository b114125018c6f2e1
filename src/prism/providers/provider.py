"""The interface of a provider: its locations, and its offers for launches and storage.

A provider is a package beside this file that implements `Provider`, an entry in
`prism.profiles.providers` with what differs, and a line in `daemon/wiring/providers.py`.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from prism.copies.ports import CopyWorker
from prism.errors import Problem
from prism.files.ports import Files
from prism.logs.ports import Logs
from prism.profiles.model import Profile
from prism.recovery.model import SurveyedLocation
from prism.storage.model import StorageOffer
from prism.storage.ports import Volumes
from prism.workspaces.model import Offer
from prism.workspaces.ports import Compute


class Location(Struct, frozen=True, kw_only=True):
    """The parts of one location; a part that it does not have is null."""

    compute: Compute
    volumes: Volumes | None = None
    logs: Logs | None = None
    files: Files | None = None
    copies: CopyWorker | None = None
    threads: int = 16
    """How many of its workspaces are handled at once."""
    compared: Callable[[], bool] = lambda: True
    """Whether the generation of the database on its machines was compared with ours."""
    away: Problem | None = None
    """Why it is not available now; every part raises that then."""


class Login(Struct, frozen=True, kw_only=True):
    """The identity of a location's login, and the permissions that it lacked at the last check."""

    identity: str | None = None
    missing: tuple[str, ...] | None = None
    checked_at: datetime | None = None


class Provider(Protocol):
    """Machines and data of one kind, in one or many locations."""

    @property
    def locations(self) -> Mapping[str, Location]:
        """All that were connected or tried, by name; each look sees one moment."""

    @property
    def in_use(self) -> Set[str]:
        """The names of the locations in use."""

    def offer(self, profile: Profile, *, wait: float) -> Offer:
        """The offer for a profile, within `wait` seconds; raises if it has no location yet."""

    def storage_offer(self, location: str) -> StorageOffer:
        """The storage offer of a location."""

    def login(self, location: str) -> Login:
        """The login of a location; makes no call."""

    def delay(self, location: str) -> str | None:
        """Why calls to a location wait at this moment, in words."""

    def unreadable(self) -> Sequence[str]:
        """Machines and storage whose description cannot be read, each in a sentence."""

    def profiles_without_location(self) -> Mapping[str, Problem]:
        """Active profiles without a location, by name, and why."""

    def unsurveyed_locations(self) -> Sequence[SurveyedLocation]:
        """Locations in use, or profiles that may lead to one, and why each cannot be surveyed."""

    def look(self, wait: float) -> None:
        """Find the locations in use, and connect them."""

    def start(self, connected: Callable[[str], object]) -> None:
        """Look now, and whenever `wake` is called; call `connected` with each new location."""

    def wake(self) -> None:
        """A location may have come into use: look soon. Does not wait."""

    def stop(self) -> None:
        """Connect nothing and make no more calls; machines keep running."""

    def close(self) -> None:
        """Close every location; its users have stopped before."""
