"""Copies that an ordinary user makes, also if the tests run as root."""

import os
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest

from tests.attacks.ordinary import NOBODY, as_ordinary, can_be_ordinary
from tests.daemons import BIN
from tests.project.tree import ROOT

pytestmark = [
    pytest.mark.needs("restic"),
    pytest.mark.skipif(not can_be_ordinary(), reason="an ordinary user cannot run this Python"),
]
WORK = """
    import os, sys
    from pathlib import Path
    from tests.providers.local.restic.conftest import CopyingHome

    assert os.geteuid() != 0
    base = Path(sys.argv[1])
    home = CopyingHome(base / "home")
    (home.data / "file").write_bytes(os.urandom(400_000))
    (home.data / "file").chmod(0o4750)
    (home.data / "locked").mkdir()
    (home.data / "locked" / "read-only").write_text("x")
    (home.data / "locked" / "read-only").chmod(0o400)
    os.setxattr(home.data / "file", "user.colour", b"red")
    (home.data / "locked").chmod(0o500)
    (home.data / "out").symlink_to("/etc/shadow")
    home.take("snapshot_1")
    (base / "disk").mkdir()
    status = home.copied("snapshot_1", base / "disk")
    assert status.verified_at
    folder = home.fetched(base / "disk", status.remote_id)
    assert (folder / "data" / "file").read_bytes() == (home.data / "file").read_bytes()
    assert (folder / "data" / "file").stat().st_mode & 0o7777 == 0o4750
    assert (folder / "data" / "locked").stat().st_mode & 0o7777 == 0o500
    assert os.getxattr(folder / "data" / "file", "user.colour") == b"red"
    assert os.readlink(folder / "data" / "out") == "/etc/shadow"
    (base / "closed").mkdir(mode=0o500)
    refused = home.copy("snapshot_1", base / "closed")
    assert refused.trouble.code == "DESTINATION_FORBIDDEN", refused.trouble
    home.volumes.close()
    print("done")
"""
OF_ANOTHER_USER = """
    import sys
    from pathlib import Path
    from tests.providers.local.restic.conftest import CopyingHome

    base = Path(sys.argv[1])
    home = CopyingHome(base / "home")
    [copy] = home.volumes.copies.listing(str(base / "disk"), None)
    folder = home.fetched(base / "disk", copy.id)
    owner = (folder / "data" / "file").stat().st_uid
    assert owner == (folder / "about.json").stat().st_uid, "it belongs to whom it can"
    home.volumes.close()
    print("done")
"""


@pytest.fixture
def folder():
    """A folder of the ordinary user."""
    folder = Path(tempfile.mkdtemp(prefix="prism-copies-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def run(code, folder):
    command = as_ordinary([BIN / "python", "-c", textwrap.dedent(code), folder])
    environ = os.environ | {"HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


def test_an_ordinary_user_copies_and_fetches(folder):
    run(WORK, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take the snapshot of another user")
def test_a_copy_that_root_made_is_fetched_by_an_ordinary_user(folder, home):
    (home.data / "file").write_bytes(os.urandom(400_000))
    os.chown(home.data / "file", 12345, 23456)
    home.take("snapshot_1")
    disk = folder / "disk"
    disk.mkdir()
    home.copied("snapshot_1", disk)
    for path in [disk, *disk.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    run(OF_ANOTHER_USER, folder)
