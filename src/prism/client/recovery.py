"""Client methods for machines without a workspace; for the operator only."""

from __future__ import annotations

from prism.client.models import recovery
from prism.client.transport.request import Noun
from prism.client.transport.wire import quoted

ORPHANS_PATH = "/orphans"


class Recoveries(Noun):
    """Methods for machines without a workspace; `id` is a machine's."""

    def orphans(self) -> recovery.OrphanList:
        """All orphans, as of the last survey."""
        return self._ask("GET", ORPHANS_PATH, recovery.OrphanList)

    def adopt(self, id: str) -> recovery.RecoveredWorkspace:
        """Make a workspace from a machine."""
        return self._ask("POST", f"{ORPHANS_PATH}/{quoted(id)}/adopt", recovery.RecoveredWorkspace)

    def terminate(self, id: str) -> recovery.RecoveredWorkspace:
        """Destroy a machine and its disk."""
        path, body = (
            f"{ORPHANS_PATH}/{quoted(id)}/terminate",
            recovery.TerminateOrphanRequest(confirm="DELETE"),
        )
        return self._ask("POST", path, recovery.RecoveredWorkspace, body)

    def recover(
        self,
        *,
        dry_run: bool = False,
        everybody: bool = False,
        accept: bool = False,
        adopt_home: str | None = None,
    ) -> recovery.RecoverAnswer:
        """Make workspaces of the caller's machines, or of all; a dry run only lists them.

        `accept` continues with a database that is older than the machines. `adopt_home` is the
        location of a home that does not exist any more; its rows then belong to this one.
        """
        body = recovery.RecoverRequest(
            dry_run=dry_run, everybody=everybody, accept=accept, adopt_home=adopt_home
        )
        return self._ask("POST", "/recover", recovery.RecoverAnswer, body)
