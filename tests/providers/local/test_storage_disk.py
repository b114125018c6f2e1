"""A disk of volumes that is not mounted: nothing has failed, and all is as before afterwards."""

import contextlib
import os
import subprocess

import pytest

from prism.providers.local.storage_disk import StorageAway
from prism.providers.local.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import SnapshotSpec, VolumeSpec
from tests.disks import mounted
from tests.needs import require
from tests.project.home import Home
from tests.waiting import eventually

ORDER = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=1)
SNAPSHOT = SnapshotSpec(key="snapshot_1", name="s", owner="ada", source="data")
MAKERS = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}


@pytest.fixture
def volumes(tmp_path):
    with contextlib.closing(
        LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    ) as volumes:
        yield volumes


def test_new_home_has_no_volumes_and_that_is_no_problem(volumes):
    assert volumes.survey().disks == []
    assert volumes.disk.reason == ""


def test_disk_is_known_as_soon_as_a_volume_was_made(volumes, tmp_path):
    """Also if the computer goes down before the next survey."""
    volumes.create(ORDER)
    (tmp_path / "storage").rename(tmp_path / "away")
    with pytest.raises(StorageAway):
        volumes.survey()


def test_missing_disk_is_reported_and_changes_nothing(volumes, tmp_path):
    disk = volumes.create(ORDER)
    volumes.survey()
    (tmp_path / "storage").rename(tmp_path / "away")
    for empty in (False, True):  # the mount point is missing, or an empty folder
        if empty:
            (tmp_path / "storage" / "volumes").mkdir(parents=True)
        for request in (
            volumes.survey,
            lambda: volumes.create(ORDER),
            lambda: volumes.attach(disk.id, "local-" + "0" * 17, "data"),
            lambda: volumes.delete(disk.id),
            lambda: volumes.snapshot(SNAPSHOT, disk.id),
        ):
            with pytest.raises(StorageAway, match="The disk with the volumes and snapshots"):
                request()
        assert str(tmp_path / "storage") in volumes.disk.reason
    assert not any((tmp_path / "storage" / "volumes").iterdir())
    (tmp_path / "storage" / "volumes").rmdir()
    (tmp_path / "storage").rmdir()
    (tmp_path / "away").rename(tmp_path / "storage")
    assert [volume.id for volume in volumes.survey().disks] == [disk.id]
    assert volumes.disk.reason == ""


def test_another_process_knows_that_the_disk_is_missing(volumes, tmp_path):
    volumes.create(ORDER)
    volumes.survey()
    (tmp_path / "storage").rename(tmp_path / "away")
    with contextlib.closing(LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")) as later:
        with pytest.raises(StorageAway) as refusal:
            later.survey()
        _, command = (refusal.value.remediation or "").split(": ", 1)
        subprocess.run(command.strip("`"), shell=True, check=True)
        assert later.survey().disks == [], "the operator said that the data is lost"


def test_volume_that_was_removed_by_hand_is_missing_alone(volumes, tmp_path):
    disk = volumes.create(ORDER)
    volumes.survey()
    (tmp_path / "storage" / "volumes" / disk.id).rename(tmp_path / "gone")
    assert volumes.survey().disks == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.timeout(280)
@pytest.mark.parametrize("kind", ["ext4", pytest.param("xfs", marks=pytest.mark.slow)])
def test_daemon_waits_for_the_disk_of_its_volumes(tmp_path, kind):
    require(f"mkfs.{kind}")
    home, image = Home(tmp_path / "home"), tmp_path / "image"
    image.touch()
    os.truncate(image, 400 * 2**20)
    subprocess.run([*MAKERS[kind], image], check=True)
    place = home.folder / "storage"
    place.mkdir()

    def state():
        return home.cli_json("volume", "show", "data")["state"]

    try:
        with mounted(place, "loop", kind, image), home.run_daemon():
            home.cli_json("volume", "create", "data", "--size", "1")
            eventually(lambda: state() == "available", 60)
        with home.run_daemon():
            eventually(lambda: home.cli_json("daemon", "status")["status"] == "degraded", 60)
            [reason] = home.cli_json("daemon", "status")["reasons"]
            assert "the disk with the volumes and snapshots is not there" in reason
            volume = home.cli_json("volume", "show", "data")
            assert (volume["state"], volume["failure"]) == ("available", None)
            with mounted(place, "loop", kind, image):
                eventually(lambda: home.cli_json("daemon", "status")["status"] == "healthy", 60)
                home.cli_json("volume", "delete", "data", "--yes")
    finally:
        home.clear()
