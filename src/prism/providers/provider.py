"""What a provider is to the daemon: where machines and data are, and what it says of orders.

A provider is a package beside this file that implements `Provider`, an entry in
`prism.profiles.providers` with what differs, and a line in `daemon/wiring/providers.py`.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from prism.errors import Problem
from prism.files.ports import Files
from prism.logs.ports import Logs
from prism.profiles.model import Profile
from prism.recovery.model import Looked
from prism.storage.model import StorageOffer
from prism.storage.ports import Volumes
from prism.workspaces.model import Offer
from prism.workspaces.ports import Compute


class Location(Struct, frozen=True, kw_only=True):
    """What serves one location; null is what it does not have."""

    compute: Compute
    volumes: Volumes | None = None
    logs: Logs | None = None
    files: Files | None = None
    threads: int = 16
    """How many of its workspaces are worked on at once."""
    compared: Callable[[], bool] = lambda: True
    """Whether its machines have said which database they were last changed for."""
    away: Problem | None = None
    """Why it cannot be asked now; every part raises that then."""


class Login(Struct, frozen=True, kw_only=True):
    """As whom a location is asked, and what that login lacked when somebody looked last."""

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
        """The names of those where somebody works now."""

    def offer(self, profile: Profile, *, wait: float) -> Offer:
        """The offer for a profile, within `wait` seconds; raises if that leads nowhere yet."""

    def storage_offer(self, location: str) -> StorageOffer:
        """What it says of storage in a location."""

    def login(self, location: str) -> Login:
        """As whom a location is asked; asks nobody."""

    def delay(self, location: str) -> str | None:
        """Why calls to a location wait at this moment, in words."""

    def unreadable(self) -> Sequence[str]:
        """What is there and says nothing of itself, or nothing that can be read."""

    def nowhere(self) -> Mapping[str, Problem]:
        """Active profiles that lead nowhere yet, by name, and why."""

    def unseen(self) -> Sequence[Looked]:
        """Locations in use, or profiles that may lead to one, each with why nobody can look."""

    def look(self, wait: float) -> None:
        """See which locations are in use, and connect them."""

    def start(self, connected: Callable[[str], object]) -> None:
        """Look now, and whenever it is rung; `connected` is called with each new location."""

    def ring(self) -> None:
        """Something may be in use that was not; waits for nobody."""

    def stop(self) -> None:
        """Connect nothing and ask nothing any more; machines keep running."""

    def close(self) -> None:
        """Let go of every location; who works there has stopped before."""
