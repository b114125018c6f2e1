from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from prism.daemon.app import App
from tests.access.people import Team
from tests.conftest import Http, MakeDaemon
from tests.notices.receivers import MailReceiver

HOST = "prism.example.org"


@pytest.fixture
def mail_server() -> Iterator[MailReceiver]:
    with MailReceiver() as server:
        yield server


@pytest.fixture
def team(
    make_daemon: MakeDaemon, mail_server: MailReceiver, request: pytest.FixtureRequest
) -> Team:
    """Several people around one daemon with a mail server; the operator is ada@x.org."""
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url=f"smtp://127.0.0.1:{mail_server.port}",
        mail_from="prism@lab.org",
        public_url=f"https://{HOST}",
        **getattr(request, "param", {}),
    )
    team = Team(daemon, Http(daemon.app))
    daemon.notice_parts.collector.collect()  # what the fixture itself has done
    return team


@pytest.fixture
def inbox(team: Team) -> Callable[[str], list[dict[str, Any]]]:
    """The notices of a person, the newest first, after everything was collected."""

    def notices(caller: str) -> list[dict[str, Any]]:
        team.daemon.notice_parts.collector.collect()
        answer = team(caller, "GET", "notices")
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()["notices"]
        return listed

    return notices


def kinds(listed: list[dict[str, Any]]) -> list[str]:
    return [notice["kind"] for notice in listed]


def ok(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def send_mails(daemon: App) -> int:
    """One round of the loop of mails."""
    return daemon.notice_parts.mail_loop.once()
