"""A real daemon for several people and the people around it; and a world of local machines."""

import json

import httpx
import pytest

from tests.access.conftest import team  # noqa: F401  the people of the tests of roles
from tests.access.people import ROLES
from tests.connections.conftest import TEMPLATE
from tests.project.living import Home
from tests.providers.local.conftest import packages, world  # noqa: F401  for hostile programs
from tests.waiting import eventually


class Lab:
    """The daemon as people on the wire see it, each by a token."""

    def __init__(self, home):
        self.home = home
        self.port = json.loads((home.folder / "daemon.lock").read_text())["port"]
        self.base = f"http://127.0.0.1:{self.port}"
        self.operator = home.client  # by the socket

    def project(self, name):
        """A project with one person of each role."""
        project = self.operator.projects.create(name).id
        for role in ROLES:
            self.operator.members.add(project, self.mail(name, role), role=role)
        return project

    def mail(self, project, role):
        """Somebody's address."""
        return f"{role}-of-{project}@x.org".lower()

    def token(self, user, scope="admin", by=None, **more):
        """A new token of somebody's: its id, and itself."""
        if by is None:
            minted = self.operator.tokens.create("t", user=user, scope=scope, **more)
            return minted.id, minted.token
        asked = {"name": "t", "scope": scope, **more}
        answer = self.ask(by, "POST", "/api/v1/tokens", json=asked)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], answer.json()["token"]

    def ask(self, token, method, path, headers=(), **more):
        """What is answered to whoever shows that token."""
        shown = {"authorization": f"Bearer {token}"} if token else {}
        given = {"user-agent": "test", **shown, **dict(headers)}
        return httpx.request(method, self.base + path, headers=given, timeout=120, **more)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("lab") / "home")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "served.yml").write_text(TEMPLATE)
    home.environ |= {"PRISM_AUTH": "tokens"}
    try:
        with home.living():
            lab = Lab(home)
            lab.reef = lab.project("Reef")
            lab.other = lab.project("Other")
            home.client.workspaces.launch("Served", "mine", project=lab.reef)
            eventually(lambda: home.states() == ["running"], 120)
            yield lab
    finally:
        home.clear()
