"""A disk of volumes that is not mounted: nothing has failed, and all is as before afterwards."""

import contextlib
import os
import subprocess

import pytest

from prism.providers.local.storage.mounted_folders import StorageAway
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import SnapshotSpec, VolumeSpec
from tests.disks import loop_disk, unmount
from tests.project.home import Home
from tests.waiting import eventually

ORDER = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=1)
SNAPSHOT = SnapshotSpec(key="snapshot_1", name="s", owner="ada", source="data")


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
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("mount", "content", "kind"),
    [
        ("storage", "volumes and snapshots", "ext4"),
        ("storage/volumes", "volumes", "ext4"),
        pytest.param("storage/snapshots", "snapshots", "ext4", marks=pytest.mark.slow),
        ("workspaces", "workspaces", "ext4"),
        pytest.param("storage", "volumes and snapshots", "xfs", marks=pytest.mark.slow),
        pytest.param("storage/volumes", "volumes", "btrfs", marks=pytest.mark.slow),
        pytest.param("workspaces", "workspaces", "xfs", marks=pytest.mark.slow),
    ],
)
def test_daemon_waits_for_the_disk_of_a_folder(tmp_path, mount, content, kind):
    home, place = Home(tmp_path / "home"), tmp_path / "home" / mount
    place.mkdir(parents=True)
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.mkdir()

    def states():
        volume, copy = (
            home.cli_json("volume", "show", "data"),
            home.cli_json("snapshot", "show", "s"),
        )
        [workspace] = home.cli_json("list")
        assert (volume["failure"], copy["failure"], workspace["failure"]) == (None, None, None)
        return volume["state"], copy["state"], workspace["state"]

    def is_healthy():
        return home.cli_json("daemon", "status")["status"] == "healthy"

    try:
        with loop_disk(image, disk, kind):
            with bound(disk, place), home.run_daemon():
                home.cli_json("volume", "create", "data", "--size", "1")
                home.cli_json("snapshot", "create", "s", "--volume", "data")
                home.cli_json("launch", "plain-shell", "mine", "--volume", "data")
                home.cli_json("stop", "mine")
                before = states()
                assert before == ("in-use", "completed", "stopped")
            with home.run_daemon():
                eventually(lambda: not is_healthy(), 240)
                reasons = home.cli_json("daemon", "status")["reasons"]
                assert any(f"disk with the {content} is not there" in why for why in reasons)
                assert states() == before
                refused = home.cli("launch", "plain-shell", "other", "--no-wait")
                assert refused.returncode == 0 or content != "workspaces", refused.stderr
                assert home.cli("clean").returncode == 0
                assert not [*place.glob("local-*"), *place.glob("vol-*"), *place.glob("snap-*")]
                with bound(disk, place):
                    eventually(is_healthy, 240)
                    assert home.cli_json("start", "mine")["state"] == "running"
                    done = home.cli("exec", "mine", "--", "touch", "volumes/data/file")
                    assert done.returncode == 0, done.stderr
                    home.cli_json("snapshot", "verify", "s")
                    for name in ("mine", "other"):
                        home.cli("terminate", name, "--yes")
                    home.cli_json("volume", "delete", "data", "--yes")
                    home.clear()
    finally:
        home.clear()


@contextlib.contextmanager
def bound(disk, place):
    """The disk at a place, until the block ends."""
    subprocess.run(["mount", "--bind", disk, place], check=True)
    try:
        yield
    finally:
        unmount(place)
