"""Client methods for requests for more."""

from __future__ import annotations

import builtins

from prism.client.models import requests
from prism.client.transport.request import Noun
from prism.client.transport.wire import query, quoted

REQUESTS_PATH = "/requests"


class Requests(Noun):
    """Methods for requests for more."""

    def list(self, state: str | None = None) -> builtins.list[requests.MoreRequestShown]:
        """Your requests, and those that you may answer."""
        return [*self.page(state).requests]

    def page(self, state: str | None = None) -> requests.MoreRequestList:
        """Your requests and those that you may answer, and how many there are."""
        return self._ask("GET", REQUESTS_PATH + query(state=state), requests.MoreRequestList)

    def money(
        self,
        usd: float,
        *,
        project: str | None = None,
        limit: str | None = None,
        reason: str = "",
    ) -> requests.MoreRequestShown:
        """Request dollars for a project, or for a limit of yours (by default the only one)."""
        body = _body("money", usd=usd, project=project, limit=limit, reason=reason)
        return self._ask("POST", REQUESTS_PATH, requests.MoreRequestShown, body)

    def time(self, hours: float, workspace: str, reason: str = "") -> requests.MoreRequestShown:
        """Request a later expiry of a workspace."""
        body = _body("time", hours=hours, workspace=workspace, reason=reason)
        return self._ask("POST", REQUESTS_PATH, requests.MoreRequestShown, body)

    def size(self, size: str, workspace: str, reason: str = "") -> requests.MoreRequestShown:
        """Request another size of a workspace."""
        body = _body("size", size=size, workspace=workspace, reason=reason)
        return self._ask("POST", REQUESTS_PATH, requests.MoreRequestShown, body)

    def workspaces(
        self, count: int, *, limit: str | None = None, reason: str = ""
    ) -> requests.MoreRequestShown:
        """Request that more workspaces may run at once, beyond a limit of yours."""
        body = _body("workspaces", count=count, limit=limit, reason=reason)
        return self._ask("POST", REQUESTS_PATH, requests.MoreRequestShown, body)

    def gpus(
        self, count: int, *, limit: str | None = None, reason: str = ""
    ) -> requests.MoreRequestShown:
        """Request that more GPUs may be used at once, beyond a limit of yours."""
        body = _body("gpus", count=count, limit=limit, reason=reason)
        return self._ask("POST", REQUESTS_PATH, requests.MoreRequestShown, body)

    def grant(self, id: str) -> requests.MoreRequestShown:
        """Grant a request, and carry it out with your rights."""
        return self._ask("POST", f"{REQUESTS_PATH}/{quoted(id)}/grant", requests.MoreRequestShown)

    def refuse(self, id: str, reason: str = "") -> requests.MoreRequestShown:
        """Refuse a request."""
        path, body = f"{REQUESTS_PATH}/{quoted(id)}/refuse", requests.Refusal(reason=reason)
        return self._ask("POST", path, requests.MoreRequestShown, body)

    def withdraw(self, id: str) -> requests.MoreRequestShown:
        """Withdraw a request of yours."""
        return self._ask("DELETE", f"{REQUESTS_PATH}/{quoted(id)}", requests.MoreRequestShown)


def _body(kind: str, **fields: object) -> requests.NewMoreRequest:
    chosen = {name: value for name, value in fields.items() if value is not None}
    return requests.NewMoreRequest(kind=kind, **chosen)  # type: ignore[arg-type]
