import pytest

from tests.access.people import Team
from tests.conftest import Http, MakeDaemon


@pytest.fixture
def team(make_daemon: MakeDaemon) -> Team:
    """Several people around one daemon; the operator is ada@x.org."""
    daemon = make_daemon(auth="tokens", user="ada@x.org")
    return Team(daemon, Http(daemon.app))
