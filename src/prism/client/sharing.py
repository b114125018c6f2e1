"""Client methods for shares of workspaces."""

from __future__ import annotations

import builtins

from prism.client.models import sharing
from prism.client.transport.request import Noun
from prism.client.transport.wire import quoted


class Shares(Noun):
    """Methods for shares."""

    def create(
        self,
        name: str,
        *,
        app: str | None = None,
        terminal: bool = False,
        guest: str,
        until: str,
        may_wake: bool = False,
    ) -> sharing.ShareShown:
        """Share an app or the terminal of your workspace until a time.

        `guest` is an address, `project:NAME` or `everybody`.
        """
        body = sharing.NewShare(
            app=app,
            terminal=terminal,
            guest=guest,
            until=until,  # type: ignore[arg-type]  # the daemon reads it
            may_wake=may_wake,
        )
        path = f"/instances/{quoted(name)}/shares"
        return self._ask("POST", path, sharing.ShareShown, body)

    def of_workspace(self, name: str) -> builtins.list[sharing.ShareShown]:
        """The shares of a workspace."""
        path = f"/instances/{quoted(name)}/shares"
        return [*self._ask("GET", path, sharing.ShareList).shares]

    def mine(self) -> sharing.OwnShares:
        """What you share, and what others share with you."""
        return self._ask("GET", "/shares", sharing.OwnShares)

    def end(self, id: str) -> sharing.EndedShare:
        """End a share, and its open connections."""
        return self._ask("DELETE", f"/shares/{quoted(id)}", sharing.EndedShare)

    def open(self, id: str) -> sharing.OpenedShare:
        """The address of an app that is shared with you."""
        return self._ask("GET", f"/shares/{quoted(id)}/open", sharing.OpenedShare)

    def wake(self, id: str) -> sharing.ShareWoken:
        """Start a workspace that is shared with you, if its owner allows that."""
        return self._ask("POST", f"/shares/{quoted(id)}/wake", sharing.ShareWoken)
