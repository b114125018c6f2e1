"""Client methods for limits of people, roles and tokens."""

from __future__ import annotations

import builtins

from prism.client.models import limits
from prism.client.transport.request import UNSET, Noun, UnsetType
from prism.client.transport.wire import query, quoted

LIMITS_PATH = "/limits"


class Limits(Noun):
    """Methods for limits."""

    def list(self, project: str | None = None) -> builtins.list[limits.LimitShown]:
        """The limits in a project; for the operator, all by default."""
        return [*self.page(project).limits]

    def page(self, project: str | None = None) -> limits.LimitList:
        """The limits, and how many there are."""
        return self._ask("GET", LIMITS_PATH + query(project=project), limits.LimitList)

    def mine(self) -> limits.OwnLimits:
        """The limits that apply to you, and how much of each is used."""
        return self._ask("GET", f"{LIMITS_PATH}/mine", limits.OwnLimits)

    def set(
        self,
        *,
        person: str | None = None,
        token: str | None = None,
        role: str | None = None,
        project: str | None = None,
        monthly: float | UnsetType | None = UNSET,
        workspaces: int | UnsetType | None = UNSET,
        gpus: int | UnsetType | None = UNSET,
    ) -> limits.LimitShown:
        """Limit a person (`*`: everybody), a token or a role; None removes one value."""
        body = limits.LimitChange(
            person=person,
            token=token,
            role=role,  # type: ignore[arg-type]  # the daemon checks it
            project=project,
            monthly=monthly,
            workspaces=workspaces,
            gpus=gpus,
        )
        return self._ask("PUT", LIMITS_PATH, limits.LimitShown, body)

    def remove(self, id: str, project: str | None = None) -> limits.RemovedLimit:
        """Remove a limit; an owner names the project."""
        path = f"{LIMITS_PATH}/{quoted(id)}{query(project=project)}"
        return self._ask("DELETE", path, limits.RemovedLimit)
