from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from prism.kit.cookies import SESSION_COOKIE
from tests.access.people import Team
from tests.conftest import Http, MakeDaemon

HOST = "prism.example.org"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class TabOfBrowser:
    """A browser at the daemon's public address, with what it would send by itself."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.cookie: str | None = None

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """A request of a page of the GUI."""
        sent = {"Host": HOST, "User-Agent": FIREFOX, "Sec-Fetch-Site": "same-origin"}
        if method not in {"GET", "HEAD"}:
            sent["Origin"] = f"https://{HOST}"
        if self.cookie is not None:
            sent["Cookie"] = f"{SESSION_COOKIE}={self.cookie}"
        path = path if path.startswith("/") else f"/api/v1/{path}"
        answer = self.team.http(method, path, headers={**sent, **(headers or {})}, **body)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if name == SESSION_COOKIE:
                self.cookie = value or None
        return answer

    def log_in(self, user: str) -> httpx.Response:
        """Use a one-time link of the operator."""
        answer = self("POST", "login", json={"link": self.link(user)})
        assert answer.status_code == 200, answer.text
        return answer

    def link(self, user: str) -> str:
        """The secret of a new one-time link for a person."""
        link_answer = self.team("operator", "POST", "login-links", json={"user": user})
        assert link_answer.status_code == 201, link_answer.text
        url: str = link_answer.json()["url"]
        return url.partition("#")[2]


@pytest.fixture
def team(make_daemon: MakeDaemon, request: pytest.FixtureRequest) -> Team:
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url="smtp://127.0.0.1:1",
        public_url=f"https://{HOST}",
        project_creation="everybody",
        **getattr(request, "param", {}),
    )
    return Team(daemon, Http(daemon.app))


@pytest.fixture
def tab(team: Team) -> TabOfBrowser:
    return TabOfBrowser(team)


@pytest.fixture
def other_tab(team: Team) -> TabOfBrowser:
    return TabOfBrowser(team)
