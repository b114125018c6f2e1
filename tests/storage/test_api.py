"""Volumes and snapshots over HTTP, in the shapes of the reference, on both databases."""

from typing import Any

from tests.conftest import Http
from tests.shapes import EXAMPLES, failed, shaped_like
from tests.storage.conftest import VOLUMES

EBS_FIELDS = EXAMPLES["GET storage/volumes"]["response"]["ebs_volumes"][0]
EFS_FIELDS = EXAMPLES["GET storage/volumes"]["response"]["efs_volumes"][0]


def test_volume_of_the_reference_is_created_and_listed(storage, http):
    http("POST", "/api/v1/projects", json={"name": "cancer-research"})
    order = EXAMPLES["POST storage/volumes/create"]["request"]
    answer = http("POST", f"{VOLUMES}/create", json=order)
    assert answer.status_code == 201, answer.text
    volume = answer.json()
    assert set(EBS_FIELDS) <= set(volume)
    assert (volume["state"], volume["project"]) == ("creating", "cancer-research")
    assert (volume["iops"], volume["throughput"], volume["size_gb"]) == (4000, 250, 500)
    storage.made("all", type="efs")
    storage.launched("mine", volumes=["all", "large-dataset-storage"])
    listed = shaped_like("GET storage/volumes", http("GET", VOLUMES))
    [efs], [ebs] = listed["efs_volumes"], listed["ebs_volumes"]
    assert (efs["state"], efs["attached_instances"], efs["size_gb"]) == ("available", ["mine"], 0)
    assert (ebs["state"], ebs["attached_instance"]) == ("in-use", "mine")
    assert ebs == http("GET", f"{VOLUMES}/{ebs['volume_id']}").json(), (
        "the volume can be requested by id too"
    )
    assert set(EFS_FIELDS) <= set(storage.show("all"))


def test_volume_is_created_attached_detached_and_deleted(storage, http):
    assert storage.made()["state"] == "available"
    storage.launched()
    answer = storage.attach()
    assert (answer.status_code, answer.json()["state"]) == (200, "attaching")
    storage.settle()
    assert storage.state() == "in-use"
    answer = storage.detach()
    assert (answer.status_code, answer.json()["state"]) == (200, "detaching")
    storage.settle()
    assert (storage.state(), storage.show()["attached_instance"]) == ("available", None)
    answer = storage.delete()
    assert (answer.status_code, storage.state()) == (200, "deleting")
    assert "data" in answer.json()["message"]
    storage.settle()
    failed(http("GET", f"{VOLUMES}/data"), 404, "VOLUME_NOT_FOUND")
    assert storage.create().status_code == 201, "the name can be used again"


def test_repeated_volume_request_records_no_second_event(storage):
    storage.made()
    storage.launched()
    for _ in range(2):
        assert storage.attach().status_code == 200
        storage.settle()
    assert len(storage.events_of("volume_asked")) == 2, "create and attach"
    for _ in range(2):
        assert storage.detach().status_code == 200
        storage.settle()
    for _ in range(2):
        assert storage.delete().status_code == 200
    assert len(storage.events_of("volume_asked")) == 4


def test_attached_volume_cannot_be_deleted_or_attached_elsewhere(storage):
    storage.made()
    for name in ("mine", "other"):
        storage.launched(name)
    storage.attach()
    fault = failed(storage.attach(instance="other"), 409, "IN_USE")
    assert "mine" in fault["message"]
    assert fault["remediation"] == "Use `prism volume detach data`"
    failed(storage.delete(), 409, "IN_USE")
    storage.settle()
    failed(storage.delete(), 409, "IN_USE")
    failed(storage.attach(instance="other"), 409, "IN_USE")
    storage.detach()
    failed(storage.attach(instance="other"), 409, "IN_USE")
    storage.settle()
    assert storage.attach(instance="other").status_code == 200


def test_shared_volume_is_attached_to_several_workspaces(storage):
    storage.made("all", type="efs")
    for name in ("a", "b"):
        storage.launched(name)
        assert storage.attach("all", name).status_code == 200
    storage.settle()
    assert storage.show("all")["attached_instances"] == ["a", "b"]
    storage.detach("all", instance="a")
    storage.settle()
    assert storage.show("all")["attached_instances"] == ["b"]
    assert [storage.workspace(name)["attached_volumes"] for name in "ab"] == [[], ["all"]]


def test_workspace_list_shows_attachments_at_once(storage, http):
    storage.made()
    storage.made("all", type="efs")
    storage.launched()
    tag = http("GET", "/api/v1/instances").headers["etag"]
    for name in ("data", "all"):
        storage.attach(name)
    storage.settle()
    answer = http("GET", "/api/v1/instances", headers={"If-None-Match": tag})
    [listed] = answer.json()
    assert (listed["attached_volumes"], listed["attached_ebs_volumes"]) == (["all"], ["data"])
    storage.detach()
    storage.settle()
    assert storage.workspace()["attached_ebs_volumes"] == []


def test_daemon_that_starts_later_shows_attachments(storage, make_daemon):
    storage.made()
    storage.launched(volumes=["data"])
    later = Http(make_daemon().app)
    assert later("GET", "/api/v1/instances/mine").json()["attached_ebs_volumes"] == ["data"]


def test_launch_attaches_its_volumes(storage, http):
    failed(http.launch("mine", volumes=["nothing"]), 404, "VOLUME_NOT_FOUND")
    failed(http.launch("mine", volumes=["nothing"], dry_run=True), 404, "VOLUME_NOT_FOUND")
    assert http("GET", "/api/v1/instances").json() == []
    storage.made()
    assert http.launch("mine", volumes=["data"], dry_run=True).status_code == 200
    assert storage.state() == "available", "a dry run attaches nothing"
    assert storage.launched(volumes=["data"])["attached_ebs_volumes"] == ["data"]
    failed(http.launch("other", volumes=["data"]), 409, "IN_USE")
    failed(http.launch("other", volumes=["data"], dry_run=True), 409, "IN_USE")
    assert len(http("GET", "/api/v1/instances").json()) == 1


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"size_gb": 0}, "size_gb"),
    ({"size_gb": 65537}, "size_gb"),
    ({"size_gb": 10.5}, "size_gb"),
    ({"type": "nfs"}, "type"),
    ({"volume_type": "gp9"}, "volume_type"),
    ({"iops": 100}, "iops"),
    ({"name": "create"}, "name"),
    ({"name": "../x"}, "name"),
    ({"name": "vol-0123456789abcdef0"}, "name"),
    ({"name": "a" * 65}, "name"),
    ({"colour": "red"}, "colour"),
]


def test_invalid_volume_is_refused_with_the_field(storage, http):
    for order, field in NONSENSE:
        fault = failed(storage.create(**order), 422, "VALIDATION_FAILED")
        assert fault["data"]["fields"][0]["field"] == field, order
    assert http("GET", VOLUMES).json() == {"efs_volumes": [], "ebs_volumes": []}


def test_missing_names_answer_404(storage, http):
    for answer in (storage.delete(), storage.detach(), storage.attach()):
        failed(answer, 404, "VOLUME_NOT_FOUND")
    fault = failed(http("GET", f"{VOLUMES}/data"), 404, "VOLUME_NOT_FOUND")
    assert "prism volume list" in fault["remediation"]
    storage.made()
    failed(storage.attach(instance="nobody"), 404, "INSTANCE_NOT_FOUND")
    failed(storage.detach(instance="nobody"), 404, "INSTANCE_NOT_FOUND")
    failed(storage.create("other", project="nothing"), 404, "PROJECT_NOT_FOUND")
    failed(storage.create(), 409, "ALREADY_EXISTS")
    failed(storage.restore(), 404, "SNAPSHOT_NOT_FOUND")
    failed(storage.take(volume="nothing"), 404, "VOLUME_NOT_FOUND")
    failed(storage.take(instance="nobody"), 404, "INSTANCE_NOT_FOUND")
    for of in ({}, {"volume": "data", "instance": "mine"}):
        failed(storage.take(**of), 422, "VALIDATION_FAILED")


def test_create_with_an_idempotency_key_creates_one_volume(storage, http):
    order = {"type": "ebs", "name": "data", "size_gb": 10}
    for _ in range(2):
        answer = http("POST", f"{VOLUMES}/create", json=order, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 201
    assert len(http("GET", VOLUMES).json()["ebs_volumes"]) == 1


def test_volume_cost_is_zero_or_simulated(storage, make_daemon):
    assert storage.made()["monthly_cost"] == 0
    priced = Http(make_daemon(local_prices="aws").app)

    def made(name, **more):
        order = {"type": "ebs", "name": name, "size_gb": 100} | more
        return priced("POST", f"{VOLUMES}/create", json=order).json()["monthly_cost"]

    assert made("a") == 8.0
    assert made("b", iops=4000) == 13.0, "each IOPS beyond 3,000 costs $0.005"
    assert made("c", volume_type="gp2") is None
    efs = priced("POST", f"{VOLUMES}/create", json={"type": "efs", "name": "d"}).json()
    assert efs["monthly_cost"] is None, "the size is not measured yet"


def test_volume_size_that_is_not_enforced_has_a_note(storage):
    notes = storage.made(size_gb=16384)["notes"]
    assert "not enforced" in notes[0]
    assert "16384 GB asked for" in notes[1]


def test_project_with_storage_cannot_be_deleted(storage, http):
    project = http("POST", "/api/v1/projects", json={"name": "p"}).json()["id"]
    assert storage.made(project="p")["project"] == "p"
    failed(http("DELETE", "/api/v1/projects/p"), 409, "IN_USE")
    http("PUT", f"/api/v1/projects/{project}", json={"name": "q"})
    assert storage.show()["project"] == "q"
    storage.delete()
    storage.settle()
    assert http("DELETE", "/api/v1/projects/q").status_code == 200


def test_snapshot_is_taken_restored_and_deleted(storage, http):
    storage.made()
    storage.disk().holds = "then"
    answer = storage.take(volume="data")
    assert (answer.status_code, answer.json()["state"]) == (201, "pending")
    failed(storage.take(volume="data"), 409, "ALREADY_EXISTS")
    failed(storage.restore(), 409, "INVALID_STATE")
    failed(storage.delete(), 409, "IN_USE")
    storage.settle()
    snapshot = storage.snapshot()
    assert (snapshot["state"], snapshot["source_type"], snapshot["source"]) == (
        "completed",
        "volume",
        "data",
    )
    storage.delete()
    storage.settle()
    answer = storage.restore()
    assert (answer.status_code, answer.json()["state"]) == (201, "creating")
    storage.settle()
    back = storage.show("back")
    assert (back["from_snapshot"], back["size_gb"], back["volume_type"]) == ("kept", 10, "gp3")
    assert storage.disk("back").holds == "then"
    failed(storage.restore(), 409, "ALREADY_EXISTS")
    failed(storage.restore(name="create"), 422, "VALIDATION_FAILED")
    assert [entry["name"] for entry in http("GET", "/api/v1/snapshots").json()] == ["kept"]
    assert http("DELETE", "/api/v1/snapshots/kept").status_code == 200
    assert storage.snapshot()["state"] == "deleting"
    storage.settle()
    assert http("GET", "/api/v1/snapshots").json() == []
    assert storage.disk("back").holds == "then"
