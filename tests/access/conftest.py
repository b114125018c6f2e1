import pytest

from tests.access.people import Team
from tests.conftest import Http, MakeDaemon


@pytest.fixture
def team(make_daemon: MakeDaemon) -> Team:
    unreachable = "smtp://127.0.0.1:1"  # mail waits, and no file is written
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url=unreachable,
        project_creation="everybody",
    )
    return Team(daemon, Http(daemon.app))
