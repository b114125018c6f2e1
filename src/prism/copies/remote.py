"""Reads and removes what is at a destination."""

from collections.abc import Mapping

from prism.copies import view
from prism.copies.destinations import CopyDestination, DestinationKind, parse
from prism.copies.model import CopyNotFound, RemoteCopy, RemoteCopyItem
from prism.copies.plan import chosen
from prism.copies.ports import CopyWorker
from prism.errors import Conflict
from prism.profiles.service import ProfileService


class RemoteCopyReader:
    """Lists and destroys the copies at destinations; each call waits for the destination."""

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

    def delete(self, text: str, id: str, profile: str | None) -> RemoteCopy:
        """Destroy the copy with an id, which may be shortened; a name is not enough."""
        destination, copies = parse(text), self._copies(text, profile)
        copy = chosen((copy for copy in copies if copy.id.startswith(id)), id)
        if copy is None or sum(each.id.startswith(id) for each in copies) > 1:
            raise CopyNotFound(
                f"There is not one copy with the id {id!r} at {destination.text}",
                details="at least 8 characters of its id are needed; a name is not enough",
                remediation=f"Look at them: `prism snapshot copies {destination.text}`",
            )
        self._worker().delete(destination.text, self._login(destination, profile), copy.id)
        return copy

    def _copies(self, text: str, profile: str | None) -> list[RemoteCopy]:
        destination = parse(text)
        return [*self._worker().listing(destination.text, self._login(destination, profile))]

    def _login(self, destination: CopyDestination, profile: str | None) -> str | None:
        """The profile whose login a destination needs."""
        if destination.kind is DestinationKind.S3 and profile is None:
            return self._profiles.current().name
        return profile

    def _worker(self) -> CopyWorker:
        for worker in self._workers.values():
            return worker
        raise Conflict("This daemon has no local snapshots")
