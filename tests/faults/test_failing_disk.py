"""A disk that fails to write, as dm-error and dm-flakey would simulate it.

The image of the disk is on a small file system. Once that is full, the kernel reports an error of
the device for each block of the disk that was never written before.
"""

import os
import subprocess

import pytest

from prism.errors import Unavailable
from tests.disks import fill_disk, loop_disk, mounted, unmount
from tests.needs import require
from tests.project.home import Home
from tests.proofs import record
from tests.waiting import eventually


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["ext4", pytest.param("xfs", marks=pytest.mark.slow)])
def test_answered_writes_survive_errors_of_the_device(tmp_path, kind):
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    require("e2fsck")
    below, place = tmp_path / "below", tmp_path / "disk"
    below.mkdir()
    place.mkdir()
    image, rest = below / "image", below / "rest"
    with mounted(below, "size=100m"), loop_disk(image, place, kind):
        home = Home(place / "home")
        try:
            with home.run_daemon():
                answered = write_until_the_disk_fails(home, rest)
        finally:
            home.clear()
        unmount(place)
        # Another test's namespace may have a copy of the mount, and with it the failed device.
        eventually(lambda: not subprocess.check_output(["losetup", "-j", image]))
        rest.unlink()
        if kind == "ext4":  # XFS repairs itself when it is mounted
            assert subprocess.run(["e2fsck", "-fy", image]).returncode in {0, 1}
        subprocess.run(["mount", "-t", kind, "-o", "loop", image, place], check=True)
        with home.run_daemon():
            projects = {project.name for project in home.client.projects.list()}
            assert answered <= projects
            home.client.projects.create("afterwards")
            assert home.client.daemon.status().status == "healthy"
    record(
        f"Disks that are full or fail, and memory that runs out: failing, {kind}",
        f"{len(answered)} requests were acknowledged until an error of the device; then changes "
        "were refused, and reads answered. After the repair, all of them were there",
    )


def write_until_the_disk_fails(home, rest):
    """Create projects; return the names of those that were acknowledged."""
    client, answered = home.client, set()
    with pytest.raises(Unavailable) as refused:
        for number in range(2000):
            if number == 20:
                fill_disk(rest)
            answered.add(client.projects.create(f"p{number}").name)
    assert "disk I/O error" in refused.value.details, refused.value
    assert len(answered) >= 20
    assert {project.name for project in client.projects.list()} >= answered, "reads go on"
    assert client.daemon.status().status == "degraded"
    return answered
