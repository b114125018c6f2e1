"""Storage on this machine, as a program of its own that can be killed at any point.

    python tests/storage/killable_storage.py HOME REQUEST DIE_AT

A point is each commit, before and after, and each change of a file of storage, which the audit
hook of the interpreter reports. The program starts with request number REQUEST of the story. It
appends each request that it begins to HOME/requests, and each point to HOME/points.
"""

import contextlib
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from prism.errors import NotFound, Problem
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.reconcile import Loop
from prism.kit.tables import metadata
from prism.providers.local.storage.storage_offer import LocalStorageOffer
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.changes import StorageChanges
from prism.storage.model import AttachmentHost, NewSnapshot, NewVolume, RestoreRequest, VolumeKind
from prism.storage.reconciler import StorageParts, VolumeReconciler
from prism.storage.snapshot_reconciler import SnapshotReconciler
from prism.storage.snapshot_service import SnapshotService
from prism.storage.view import ViewSources
from tests.waiting import eventually

LOCATION = "local:here"
MACHINES = {"x": "local-0123456789abcdef0", "y": "local-0123456789abcdef1"}
STORY = (
    ("create", NewVolume(type=VolumeKind.EBS, name="data", size_gb=10)),
    ("write", "data", "precious"),
    ("attach", "data", "x"),
    ("take", NewSnapshot(name="kept", volume="data")),
    ("write", "data", "later"),
    ("detach", "data"),
    ("restore", "kept", RestoreRequest(name="back")),
    ("attach", "back", "y"),
    ("delete", "data"),
    ("delete_snapshot", "kept"),
    ("create", NewVolume(type=VolumeKind.EFS, name="all")),
    ("write", "all", "shared"),
    ("attach", "all", "x"),
    ("attach", "all", "y"),
    ("detach", "all", "x"),
)
ROUNDS = 500
OUTSIDE = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "subprocess.Popen", "os.kill"}


class Hosts:
    """Implements `storage.model.AttachmentHostReader`."""

    def named(self, sql, name):
        if host := self.of(sql, [name]).get(name):
            return host
        raise NotFound(name)

    def of(self, sql, ids):
        host = partial(AttachmentHost, location=LOCATION, quiet=False, up=True, ended=False)
        known = MACHINES.keys() & set(ids)
        return {id: host(id=id, name=id, machine=MACHINES[id]) for id in known}

    def on(self, sql, machines):
        return {
            host.machine: host
            for host in self.of(sql, MACHINES).values()
            if host.machine in machines
        }


class KillableStorage:
    """The storage of one daemon, until it is killed."""

    def __init__(self, home, born):
        self.home, self.clock = home, StoppedClock(born)
        self.db = Database(f"sqlite:///{home / 'state.db'}", self.clock, Bus())
        metadata.create_all(self.db.writer)
        self.volumes = LocalVolumes(home / "storage", home / "workspaces", fresh=0)
        hosts, offer = Hosts(), LocalStorageOffer(LOCATION, home)
        changes = StorageChanges(self.clock)
        parts = StorageParts(self.db, self.clock, {LOCATION: self.volumes}, hosts, changes)
        self.service = SnapshotService(
            self.db,
            self.clock,
            offer=lambda _: offer,
            hosts=hosts,
            actor=lambda: "ada",
            sources=ViewSources(lambda _: None, lambda _: None),
            changes=changes,
        )
        self.loops = [
            Loop(VolumeReconciler(parts), self.db, self.clock, threads=1),
            Loop(SnapshotReconciler(parts), self.db, self.clock, threads=1),
        ]
        for loop in self.loops:
            loop.inherit()

    def close(self):
        for loop in self.loops:
            loop.stop()
        self.volumes.close()
        self.db.close()

    def run(self, request, on_step=lambda number: None):
        """Runs the story from this request on."""
        for number, (verb, *words) in enumerate(STORY[request:], request):
            on_step(number)
            with contextlib.suppress(Problem):  # a repeated request may be refused
                (self.write if verb == "write" else getattr(self.service, verb))(*words)
            self.settle()

    def settle(self):
        still, rounds = 0, 0
        while still < 2:
            rounds += 1
            assert rounds < ROUNDS, "the loops never come to rest"
            self.clock.advance(seconds=5)
            for loop in self.loops:
                loop.mark_due()
            done = sum(loop.once() for loop in self.loops)
            still = 0 if done or self.copying() else still + 1
            eventually(lambda: not self.copying(), 600)

    def copying(self):
        return bool(self.volumes._copies._running)

    def data(self, name):
        workspace = self.service.named(name)
        id = workspace.volume_id if hasattr(workspace, "volume_id") else workspace.filesystem_id
        return self.home / "storage" / "volumes" / id / "data"

    def write(self, name, text):
        """Writes a file to a volume, as a user does."""
        file = self.data(name) / "thesis"
        with contextlib.suppress(FileNotFoundError):
            file.with_name("draft").write_text(text)
            file.with_name("draft").rename(file)


class Points:
    """Records the points that are passed, and kills the process at one of them."""

    def __init__(self, home, die_at):
        self.lock, self.passed, self.die_at = threading.RLock(), 0, die_at
        self.log = os.open(home / "points", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.home = str(home)

    def __call__(self, name):
        with self.lock:
            os.write(self.log, f"{name}\n".encode())
            if self.passed == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.passed += 1

    def audit(self, event, args):
        writes = (
            event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        )
        mine = f"{self.home}/storage" in str(args) or f"{self.home}/workspaces" in str(args)
        if (event in OUTSIDE or writes) and mine:
            self(f"before {event}")


def main(home, request, die_at):
    point = Points(home, die_at)
    original = Database.write

    @contextlib.contextmanager
    def recorded_write(self):
        with original(self) as tx:
            yield tx
            point("before commit")
        point("after commit")

    Database.write = recorded_write  # type: ignore[method-assign]
    sys.addaudithook(point.audit)
    log = os.open(home / "requests", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    storage = KillableStorage(home, datetime(2026, 1, 1, tzinfo=UTC))
    storage.run(request, lambda number: os.write(log, f"{number}\n".encode()))
    storage.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
