"""Runs tests under the policies that Prism prints, and records the results.

Without the environment variable `PRISM_TEST_AWS_POLICIES`, nothing happens. It names a folder, in
which each test writes the permissions that its calls used, and the calls that were denied.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_double.double import AwsDouble
from prism.providers.aws.account.policy import policy, setup_policy

FOLDER = "PRISM_TEST_AWS_POLICIES"
ACCOUNT = "123456789012"
by_an_administrator = pytest.mark.skipif(
    FOLDER in os.environ,
    reason="the daily policy forbids to change resources without our tags, or to ask about others",
)


@contextlib.contextmanager
def under_policies(double: AwsDouble) -> Iterator[None]:
    """Applies the daily policy and the setup policy to calls of Prism, not to calls of tests."""
    if (folder := os.environ.get(FOLDER)) is None:
        yield
        return
    daily = double.bind(policy(account=ACCOUNT), "prism")
    setup = double.bind(setup_policy(account=ACCOUNT), "prism-setup")
    yield
    record = {
        "test": os.environ.get("PYTEST_CURRENT_TEST", ""),
        "daily": sorted(daily.used),
        "setup": sorted(setup.used),
        "denied": [*daily.denied, *setup.denied],
    }
    Path(folder, uuid.uuid4().hex).write_text(json.dumps(record))
