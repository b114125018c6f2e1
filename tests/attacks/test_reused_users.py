"""A workspace without a sandbox gets a user that another workspace had until it was killed."""

import os
import secrets
import tempfile
from pathlib import Path

import pytest

from prism.agent.sandbox import identity
from prism.agent.sandbox.host_user import HostUser, as_user

pytestmark = pytest.mark.skipif(
    not identity.is_privileged(), reason="needs root: only root can become another user"
)
ENTERED, REFUSED = 0, 1


@pytest.fixture
def home():
    """A home of Prism. Other runs of pytest reset modes above `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="prism-") as name:
        yield Path(os.path.realpath(name))


def folder_with_a_secret(path):
    path.mkdir(parents=True)
    path.chmod(0o700)
    path.parent.chmod(0o700)
    (path / "secret").write_text("secret")
    return path


def open_and_be_killed(preferred, home, own, volumes):
    """Open a workspace in a process that ends without closing it; the uid."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            user = HostUser(preferred, identity.Leases())
            user.open(str(home), [str(own)], [], map(str, volumes))
            os.write(writing, str(user.uid).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading) as answer:
        return int(answer.read())


def reads(uid, path):
    def read():
        try:
            (path / "secret").read_text()
        except PermissionError:
            return REFUSED
        return ENTERED

    return as_user(uid, read)


def test_workspace_cannot_enter_what_a_killed_one_with_its_user_could(home):
    former, later = (
        folder_with_a_secret(home / "workspaces" / name / "home") for name in ("former", "later")
    )
    volumes = [
        folder_with_a_secret(home / "storage" / "volumes" / id / "data")
        for id in ("fs-1", "vol-1")
    ]
    preferred = secrets.randbelow(60000)
    uid = open_and_be_killed(preferred, home, former, volumes)
    assert [reads(uid, path) for path in (former, *volumes)] == [ENTERED] * 3
    user = HostUser(preferred, identity.Leases())
    try:
        assert user.uid == uid
        user.open(str(home), [str(later)], [], [])
        assert reads(uid, later) == ENTERED
        assert [reads(uid, path) for path in (former, *volumes)] == [REFUSED] * 3
    finally:
        user.close()
