"""The facts that are recorded in the folder of a volume or snapshot."""

import msgspec
import pytest

from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import SnapshotSpec, VolumeSpec
from tests.waiting import eventually

ORDER = VolumeSpec(
    key="vol_1", name="data", kind=VolumeKind.EBS, owner="ada", project="reef", size_gb=1
)


@pytest.fixture
def local_volumes(tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    yield volumes
    volumes.close()


def test_survey_returns_the_recorded_facts_of_a_volume_and_its_snapshot(local_volumes, tmp_path):
    id = local_volumes.create(ORDER).id
    local_volumes.snapshot(
        SnapshotSpec(key="snap_1", name="first", owner="ada", source="data"), id
    )
    eventually(lambda: [copy for copy in local_volumes.survey().copies if copy.known], 120)
    [disk], [copy] = local_volumes.survey().disks, local_volumes.survey().copies
    known = disk.known
    assert (known.name, known.owner, known.project, known.size_gb) == ("data", "ada", "reef", 1)
    assert known.created_at is not None
    assert (copy.known.name, copy.known.source, copy.known.source_id) == ("first", "data", id)


def test_volume_folder_of_an_older_version_has_only_a_name(local_volumes, tmp_path):
    id = local_volumes.create(ORDER).id
    path = tmp_path / "storage" / "volumes" / id / "about.json"
    path.write_bytes(msgspec.json.encode({"key": "vol_1", "name": "data"}))
    [disk] = local_volumes.survey().disks
    assert (disk.known.name, disk.known.size_gb) == ("data", None)
