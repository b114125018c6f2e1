"""Files of `/etc` that this computer replaces stay hidden from the workspaces that run."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.attacks.ordinary import can_be_ordinary
from tests.providers.local.test_life import LENT, environment, python_for_all, surroundings

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("bwrap", "unshare"))),
    reason="needs root and bubblewrap: it mounts an /etc of its own",
)
OWN_ETC = """
cp -a /etc "$1"
chown -hR "$2" "$1"
mount --bind "$1" /etc
shift 2
exec "$@"
"""
MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", OWN_ETC, "sh")


def findings_of(home, environ, user, lent, python):
    """The findings of `replacing.py`, with an `/etc` for this test only."""
    program = [
        *lent,
        "env",
        python,
        "-m",
        "tests.attacks.replacing",
        home / "prism",
        home / "cache",
    ]
    words = [*MOUNTS, home / "etc", user, *program]
    variables = {**environ, "PRISM_WORKSPACE_NETWORK": "host"}
    done = subprocess.run(words, env=variables, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["root", "an ordinary user"])
def findings(request, tmp_path_factory):
    if request.param == "root":
        home = tmp_path_factory.mktemp("replaced")
        return findings_of(home, environment(home), "0:0", [], sys.executable)
    if not can_be_ordinary():
        pytest.skip("needs a Python that an ordinary user may run, and namespaces for that user")
    with surroundings() as (home, environ):
        return findings_of(home, environ, "65534:65534", LENT, python_for_all())


def test_secrets_are_hidden_before_this_computer_replaces_them(findings):
    assert findings["before"] == []


def test_running_workspace_sees_nothing_of_replaced_files(findings):
    assert findings["after"] == []


def test_secrets_stay_hidden_when_another_start_refreshes_the_copy(findings):
    assert findings["refreshed"] == [[], []]


def test_running_workspace_keeps_its_user(findings):
    assert findings["kept"] == findings["known"] == findings["accounts"]
    assert findings["accounts"] in (["researcher", False], ["nobody", False])


def test_running_workspace_sees_new_files_and_names(findings):
    assert findings["new"] == ["tool", "tool"]
