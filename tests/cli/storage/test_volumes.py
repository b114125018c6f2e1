"""`prism volume` and `prism snapshot`."""

import json
import re

import pytest

from prism.storage.model import EbsVolume, EfsVolume, SnapshotItem
from tests.client.filled import filled

AT = "2026-01-01T00:00:00Z"
EBS = filled(
    EbsVolume,
    name="data",
    state="in-use",
    size_gb=50,
    volume_type="gp3",
    attached_instance="mine",
    creation_time=AT,
    monthly_cost=4.0,
    notes=["its size is not enforced here"],
)
EFS = filled(
    EfsVolume,
    name="all",
    state="available",
    size_gb=2.5,
    creation_time=AT,
    attached_instances=["a", "b"],
)
KEPT = filled(
    SnapshotItem,
    name="kept",
    state="completed",
    source_type="volume",
    source="data",
    creation_time=AT,
)


def test_volume_list_shows_efs_and_ebs_volumes(prism, server):
    server.on("GET /storage/volumes", {"efs_volumes": [EFS], "ebs_volumes": [EBS]})
    head, shared, own = prism("volume", "list").stdout.splitlines()
    assert head.split()[:3] == ["NAME", "KIND", "STATE"]
    assert shared.split() == ["all", "efs", "available", "-", "2.5", "-", "a,", "b", "-"]
    assert own.split() == ["data", "ebs", "in-use", "50", "-", "gp3", "mine", "4.00"]
    assert json.loads(prism("volume", "list", "--json").stdout)["ebs_volumes"] == [EBS]


def test_empty_volume_and_snapshot_lists_suggest_create(prism, server):
    server.on("GET /storage/volumes", {"efs_volumes": [], "ebs_volumes": []})
    assert "prism volume create" in prism("volume", "list").stderr
    server.on("GET /snapshots", [])
    assert "prism snapshot create" in prism("snapshot", "list").stderr


@pytest.mark.parametrize("stored", [EBS, EFS], ids=["ebs", "efs"])
def test_volume_show_prints_fields_and_notes(prism, server, stored):
    server.on(f"GET /storage/volumes/{stored['name']}", stored)
    done = prism("volume", "show", stored["name"])
    fields = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert (fields["name"], fields["state"]) == (stored["name"], stored["state"])
    assert ("its size is not enforced here" in done.stderr) is bool(stored["notes"])
    assert json.loads(prism("volume", "show", stored["name"], "--json").stdout) == stored


@pytest.mark.parametrize(
    ("words", "line", "body", "answer"),
    [
        (
            "volume create data --size 50",
            "POST /storage/volumes/create",
            {"type": "ebs", "name": "data", "size_gb": 50},
            EBS,
        ),
        (
            "volume create all --type efs --project p",
            "POST /storage/volumes/create",
            {"type": "efs", "name": "all", "project": "p"},
            EFS,
        ),
        (
            "volume create data --size 50 --volume-type io2 --iops 500 --throughput 250",
            "POST /storage/volumes/create",
            {
                "type": "ebs",
                "name": "data",
                "size_gb": 50,
                "volume_type": "io2",
                "iops": 500,
                "throughput": 250,
            },
            EBS,
        ),
        (
            "volume attach data mine",
            "POST /storage/volumes/data/attach",
            {"instance": "mine"},
            EBS,
        ),
        ("volume detach data", "POST /storage/volumes/data/detach", {"force": False}, EBS),
        (
            "volume detach data mine --force",
            "POST /storage/volumes/data/detach",
            {"instance": "mine", "force": True},
            EBS,
        ),
        ("volume delete data --yes", "DELETE /storage/volumes/data", None, {"message": "m"}),
        (
            "snapshot create kept --volume data",
            "POST /snapshots",
            {"name": "kept", "volume": "data"},
            KEPT,
        ),
        (
            "snapshot create kept --workspace mine",
            "POST /snapshots",
            {"name": "kept", "instance": "mine"},
            KEPT,
        ),
        ("snapshot restore kept data", "POST /snapshots/kept/restore", {"name": "data"}, EBS),
        ("snapshot delete kept --yes", "DELETE /snapshots/kept", None, {"message": "m"}),
        (
            "snapshot create kept --volume data --verify weekly",
            "POST /snapshots",
            {"name": "kept", "volume": "data", "verify": "weekly"},
            KEPT,
        ),
        ("snapshot verify kept", "POST /snapshots/kept/verify", {}, KEPT),
        (
            "snapshot verify kept --every never",
            "POST /snapshots/kept/verify",
            {"every": "never"},
            KEPT,
        ),
    ],
)
def test_storage_commands_send_the_expected_request(prism, server, words, line, body, answer):
    server.on(line, answer)
    done = prism(*words.split())
    about = answer.get("name", words.split()[2])
    assert (done.returncode, done.stdout.startswith(f"{about} is ")) == (0, True)
    assert [request.body for request in server.asked_for(line)] == [body]
    assert json.loads(prism(*words.split(), "--json").stdout) == answer


@pytest.mark.parametrize("words", ["volume delete data", "snapshot delete kept"])
def test_volume_and_snapshot_delete_require_yes_without_a_terminal(prism, server, words):
    done = prism(*words.split())
    assert (done.returncode, server.asked) == (1, [])
    assert f"prism {words} --yes" in done.stderr


@pytest.mark.parametrize(("typed_words", "code"), [("data\n", 0), ("other\n", 1)])
def test_volume_delete_on_a_terminal_requires_the_name(run_on_terminal, server, typed_words, code):
    server.on("DELETE /storage/volumes/data", {"message": "m"})
    ended, screen = run_on_terminal("volume", "delete", "data", keys=typed_words)
    assert (ended, bool(server.asked)) == (code, not code)
    assert "This destroys the volume data and what it holds" in screen


def test_snapshot_create_requires_either_a_volume_or_a_workspace(prism, server):
    for words in ("kept", "kept --volume a --workspace b"):
        assert prism("snapshot", "create", *words.split()).returncode == 2
    assert not server.asked


def test_volume_and_snapshot_that_wait_say_why(prism, server):
    waits = {"waiting": "the database is older"}
    server.on("GET /storage/volumes/data", EBS | {"state": "detaching", "notes": []} | waits)
    server.on("GET /snapshots/kept", KEPT | {"state": "pending"} | waits)
    assert "data waits: the database is older" in prism("volume", "show", "data").stderr
    assert "kept waits: the database is older" in prism("snapshot", "show", "kept").stderr


def test_snapshot_show_prints_fields_and_failure(prism, server):
    sick = KEPT | {"state": "error", "failure": {"code": "DISK_FULL", "message": "make room"}}
    server.on("GET /snapshots/kept", KEPT | {"progress": 40, "size_gb": 8}, sick)
    done = prism("snapshot", "show", "kept")
    fields = dict(re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines())
    assert (fields["name"], fields["of"], fields["progress"]) == ("kept", "volume data", "40 %")
    assert (fields["size GB"], done.stderr) == ("8", "")
    done = prism("snapshot", "show", "kept")
    assert (done.returncode, done.stderr) == (0, "error: make room\n")
    assert json.loads(prism("snapshot", "show", "kept", "--json").stdout) == sick


def test_snapshot_list_shows_the_verification(prism, server):
    why = {"code": "VERIFICATION_FAILED", "message": "file3 is missing"}
    at = {"verified_at": "2026-01-02T03:04:05Z"}
    snapshots = [
        KEPT | {"name": "good", "verification": "passed", **at},
        KEPT | {"name": "bad", "verification": "failed", "verification_failure": why, **at},
        KEPT | {"name": "soon", "verification": "pending"},
    ]
    server.on("GET /snapshots", snapshots)
    done = prism("snapshot", "list")
    head, *rows = done.stdout.splitlines()
    at = head.index("VERIFIED")
    assert [row[at:].split()[0] for row in rows][1:] == ["failed", "pending"]
    assert "2026" in rows[0][at:]
    assert "bad: file3 is missing" in done.stderr


def test_snapshot_list_shows_failures(prism, server):
    sick = KEPT | {"state": "error", "failure": {"code": "DISK_FULL", "message": "make room"}}
    server.on("GET /snapshots", [sick])
    done = prism("snapshot", "list")
    assert done.stdout.splitlines()[1].split()[:4] == ["kept", "error", "volume", "data"]
    assert "kept: make room" in done.stderr
