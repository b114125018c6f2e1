"""Reads what is at a destination."""

from collections.abc import Mapping

from prism.copies import view
from prism.copies.destinations import DestinationKind, parse
from prism.copies.model import CopyNotFound, RemoteCopy, RemoteCopyItem
from prism.copies.plan import chosen
from prism.copies.ports import CopyWorker
from prism.errors import Conflict
from prism.profiles.service import ProfileService


class RemoteCopyReader:
    """Lists the copies at destinations; each call waits for the destination."""

    def __init__(self, workers: Mapping[str, CopyWorker], profiles: ProfileService) -> None:
        self._workers, self._profiles = workers, profiles

    def listing(self, destination: str, profile: str | None = None) -> list[RemoteCopyItem]:
        """The copies at a destination, the oldest first."""
        return [view.remote(copy) for copy in self._copies(destination, profile)]

    def named(self, destination: str, name: str, profile: str | None) -> RemoteCopy:
        """The copy with an id, else the last one of a snapshot's name."""
        copies = self._copies(destination, profile)
        if (copy := chosen(copies, name)) is not None:
            return copy
        raise CopyNotFound(
            f"There is no copy {name!r} at {destination}",
            details=f"{len(copies)} are there",
            remediation=f"Look at them: `prism snapshot copies {destination}`",
        )

    def _copies(self, text: str, profile: str | None) -> list[RemoteCopy]:
        destination = parse(text)
        if destination.kind is DestinationKind.S3 and profile is None:
            profile = self._profiles.current().name
        for worker in self._workers.values():
            return [*worker.listing(destination.text, profile)]
        raise Conflict("This daemon has no local snapshots")
