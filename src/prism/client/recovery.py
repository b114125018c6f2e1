"""Machines without a workspace, across the wire; for the operator alone."""

from __future__ import annotations

from prism.client.models import recovery
from prism.client.request import Noun
from prism.client.wire import quoted

PATH = "/orphans"


class Recoveries(Noun):
    """What you may ask about machines that have no workspace; `id` is a machine's."""

    def orphans(self) -> recovery.Orphans:
        """Those there are, as they were last seen."""
        return self._ask("GET", PATH, recovery.Orphans)

    def adopt(self, id: str) -> recovery.Adopted:
        """Make a workspace of one."""
        return self._ask("POST", f"{PATH}/{quoted(id)}/adopt", recovery.Adopted)

    def terminate(self, id: str) -> recovery.Adopted:
        """Have one destroyed, with its disk."""
        return self._ask(
            "POST",
            f"{PATH}/{quoted(id)}/terminate",
            recovery.Adopted,
            recovery.End(confirm="DELETE"),
        )

    def recover(
        self, *, dry_run: bool = False, everybody: bool = False, accept: bool = False
    ) -> recovery.Recovered:
        """Make workspaces of all that are ours, or of all; a dry run only says which.

        `accept` goes on with a database that is older than the machines.
        """
        body = recovery.Recovery(dry_run=dry_run, everybody=everybody, accept=accept)
        return self._ask("POST", "/recover", recovery.Recovered, body)
