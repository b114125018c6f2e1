"""`prism clean`: over HTTP while a daemon runs, else `python -m prism.daemon.cleaning`.

The second works if the disk is so full that no daemon can start.
"""

import fcntl
import json
import os
import sys
import threading
from collections.abc import Sequence

import msgspec
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from prism.errors import Conflict, Problem, Unavailable
from prism.kit.database.disk_reserve import Reserve
from prism.kit.http import READS
from prism.kit.routes import Routes
from prism.providers.local.cleaning import Cleaner, RemovableFiles
from prism.settings import Settings


class CleaningRuns(Conflict, code="CLEANING_RUNS"):
    """Another program is cleaning up now."""


class CleanRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to free space; a dry run only says how much."""

    dry_run: bool = False


class CleanAnswer(Struct, frozen=True, kw_only=True):
    """The removed files, or those that would be removed; `free_bytes` is the free space now."""

    dry_run: bool
    freed_bytes: int
    free_bytes: int
    kinds: Sequence[RemovableFiles]


class CleaningService:
    """Frees space in the home, one request at a time."""

    def __init__(self, cleaner: Cleaner, reserve: Reserve) -> None:
        self._cleaner, self._reserve = cleaner, reserve
        self._lock = threading.Lock()

    def clean(self, *, dry_run: bool) -> CleanAnswer:
        """Remove what is not needed, and restore the disk reserve."""
        if not self._lock.acquire(blocking=False):
            raise CleaningRuns(remediation="Wait until that is done, then `prism clean --dry-run`")
        try:
            kinds = self._cleaner.clean(dry_run=dry_run)
            if not dry_run:
                self._reserve.keep()
        finally:
            self._lock.release()
        return CleanAnswer(
            dry_run=dry_run,
            freed_bytes=sum(removable.bytes for removable in kinds),
            free_bytes=self._reserve.free,
            kinds=kinds,
        )


router = Routes("/api/v1/daemon", tags=["daemon"])


@router.post("/clean", status_code=200, sync_to_thread=True, opt={READS: True})
def clean(data: JSONBody[CleanRequest], cleaning: NamedDependency[CleaningService]) -> CleanAnswer:
    """Remove caches, old logs, unused environments and leftover drafts; nothing in use."""
    return cleaning.clean(dry_run=data.dry_run)


def clean_without_daemon(settings: Settings, *, dry_run: bool) -> CleanAnswer:
    """Clean while no daemon runs, and let none start meanwhile."""
    try:
        with (settings.folder / "daemon.lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cleaner = Cleaner(settings.folder, alone=True)
            return CleaningService(cleaner, Reserve(settings.folder)).clean(dry_run=dry_run)
    except BlockingIOError:
        raise CleaningRuns(
            "A daemon is starting", remediation="Try again: `prism clean`"
        ) from None
    except FileNotFoundError:
        raise Unavailable(f"There is no home {settings.folder}") from None


def main(words: Sequence[str] | None = None) -> int:
    """Clean up; prints the result or the error as JSON."""
    import argparse  # noqa: PLC0415  cold start: the daemon has no use for it

    parser = argparse.ArgumentParser(prog="prism.daemon.cleaning")
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args(words)
    os.umask(0o077)
    try:
        cleaned = clean_without_daemon(Settings.load(), dry_run=arguments.dry_run)
        sys.stdout.write(msgspec.json.encode(cleaned).decode() + "\n")
    except (Problem, OSError) as error:
        problem = error if isinstance(error, Problem) else Unavailable(details=str(error))
        fields = {"message": problem.message, "details": problem.details, "code": problem.code}
        sys.stdout.write(json.dumps({"error": fields | {"hint": problem.remediation}}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
