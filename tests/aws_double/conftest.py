"""Every test finds the double empty, obedient, consistent, and with its clock stopped."""

import pytest

from tests.aws_double.asked import client, order_rules


@pytest.fixture
def aws(running_double):
    running_double.reset()
    running_double.clock.stop()
    order_rules(running_double)
    return running_double


@pytest.fixture
def ec2(aws):
    return client(aws, "ec2")


@pytest.fixture
def efs(aws):
    return client(aws, "efs")


@pytest.fixture
def iam(aws):
    return client(aws, "iam")
