"""Several people around one daemon in team mode, each with a token."""

from collections.abc import Mapping
from typing import Any

import httpx

from prism.access.model import CreatedToken, NewToken, Scope
from prism.daemon.app import App
from tests.conftest import Http
from tests.optional import not_none

ROLES = ("viewer", "member", "admin", "owner")


class Team:
    """Sends requests as a role in the project, as a user outside it, or as the operator."""

    def __init__(self, daemon: App, http: Http) -> None:
        self.daemon, self.http = daemon, http
        self.tokens: dict[str, str] = {}
        self.token("operator", user="ada@x.org", scope="admin")
        self.project = self("operator", "POST", "projects", json={"name": "Reef"}).json()["id"]
        for role in ROLES:
            body = {"email": f"{role}@x.org", "role": role}
            answer = self("operator", "POST", f"projects/{self.project}/members", json=body)
            assert answer.status_code == 201, answer.text
            self.token(role, scope="admin")
        self.token("outside", scope="admin")

    def token(self, name: str, user: str | None = None, **fields: Any) -> CreatedToken:
        """A token that the operator creates at the socket."""
        scope = Scope(fields.pop("scope", "operate"))
        new = NewToken(name=name, user=user or f"{name}@x.org", scope=scope, **fields)
        minted = self.daemon.tokens.create(new)
        self.tokens[name] = not_none(minted.token)
        return minted

    def __call__(
        self,
        caller: str | None,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> httpx.Response:
        """A request with the token of `caller`, or without a token."""
        credentials = {"Authorization": f"Bearer {self.tokens[caller]}"} if caller else {}
        path = path if path.startswith("/") else f"/api/v1/{path}"
        return self.http(method, path, headers={**credentials, **(headers or {})}, **body)

    def launch(self, caller: str, name: str, **more: Any) -> httpx.Response:
        """A workspace of the caller, in the project unless `more` names another."""
        order = {"name": name, "template": "Plain Shell", "project": self.project, **more}
        return self(caller, "POST", "instances/launch", json=order)

    def invite(
        self, caller: str = "admin", email: str = "new@x.org", **more: Any
    ) -> httpx.Response:
        """An invitation to the project."""
        body = {"project_id": self.project, "email": email, **more}
        return self(caller, "POST", "invitations/send", json=body)
