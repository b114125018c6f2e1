"""Each test starts with an empty, consistent double without faults, and with a stopped clock."""

from typing import Any

import pytest

from aws_double.double import AwsDouble
from tests.aws_double.boto import client, set_rules


@pytest.fixture
def aws(running_double: AwsDouble) -> AwsDouble:
    running_double.reset()
    running_double.clock.stop()
    set_rules(running_double)
    return running_double


@pytest.fixture
def ec2(aws: AwsDouble) -> Any:
    return client(aws, "ec2")


@pytest.fixture
def efs(aws: AwsDouble) -> Any:
    return client(aws, "efs")


@pytest.fixture
def iam(aws: AwsDouble) -> Any:
    return client(aws, "iam")
