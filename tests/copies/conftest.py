"""A daemon whose copies are made by a double that tests tell how they end."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from prism.copies.model import CopyState, RemoteCopy
from prism.copies.ports import CopyOrder, CopyStatus
from prism.daemon.app import App
from prism.kit.clock import StoppedClock
from prism.kit.db import CURRENT_TX
from prism.storage.model import StorageFailure
from tests.conftest import LOCATION, Http, MakeDaemon
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.storage.conftest import Storage

FULL = StorageFailure("DESTINATION_FULL", "/mnt/disk is full")


class FakeCopies:
    """Implements `copies.ports.CopyWorker`."""

    def __init__(self) -> None:
        self.orders: list[CopyOrder] = []
        self.statuses: dict[str, CopyStatus] = {}
        self.forgotten: list[str] = []
        self.remote: list[RemoteCopy] = []
        self.ends: CopyStatus | None = CopyStatus(
            state=CopyState.COMPLETED, total_bytes=100, added_bytes=60, same_disk=False
        )
        """How copies end; None if they go on."""

    def begin(self, order: CopyOrder) -> None:
        self.orders.append(order)
        running = CopyStatus(state=CopyState.COPYING, progress=40)
        ended = self.ends and replace(self.ends, remote_id=f"remote-{len(self.orders)}")
        self.statuses[order.id] = ended or running

    def status(self, id: str) -> CopyStatus | None:
        return self.statuses.get(id)

    def forget(self, id: str) -> None:
        self.forgotten.append(id)
        self.statuses.pop(id, None)

    def ids(self) -> Collection[str]:
        return [*self.statuses]

    def delete(self, destination: str, profile: str | None, remote_id: str) -> None:
        assert CURRENT_TX.get() is None, "no transaction is open while a destination is asked"
        self.remote = [copy for copy in self.remote if copy.id != remote_id]

    def listing(self, destination: str, profile: str | None) -> Sequence[RemoteCopy]:
        assert CURRENT_TX.get() is None, "no transaction is open while a destination is asked"
        return self.remote


class Copying(Storage):
    """Sends requests about copies."""

    worker: FakeCopies

    def settle(self, seconds: float = 10.0, steps: int = 4) -> None:
        """Let time pass, and then everything that became due happen."""
        super().settle(seconds, steps)
        super().settle(15, steps=15)

    def completed(self, name: str = "kept") -> Any:
        """A snapshot of the volume `data`."""
        if not self.http("GET", "/api/v1/storage/volumes/data").is_success:
            self.made()
        assert self.take(name, volume="data").status_code == 201
        self.settle()
        return self.snapshot(name)

    def copy(self, name: str = "kept", destination: str = "/mnt/disk", **more: Any) -> Any:
        body = {"destination": destination, **more}
        return self.http("POST", f"/api/v1/snapshots/{name}/copy", json=body)

    def copies(self) -> Any:
        return self.http("GET", "/api/v1/copies").json()

    def schedule(self, **more: Any) -> Any:
        body = {"destination": "/mnt/disk", "every": "daily", "volume": "data", **more}
        return self.http("POST", "/api/v1/copy-schedules", json=body)

    def schedules(self) -> Any:
        return self.http("GET", "/api/v1/copy-schedules").json()

    def snapshots(self) -> list[str]:
        return [each["name"] for each in self.http("GET", "/api/v1/snapshots").json()]


def with_copies(daemon: App, worker: FakeCopies) -> App:
    """The daemon, before its loops are made, with this double."""
    parts = daemon.local.locations[LOCATION]
    daemon.local.locations = {LOCATION: replace(parts, copies=worker)}
    return daemon


@pytest.fixture
def copying(
    make_daemon: MakeDaemon, clock: StoppedClock, disks: MemoryVolumes, cloud: MemoryCompute
) -> Copying:
    worker = FakeCopies()
    daemon = with_copies(make_daemon(), worker)
    copying = Copying(daemon, Http(daemon.app), clock, disks, cloud)
    copying.worker = worker
    return copying
