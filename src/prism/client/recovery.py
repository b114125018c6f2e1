"""Machines without a workspace, across the wire; for the operator alone."""

from prism.client.decoding import ask
from prism.client.wire import Wire, quoted
from prism.recovery.model import Adopted, End, Orphans, Recovered, Recovery

PATH = "/orphans"


class Recoveries:
    """What you may ask about machines that have no workspace; `id` is a machine's."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def orphans(self) -> Orphans:
        """Those there are, as they were last seen."""
        return ask(self._wire, "GET", PATH, Orphans)

    def adopt(self, id: str) -> Adopted:
        """Make a workspace of one."""
        return ask(self._wire, "POST", f"{PATH}/{quoted(id)}/adopt", Adopted)

    def terminate(self, id: str) -> Adopted:
        """Have one destroyed, with its disk."""
        return ask(self._wire, "POST", f"{PATH}/{quoted(id)}/terminate", Adopted, End("DELETE"))

    def recover(
        self, *, dry_run: bool = False, everybody: bool = False, accept: bool = False
    ) -> Recovered:
        """Make workspaces of all that are ours, or of all; a dry run only says which.

        `accept` goes on with a database that is older than the machines.
        """
        body = Recovery(dry_run=dry_run, everybody=everybody, accept=accept)
        return ask(self._wire, "POST", "/recover", Recovered, body)
