"""Prism works under the policies that it prints: no call is denied, and no grant is unused.

The tests of the provider run once more, with the policies applied to their calls.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from prism.providers.aws.account.policy import SETUP_RULES, named, rules
from tests.aws_policies import FOLDER
from tests.proofs import record

HERE = Path(__file__).parent
TESTS = HERE.parents[2]
TRIED = [
    *(
        HERE.parent / name
        for name in (
            "compute/test_launching.py", "compute/test_lifecycle.py",
            "compute/test_orphaned_spot.py", "compute/test_readiness.py",
            "compute/test_spot_requests.py", "compute/test_tags_put_back.py", "network",
            "prerequisites", "prices", "storage", "test_whole_life.py",
        )
    ),
    *(
        HERE / f"test_{name}.py"
        for name in ("checks", "federation", "identity", "leftovers", "policy", "setup")
    ),
    TESTS / "recovery" / "test_aws.py",
    TESTS / "daemon" / "wiring" / "test_providers.py",
]  # fmt: skip
# A test that shows what is refused, or tries what a policy is not for.
MEANT = "denied_on_purpose"


def reports_in(folder):
    """The report of each test about its policies; killed tests leave none."""
    for file in folder.iterdir():
        yield json.loads(file.read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_printed_policies_deny_no_call_and_have_no_unused_grant(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", *map(str, TRIED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    used = defaultdict[str, set[tuple[str, ...]]](set)
    denied = defaultdict[tuple[str, str], set[str]](set)
    tests = 0
    for report in reports_in(tmp_path):
        tests += 1
        for kind in ("daily", "setup"):
            used[kind] |= {tuple(pair) for pair in report[kind]}
        for action, resource in report["denied"]:
            if MEANT not in report["test"]:
                denied[action, resource].add(report["test"])
    assert not denied
    for kind, printed in (("daily", rules()), ("setup", SETUP_RULES)):
        granted = {
            (statement.sid, named(action)) for statement in printed for action in statement.actions
        }
        assert granted - used[kind] == set(), f"{kind}: granted and never used"
    assert tests > 200, "the provider's tests ran"
    record(
        "Policies of AWS",
        f"{tests} tests ran with the rights of the policies that `prism aws policy` prints, and "
        f"no others. No call was denied, and each of the {sum(map(len, used.values()))} "
        "permissions in the policies was used.",
    )
