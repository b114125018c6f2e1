"""A lab in which an hour costs what EC2 would ask."""

from datetime import timedelta

import pytest

from tests.money import Lab


@pytest.fixture
def lab(make_daemon, clock, cloud, disks):
    cloud.busy = disks.busy = timedelta(
        0
    )  # what changes at once is seen at once, without a second passing
    return Lab(make_daemon(local_prices="aws"), clock)
