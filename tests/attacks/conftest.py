"""A real daemon for several users with tokens, and a world of local machines."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.access.conftest import team  # noqa: F401  fixture for the tests of roles
from tests.access.people import ROLES
from tests.connections.conftest import TEMPLATE
from tests.optional import not_none
from tests.project.home import Home
from tests.providers.local.conftest import package_cache, world  # noqa: F401  for hostile programs
from tests.waiting import eventually


class DaemonByToken:
    """The daemon as its users see it over TCP, each with a token."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = json.loads((home.folder / "daemon.lock").read_text())["port"]
        self.base = f"http://127.0.0.1:{self.port}"
        self.operator = home.client  # by the socket
        self.reef, self.other = self.project("Reef"), self.project("Other")

    def project(self, name: str) -> str:
        """A project with one person of each role."""
        project = self.operator.projects.create(name).id
        for role in ROLES:
            self.operator.members.add(project, self.mail(name, role), role=role)
        return project

    def mail(self, project: str, role: str) -> str:
        """The address of the member with this role."""
        return f"{role}-of-{project}@x.org".lower()

    def token(
        self, user: str, scope: str = "admin", by: str | None = None, **more: Any
    ) -> tuple[str, str]:
        """A new token of a user: its id, and itself."""
        if by is None:
            minted = self.operator.tokens.create("t", user=user, scope=scope, **more)
            return minted.id, not_none(minted.token)
        order = {"name": "t", "scope": scope, **more}
        answer = self.ask(by, "POST", "/api/v1/tokens", json=order)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], answer.json()["token"]

    def ask(
        self,
        token: str | None,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """The answer to a request with that token."""
        credentials = {"authorization": f"Bearer {token}"} if token else {}
        sent_headers = {"user-agent": "test", **credentials, **(headers or {})}
        return httpx.request(method, self.base + path, headers=sent_headers, timeout=120, **more)


@pytest.fixture(scope="session")
def token_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonByToken]:
    home = Home(tmp_path_factory.mktemp("lab") / "home")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "served.yml").write_text(TEMPLATE)
    home.environ |= {"PRISM_AUTH": "tokens"}
    try:
        with home.run_daemon():
            lab = DaemonByToken(home)
            home.client.workspaces.launch("Served", "mine", project=lab.reef)
            eventually(lambda: home.states() == ["running"], 120)
            yield lab
    finally:
        home.clear()
