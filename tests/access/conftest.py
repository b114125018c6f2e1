import pytest

from tests.access.people import Team
from tests.conftest import Http, MakeDaemon


@pytest.fixture
def team(make_daemon: MakeDaemon, request: pytest.FixtureRequest) -> Team:
    settings = {"project_creation": "everybody", **getattr(request, "param", {})}
    unreachable = "smtp://127.0.0.1:1"  # mail waits, and no file is written
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url=unreachable, **settings)
    return Team(daemon, Http(daemon.app))
