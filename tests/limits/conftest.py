"""A daemon in team mode whose local machines cost as much as EC2 instances."""

from datetime import timedelta

import pytest

from prism.kit.clock import StoppedClock
from tests.access.people import Team
from tests.conftest import Http, MakeDaemon
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.money import ClockedDaemon


@pytest.fixture
def priced_team(make_daemon: MakeDaemon, cloud: MemoryCompute, disks: MemoryVolumes) -> Team:
    cloud.busy = disks.busy = timedelta(0)
    daemon = make_daemon(
        auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1", local_prices="aws"
    )
    return Team(daemon, Http(daemon.app))


@pytest.fixture
def clocked_daemon(
    make_daemon: MakeDaemon, clock: StoppedClock, cloud: MemoryCompute, disks: MemoryVolumes
) -> ClockedDaemon:
    cloud.busy = disks.busy = timedelta(0)  # changes take no time
    return ClockedDaemon(make_daemon(local_prices="aws"), clock)


@pytest.fixture
def team(make_daemon: MakeDaemon) -> Team:
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url="smtp://127.0.0.1:1",
        project_creation="everybody",
    )
    return Team(daemon, Http(daemon.app))
