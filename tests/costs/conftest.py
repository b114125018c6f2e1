"""A daemon with a stopped clock, whose local machines cost as much as EC2 instances."""

from datetime import timedelta

import pytest

from prism.kit.clock import StoppedClock
from tests.conftest import MakeDaemon
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.money import ClockedDaemon


@pytest.fixture
def clocked_daemon(
    make_daemon: MakeDaemon, clock: StoppedClock, cloud: MemoryCompute, disks: MemoryVolumes
) -> ClockedDaemon:
    cloud.busy = disks.busy = timedelta(
        0
    )  # what changes at once is seen at once, without a second passing
    return ClockedDaemon(make_daemon(local_prices="aws"), clock)
