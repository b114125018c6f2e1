"""The typed client of volumes and snapshots."""

import pytest

from prism.client import Client
from prism.storage.model import EbsVolume, EfsVolume, VolumeKind, VolumeNotFound
from tests.cli.storage.test_volumes import EBS, EFS, KEPT
from tests.client.scripted import problem


@pytest.fixture
def prism(home, server):
    return Client(home=home)


def test_volumes_are_decoded_as_ebs_or_efs(prism, server):
    server.on("GET /storage/volumes/data", EBS)
    server.on("GET /storage/volumes/all", EFS)
    server.on("GET /storage/volumes", {"efs_volumes": [EFS], "ebs_volumes": [EBS]})
    own, shared = prism.volumes.get("data"), prism.volumes.get("all")
    assert (type(own), own.attached_instance) == (EbsVolume, "mine")
    assert (type(shared), shared.attached_instances) == (EfsVolume, ("a", "b"))
    listed = prism.volumes.list()
    assert (listed.ebs_volumes, listed.efs_volumes) == ((own,), (shared,))


def test_storage_methods_send_the_expected_requests(prism, server):
    requests = {
        "POST /storage/volumes/create": lambda: prism.volumes.create("all", type="efs"),
        "POST /storage/volumes/a%2Fb/attach": lambda: prism.volumes.attach("a/b", "mine"),
        "POST /storage/volumes/data/detach": lambda: prism.volumes.detach("data"),
        "POST /snapshots/kept/restore": lambda: prism.snapshots.restore("kept", "back"),
    }
    for line, call in requests.items():
        server.on(line, EFS)
        assert call().name == "all"
        assert len(server.asked_for(line)) == 1
    assert server.asked_for("POST /storage/volumes/create")[0].body["type"] == VolumeKind.EFS
    server.on("DELETE /storage/volumes/data", {"message": "m"})
    assert prism.volumes.delete("data").message == "m"
    server.on("GET /snapshots", [KEPT])
    server.on("GET /snapshots/kept", KEPT)
    server.on("POST /snapshots", KEPT)
    assert prism.snapshots.list() == [prism.snapshots.get("kept")]
    assert prism.snapshots.create("kept", volume="data").source == "data"
    server.on("DELETE /snapshots/kept", {"message": "m"})
    assert prism.snapshots.delete("kept").message == "m"


def test_unknown_volume_raises_volume_not_found(prism, server):
    server.on("GET /storage/volumes/data", problem(404, "VOLUME_NOT_FOUND", "gone"))
    with pytest.raises(VolumeNotFound):
        prism.volumes.get("data")
