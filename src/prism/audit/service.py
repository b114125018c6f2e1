"""What somebody may read of the audit log."""

from collections.abc import Callable

from prism.access.model import current
from prism.access.sight import Workspace, shows
from prism.audit import store
from prism.audit.model import Entry, Wanted
from prism.audit.plan import entry
from prism.kit.db import Database
from prism.kit.events import Recorded


class AuditService:
    """The audit log; `workspace` says whose a workspace is."""

    def __init__(self, db: Database, workspace: Workspace) -> None:
        self._db, self._workspace = db, workspace

    def entries(self, wanted: Wanted) -> tuple[list[Entry], int | None]:
        """Those that fit and that the caller may see, the newest first; where the next begins."""
        found: list[Recorded] = []
        below, seen = wanted.before_id, self._seen()
        with self._db.read() as sql:
            while len(found) <= wanted.limit and (page := store.page(sql, wanted, below)):
                found += [fact for fact in page if seen(fact)]
                below = page[-1].id
        more = len(found) > wanted.limit
        found = found[: wanted.limit]
        return [entry(fact) for fact in found], found[-1].id if more else None

    def _seen(self) -> Callable[[Recorded], bool]:
        caller = current()
        return lambda fact: shows(caller, fact, self._workspace)
