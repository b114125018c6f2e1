"""Random requests at a provider that fails at random end in the last requested state."""

import random
from datetime import timedelta

import pytest

from tests.storage.conftest import SNAPSHOTS, VOLUMES

VOLUME_NAMES = {"a": "ebs", "b": "ebs", "c": "efs"}
WORKSPACES = ("x", "y")
FEW, MANY, REQUESTS = 1, 60, 30


class RandomRun:
    """One run; `holds` is the content of each volume, by its id at the provider."""

    def __init__(self, storage, seed):
        self.storage, self.rng, self.holds = storage, random.Random(seed), {}

    def request(self):
        """Sends a random request; one that is not possible now is refused and changes nothing."""
        storage, ask = self.storage, self.rng.choice
        volume, workspace = ask([*VOLUME_NAMES]), ask(WORKSPACES)
        verbs = (
            lambda: storage.create(volume, type=VOLUME_NAMES[volume]),
            lambda: storage.attach(volume, workspace),
            lambda: storage.attach(volume, workspace),
            lambda: storage.detach(volume),
            lambda: storage.detach(volume, instance=workspace),
            lambda: storage.delete(volume),
            lambda: storage.http.launch(workspace, volumes=[volume]),
            lambda: storage.http.launch(workspace),
            lambda: storage.terminate(workspace, backup_ebs=ask((False, True))),
            lambda: storage.http.post(workspace, ask(("stop", "start", "hibernate"))),
            lambda: storage.take(f"s{self.rng.randrange(3)}", volume=volume),
            lambda: storage.http("DELETE", f"{SNAPSHOTS}/s{self.rng.randrange(3)}"),
            lambda: storage.restore(f"s{self.rng.randrange(3)}", volume),
        )
        answer = ask(verbs)()
        assert answer.status_code < 500, answer.text

    def change_faults(self):
        """Makes the provider fail or slow, or lets time pass."""
        faults = self.storage.disks.faults
        faults.lose_replies = self.rng.choice((0, 0, 1, 2))
        faults.down = self.rng.random() < 0.2
        faults.slow = timedelta(seconds=self.rng.choice((0, 0, 5)))
        faults.hidden_for = timedelta(seconds=self.rng.choice((0, 0, 5)))
        self.storage.settle(seconds=self.rng.choice((0.1, 1, 30)))
        self.write()

    def write(self):
        """Writes content to each empty volume and to the home of each machine."""
        disks = self.storage.disks
        for id, disk in disks.disks.items():
            disk.holds = self.holds.setdefault(id, disk.holds or f"data of {id}")
        for machine in self.storage.cloud._specs:
            disks.machines[machine] = "home"

    def end_faults(self):
        faults = self.storage.disks.faults
        faults.lose_replies, faults.down = 0, False
        faults.slow = faults.hidden_for = timedelta(0)
        self.write()
        for _ in range(4):
            self.storage.settle(seconds=400)


@pytest.mark.parametrize("seed", range(FEW))
def test_storage_matches_the_last_requests_after_random_faults(storage, seed):
    run_requests(storage, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW, MANY))
def test_storage_matches_the_last_requests_after_random_faults_with_every_seed(storage, seed):
    run_requests(storage, seed)


def run_requests(storage, seed):
    """Sends requests under faults, ends the faults, and compares the answers with the provider."""
    run = RandomRun(storage, seed)
    for _ in range(REQUESTS):
        run.request()
        if run.rng.random() < 0.6:
            run.change_faults()
        for workspace in storage.disks.disks.values():
            assert workspace.key.startswith("volume_")
    run.end_faults()
    answered = storage.http("GET", VOLUMES).json()
    volumes = answered["ebs_volumes"] + answered["efs_volumes"]
    machines = {entry["id"]: entry for entry in storage.http("GET", "/api/v1/instances").json()}
    living = {
        id for id, machine in machines.items() if machine["state"] not in {"terminated", "failed"}
    }
    seen: dict[str, set[str]] = {}
    for workspace in volumes:
        disk = storage.disk(workspace["name"])
        id = workspace.get("volume_id") or workspace["filesystem_id"]
        names = workspace.get("attached_instances") or [workspace.get("attached_instance")]
        assert workspace["state"] in {"available", "in-use", "error"}, workspace
        if workspace["state"] != "error":
            assert disk.holds == run.holds.get(id, disk.holds), (
                "content of volumes that were written"
            )
        assert {machines[m]["name"] for m in disk.attached} == {n for n in names if n}
        assert disk.attached <= living
        assert "volume_id" not in workspace or len(disk.attached) <= 1
        for machine in disk.attached:
            seen.setdefault(machine, set()).add(workspace["name"])
    for id, workspace in machines.items():
        attached = {*workspace["attached_volumes"], *workspace["attached_ebs_volumes"]}
        assert attached == seen.get(id, set()), workspace["name"]
    known = {volume.get("volume_id") or volume["filesystem_id"] for volume in volumes}
    assert set(storage.disks.disks) == known, "the provider has no volume without a row"
    copies = storage.http("GET", SNAPSHOTS).json()
    assert {copy["state"] for copy in copies} <= {"completed", "error"}
    assert set(storage.disks.copies) == {
        copy["snapshot_id"] for copy in copies if copy["snapshot_id"]
    }
