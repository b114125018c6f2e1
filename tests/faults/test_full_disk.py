"""A home on a full disk: what frees space still works, and everything else is refused in words."""

import os

import pytest

from tests.disks import loop_disk
from tests.project.home import Home


@pytest.fixture(params=["ext4", pytest.param("btrfs", marks=pytest.mark.slow)])
def home(tmp_path, request):
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    with loop_disk(tmp_path / "image", place, request.param):
        home = Home(place / "home")
        yield home
        home.clear()


def fill(folder):
    with (folder / "rest").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(65536))
        except OSError:
            os.fsync(file.fileno())


def test_verbs_that_free_space_work_on_a_full_disk(home):
    """For root, these file systems show free blocks that nobody gets."""
    with home.run_daemon():
        for name in ("mine", "other"):
            done = home.cli("launch", "Plain Shell", name)
            assert done.returncode == 0, done.stderr
        fill(home.folder.parent)
        status = home.client.daemon.status()
        assert status.status == "degraded"
        refused = home.cli("launch", "Plain Shell", "third")
        assert (refused.returncode, "disk is full" in refused.stderr) == (1, True), refused.stderr
        for words in (("stop", "mine"), ("terminate", "mine", "--yes"), ("hibernate", "other")):
            done = home.cli(*words)
            assert done.returncode == 0, (words, done.stderr)
        assert home.cli("clean", "--yes").returncode == 0
        (home.folder.parent / "rest").unlink()
        done = home.cli("launch", "Plain Shell", "third")
        assert done.returncode == 0, done.stderr
