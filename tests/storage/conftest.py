"""A daemon with volumes, and the requests of the tests."""

from typing import Any

import httpx
import pytest

from prism.daemon.app import App
from prism.kit.clock import StoppedClock
from prism.kit.events import RecordedEvent
from tests.conftest import Http
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes, Thing

VOLUMES = "/api/v1/storage/volumes"
SNAPSHOTS = "/api/v1/snapshots"


class Storage:
    """Sends requests, and lets the daemon reconcile."""

    def __init__(
        self,
        daemon: App,
        http: Http,
        clock: StoppedClock,
        disks: MemoryVolumes,
        cloud: MemoryCompute,
    ) -> None:
        self.daemon, self.http, self.clock = daemon, http, clock
        self.disks, self.cloud = disks, cloud

    def settle(self, seconds: float = 10.0, steps: int = 4) -> None:
        for _ in range(steps):
            self.clock.advance(seconds=seconds / steps)
            self.daemon.settle()

    def create(self, name: str = "data", **more: Any) -> httpx.Response:
        order = {"type": "ebs", "name": name, "size_gb": 10} | more
        if order["type"] == "efs":
            del order["size_gb"]
        return self.http("POST", f"{VOLUMES}/create", json=order)

    def made(self, name: str = "data", **more: Any) -> Any:
        answer = self.create(name, **more)
        assert answer.status_code == 201, answer.text
        self.settle(steps=2)
        return self.show(name)

    def show(self, name: str = "data") -> Any:
        answer = self.http("GET", f"{VOLUMES}/{name}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def state(self, name: str = "data") -> Any:
        return self.show(name)["state"]

    def attach(self, name: str = "data", instance: str = "mine") -> httpx.Response:
        return self.http("POST", f"{VOLUMES}/{name}/attach", json={"instance": instance})

    def detach(self, name: str = "data", **body: Any) -> httpx.Response:
        return self.http("POST", f"{VOLUMES}/{name}/detach", **({"json": body} if body else {}))

    def delete(self, name: str = "data") -> httpx.Response:
        return self.http("DELETE", f"{VOLUMES}/{name}")

    def launched(self, name: str = "mine", **more: Any) -> Any:
        answer = self.http.launch(name, **more)
        assert answer.status_code == 201, answer.text
        self.settle(steps=2)
        return self.workspace(name)

    def workspace(self, name: str = "mine") -> Any:
        return self.http("GET", f"/api/v1/instances/{name}").json()

    def terminate(self, name: str = "mine", **more: Any) -> httpx.Response:
        return self.http.post(name, "terminate", json={"confirm": "DELETE", **more})

    def take(self, name: str = "kept", **of: Any) -> httpx.Response:
        return self.http("POST", SNAPSHOTS, json={"name": name, **of})

    def snapshot(self, name: str = "kept") -> Any:
        return self.http("GET", f"{SNAPSHOTS}/{name}").json()

    def restore(self, snapshot: str = "kept", name: str = "back") -> httpx.Response:
        return self.http("POST", f"{SNAPSHOTS}/{snapshot}/restore", json={"name": name})

    def disk(self, name: str = "data") -> Thing:
        """The volume at the provider."""
        shown_entry = self.show(name)
        return self.disks.disks[shown_entry.get("volume_id") or shown_entry.get("filesystem_id")]

    def events_of(self, kind: str) -> list[RecordedEvent]:
        return [f for f in self.daemon.db.events_after(0) if f.event == kind]


@pytest.fixture
def storage(
    daemon: App, http: Http, clock: StoppedClock, disks: MemoryVolumes, cloud: MemoryCompute
) -> Storage:
    return Storage(daemon, http, clock, disks, cloud)
