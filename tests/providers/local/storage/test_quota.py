"""The size of a volume on file systems that can enforce it: real ones, in a file each."""

import errno
import os
import shutil
import subprocess

import pytest

from prism.kit.programs import PLACES
from prism.providers.local.storage import quota, volumes
from prism.providers.local.storage.mounted_folders import DISK_MARKER
from prism.providers.local.storage.storage_offer import LocalStorageOffer
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import SnapshotSpec, VolumeSpec
from tests.optional import not_none
from tests.waiting import eventually

MIB = 1 << 20
KINDS = {
    "btrfs": ([], []),
    "ext4": (["-O", "quota,project", "-E", "quotatype=prjquota"], ["-o", "prjquota"]),
    "xfs": ([], ["-o", "prjquota"]),
}
NEEDED = {"btrfs": ("btrfs",), "ext4": ("setquota", "chattr"), "xfs": ("setquota", "chattr")}


def ran(*argv, needs=""):
    """Run a command; if it fails, skip the test with its output and what may be missing."""
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{needs}{argv[0]}: {done.stderr.strip()}")


@pytest.fixture(params=KINDS)
def disk(request, tmp_path):
    """A file system with quotas, mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may mount and set limits")
    for program in (f"mkfs.{request.param}", "mount", *NEEDED[request.param]):
        if not shutil.which(program, path=PLACES):
            pytest.skip(f"needs {program}")
    image, place = tmp_path / "image", tmp_path / "disk"
    making, mounting = KINDS[request.param]
    with image.open("wb") as file:
        file.truncate(512 * MIB)
    place.mkdir()
    ran(f"mkfs.{request.param}", "-q", *making, image)
    lacking = f"this kernel may have no project quotas for {request.param} (QFMT_V2, XFS_QUOTA): "
    ran("mount", "-o", "loop", *mounting, image, place, needs=lacking)
    try:
        if request.param == "btrfs":
            assert quota.enforced(place) is None, "quotas are not enabled yet"
            ran("btrfs", "quota", "enable", place)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def order(key="v", gb=20):
    return VolumeSpec(key=key, name=key, kind=VolumeKind.EBS, size_gb=gb)


def filled(data):
    """The number of bytes that fit in."""
    written = 0
    with pytest.raises(OSError) as full, (data / "big").open("wb", buffering=0) as file:
        while written < 100 * MIB:
            written += file.write(os.urandom(MIB))
            os.fsync(file.fileno())
    assert full.value.errno in {errno.EDQUOT, errno.ENOSPC}
    return written


def test_volume_size_is_enforced_for_new_and_restored_volumes(disk, monkeypatch):
    monkeypatch.setattr(volumes, "GB", MIB)
    local_volumes = LocalVolumes(disk / "storage", disk / "workspaces", fresh=0)
    assert LocalStorageOffer("local:here", disk).notes(VolumeKind.EBS, 0) == ()
    volume = local_volumes.create(order())
    data = disk / "storage" / "volumes" / volume.id / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    assert 15 * MIB < filled(data) <= 20 * MIB
    (data / "big").unlink()
    os.sync()  # btrfs gives room back with its next commit
    eventually(lambda: (data / "big").write_bytes(b"x" * MIB), 15, (OSError,))
    copy = local_volumes.snapshot(SnapshotSpec(key="s"), volume.id)
    eventually(
        lambda: [copy for copy in local_volumes.survey().copies if copy.observed == "there"]
    )
    again = local_volumes.restore(order("again", 10), copy.id)
    restored = disk / "storage" / "volumes" / again.id / "data"
    eventually(restored.is_dir)
    assert (restored / "big").stat().st_size == MIB
    (restored / "big").rename(restored / "kept")
    assert filled(restored) <= 10 * MIB
    local_volumes.delete(volume.id)
    left = [DISK_MARKER, again.id]
    eventually(lambda: sorted(os.listdir(disk / "storage" / "volumes")) == left)
    local_volumes.close()


TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 8:2 / /home rw shared:2 - xfs /dev/sda2 rw,attr2,prjquota
31 22 0:5 / /with\\040space rw - btrfs /dev/sdb rw,space_cache
32 22 8:3 / /home/ada rw - ext4 /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("place", "at", "kind", "counts"),
    [
        ("/var/lib", "/", "ext4", False),
        ("/home/bob/x", "/home", "xfs", True),
        ("/home/ada/x", "/home/ada", "ext4", False),
        ("/homely", "/", "ext4", False),
        ("/with space/x", "/with space", "btrfs", False),
    ],
)
def test_path_is_matched_to_its_mount_and_quota_option(tmp_path, place, at, kind, counts):
    mount = not_none(quota.mounted(type(tmp_path)(place), TABLE))
    assert (mount.at, mount.kind, bool(mount.options & quota.COUNTS)) == (at, kind, counts)


def test_offer_notes_that_the_volume_size_is_not_enforced(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert quota.enforced(tmp_path / "not" / "yet") is None
    assert "not enforced" in LocalStorageOffer("local:here", tmp_path).notes(VolumeKind.EBS, 1)[0]
