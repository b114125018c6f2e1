"""Has tests run under the policies that Prism prints, and writes down what came of it.

Nothing happens unless `PRISM_TEST_AWS_POLICIES` names a folder: there each test leaves what its
calls were allowed by, and what was denied that no rule of its own denies.
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
    FOLDER in os.environ, reason="the daily policy changes nothing that carries no tag of Prism"
)


@contextlib.contextmanager
def under_policies(double: AwsDouble) -> Iterator[None]:
    """Hold Prism's own calls, and no test's, to the daily policy and to that of the setup."""
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
