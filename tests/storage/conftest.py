"""A daemon with volumes, and what a test wants to ask of them."""

import pytest

VOLUMES = "/api/v1/storage/volumes"
SNAPSHOTS = "/api/v1/snapshots"


class Storage:
    """Asks over the wire, and lets the world come true."""

    def __init__(self, daemon, http, clock, disks, cloud):
        self.daemon, self.http, self.clock = daemon, http, clock
        self.disks, self.cloud = disks, cloud

    def settle(self, seconds=10.0):
        for _ in range(4):
            self.clock.advance(seconds=seconds / 4)
            self.daemon.settle()

    def create(self, name="data", **more):
        order = {"type": "ebs", "name": name, "size_gb": 10} | more
        if order["type"] == "efs":
            del order["size_gb"]
        return self.http("POST", f"{VOLUMES}/create", json=order)

    def made(self, name="data", **more):
        answer = self.create(name, **more)
        assert answer.status_code == 201, answer.text
        self.settle()
        return self.show(name)

    def show(self, name="data"):
        answer = self.http("GET", f"{VOLUMES}/{name}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def state(self, name="data"):
        return self.show(name)["state"]

    def attach(self, name="data", instance="mine"):
        return self.http("POST", f"{VOLUMES}/{name}/attach", json={"instance": instance})

    def detach(self, name="data", **body):
        return self.http("POST", f"{VOLUMES}/{name}/detach", **({"json": body} if body else {}))

    def delete(self, name="data"):
        return self.http("DELETE", f"{VOLUMES}/{name}")

    def launched(self, name="mine", **more):
        answer = self.http.launch(name, **more)
        assert answer.status_code == 201, answer.text
        self.settle()
        return self.workspace(name)

    def workspace(self, name="mine"):
        return self.http("GET", f"/api/v1/instances/{name}").json()

    def terminate(self, name="mine", **more):
        return self.http.post(name, "terminate", json={"confirm": "DELETE", **more})

    def take(self, name="kept", **of):
        return self.http("POST", SNAPSHOTS, json={"name": name, **of})

    def snapshot(self, name="kept"):
        return self.http("GET", f"{SNAPSHOTS}/{name}").json()

    def restore(self, snapshot="kept", name="back"):
        return self.http("POST", f"{SNAPSHOTS}/{snapshot}/restore", json={"name": name})

    def disk(self, name="data"):
        """The volume in the world."""
        it = self.show(name)
        return self.disks.disks[it.get("volume_id") or it.get("filesystem_id")]

    def told(self, kind):
        return [f for f in self.daemon.db.facts_after(0) if f.event == kind]


@pytest.fixture
def storage(daemon, http, clock, disks, cloud):
    return Storage(daemon, http, clock, disks, cloud)
