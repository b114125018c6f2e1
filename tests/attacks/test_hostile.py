"""A minute of races inside a workspace against every verb that touches its folder."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.attacks.hostile import VERBS, assault
from tests.attacks.ordinary import can_be_ordinary, ordinary_home
from tests.project.home import Home

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.needs("bwrap"),
]
SECONDS = 60


@pytest.fixture
def outside_folder():
    """A folder that no workspace sees, and that an ordinary user may write."""
    with tempfile.TemporaryDirectory(prefix="prism-outside-") as name:
        yield Path(name)


def test_hostile_workspace_reads_and_writes_nothing_outside_while_verbs_run(
    tmp_path, outside_folder
):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon():
            done = assault(home, outside_folder, SECONDS)
    finally:
        home.clear()
    assert all(done[verb.__name__] for verb in VERBS), done


@pytest.mark.skipif(
    os.geteuid() != 0 or not can_be_ordinary(), reason="the test above ran as an ordinary user"
)
def test_hostile_workspace_reads_and_writes_nothing_outside_as_ordinary_user(outside_folder):
    with ordinary_home() as home, home.run_daemon():
        done = assault(home, outside_folder, SECONDS)
    assert all(done[verb.__name__] for verb in VERBS), done
