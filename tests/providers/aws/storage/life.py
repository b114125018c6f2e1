"""Storage on AWS, with a daemon that can be killed at any point and is then replaced.

Points are not listed anywhere: each call to AWS, each script on a machine and each commit
announces itself before and after. `die_at` says at which to die.
"""

import contextlib
from typing import Any

from prism.errors import NotFound
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.money import Micros
from prism.kit.reconcile import Loop
from prism.kit.tables import metadata
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.storage.volumes import AwsVolumes
from prism.storage.changes import StorageChanges
from prism.storage.model import (
    AttachmentHost,
    NewSnapshot,
    NewVolume,
    RestoreRequest,
    Volume,
    VolumeKind,
)
from prism.storage.reconciler import StorageParts, VolumeReconciler
from prism.storage.snapshot_reconciler import SnapshotReconciler
from prism.storage.snapshot_service import SnapshotService
from prism.storage.store import by_id, every
from prism.storage.view import ViewSources
from tests.providers.aws.storage.world import HERE, THERE, AwsParts

AWS = "aws:123456789012:us-east-1"


class Killed(BaseException):
    """The daemon was killed."""


class Points:
    """Records the points, and kills the daemon at one."""

    def __init__(self):
        self.passed, self.die_at, self.armed = [], None, False

    def __call__(self, name):
        if not self.armed:
            return
        self.passed.append(name)
        if self.die_at == len(self.passed) - 1:
            self.armed = False
            raise Killed(name)

    @contextlib.contextmanager
    def around(self, name):
        self(f"before {name}")
        yield
        self(f"after {name}")


class MortalCloud(Cloud):
    """Announces its calls."""

    points: Points

    def call(self, service, action, /, **arguments):
        with self.points.around(f"{service}:{action}"):
            return super().call(service, action, **arguments)


class MortalDatabase(Database):
    """Announces its commits."""

    points: Points

    @contextlib.contextmanager
    def write(self):
        with super().write() as tx:
            yield tx
            self.points("before commit")
        self.points("after commit")


class Hosts:
    """Implements `AttachmentHostReader`: workspaces by name, their machines on the double."""

    def __init__(self, place):
        self.machines = {"x": place.machine(HERE), "y": place.machine(THERE)}

    def named(self, sql, name):
        if name not in self.machines:
            raise NotFound(name)
        return self.of(sql, [name])[name]

    def of(self, sql, ids):
        return {
            id: AttachmentHost(
                id=id,
                name=id,
                location=AWS,
                machine=self.machines[id],
                quiet=False,
                up=True,
                ended=False,
            )
            for id in self.machines.keys() & set(ids)
        }

    def on(self, sql, machines):
        every = self.of(sql, self.machines).values()
        return {entry.machine: entry for entry in every if entry.machine in machines}


class Terms:
    """Implements `storage.model.StorageOffer`."""

    location = AWS

    def notes(self, kind, size_gb):
        return ()

    def gb_month(self, kind):
        return Micros(80_000)

    def performance_month(self, kind, iops, throughput):
        return Micros(0)

    def expected_id(self, key, kind):
        return None

    def no_verification(self):
        return None

    def no_rollback(self):
        return None

    def no_copies(self, kind):
        return None

    def no_copies_elsewhere(self):
        return None


class Life:
    """Requests of a user, and daemons that are killed and replaced."""

    def __init__(self, aws, cloud, file):
        self.aws, self.points = aws, Points()
        self.cloud = MortalCloud("us-east-1", clock=aws.clock, sleep=lambda _: None)
        self.cloud._clients, self.cloud.points = cloud._clients, self.points
        self.place = AwsParts(aws, self.cloud)
        run = self.place.machines.run
        vars(self.place.machines)["run"] = lambda *arguments: self._on_the_machine(run, arguments)
        self.db = MortalDatabase(f"sqlite:///{file}", aws.clock, Bus())
        self.db.points = self.points
        metadata.create_all(self.db.writer)
        self.hosts = Hosts(self.place)
        self.service = SnapshotService(
            self.db,
            aws.clock,
            offer=lambda _: Terms(),
            hosts=self.hosts,
            actor=lambda: "ada",
            sources=ViewSources(lambda _: None, lambda _: None),
            changes=StorageChanges(aws.clock),
        )
        self.begin()

    def begin(self):
        """Start a daemon after the previous one was killed."""
        volumes = AwsVolumes(self.cloud, self.place.machines)
        # No machine is in this zone, so that every volume moves.
        vars(volumes._disks)["_first_zone"] = lambda key: "us-east-1c"
        parts = StorageParts(
            self.db,
            self.aws.clock,
            {AWS: volumes},
            self.hosts,
            StorageChanges(self.aws.clock),
        )
        self.loops = [
            Loop(VolumeReconciler(parts), self.db, self.aws.clock, threads=1),
            Loop(SnapshotReconciler(parts), self.db, self.aws.clock, threads=1),
        ]
        for loop in self.loops:
            loop.inherit()

    def close(self):
        for loop in self.loops:
            loop.stop()
        self.db.close()

    def settle(self, rounds=40):
        """Advance the clock until nothing changes any more; replace a daemon that is killed."""
        still = 0
        while rounds and still < 2:
            rounds -= 1
            self.aws.clock.advance(35)
            try:
                for loop in self.loops:
                    loop.mark_due()
                done = sum(loop.once() for loop in self.loops)
            except Killed:
                done = 1
                self.close_loops()
                self.begin()
            still = 0 if done else still + 1
        assert rounds, "the state never settled"

    def close_loops(self):
        for loop in self.loops:
            loop.stop()

    def request(self, verb, *arguments):
        """Request a verb, and wait until it is carried out."""
        getattr(self.service, verb)(*arguments)
        self.points.armed = True
        self.settle()
        self.points.armed = False

    def _on_the_machine(self, run, arguments):
        with self.points.around("machine"):
            return run(*arguments)

    def state(self, name):
        return self.service.named(name).state.value

    def failures(self):
        every = self.service.every()
        things: list[Any] = [*every.ebs_volumes, *every.efs_volumes, *self.service.snapshots()]
        return [thing.failure for thing in things if thing.failure]


def of_disks(life):
    """A volume's life, and its snapshot's, with a new one made of that."""
    order = NewVolume(type=VolumeKind.EBS, name="data", size_gb=10)
    yield ("create", order)
    yield ("attach", "data", "x")
    yield ("take", NewSnapshot(name="kept", volume="data"))
    yield ("detach", "data")
    yield ("restore", "kept", RestoreRequest(name="back"))
    yield ("attach", "back", "y")
    yield ("delete", "data")
    yield ("delete_snapshot", "kept")


def of_shares(life):
    """A shared volume's life."""
    yield ("create", NewVolume(type=VolumeKind.EFS, name="all"))
    yield ("attach", "all", "x")
    yield ("attach", "all", "y")
    yield ("detach", "all")
    yield ("create", NewVolume(type=VolumeKind.EFS, name="more"))
    yield ("delete", "all")


def run_story(life, story):
    for step in story(life):
        life.request(*step)


def check_final_state(life, story):
    """Each row has one resource, which is tagged, and no other resource is left."""
    place = life.place
    ids = {volume["VolumeId"] for volume in place.every_volume()}
    ids |= {share["FileSystemId"] for share in place.every_share()}
    with life.db.read() as sql:
        rows = [by_id(sql, Volume, entry.id) for entry in every(sql, Volume)]
    assert ids == {row.disk_id for row in rows}
    assert life.failures() == []
    described = [*place.every_volume(), *place.every_share()]
    assert all(
        {"prism:id", "prism:managed", "Name"} <= {t["Key"] for t in resource["Tags"]}
        for resource in described
    )
    # A request that arrived twice has made two snapshots. Prism does not delete the second one
    # by itself, but lists it.
    twice = [
        call
        for call in life.aws.calls
        if (call.action, call.outcome) == ("CreateSnapshot", "twice ok")
    ]
    left = {copy["SnapshotId"] for copy in place.every_copy()}
    assert len(left) == len(twice)
    assert left == {copy.id for copy in place.volumes.survey().copies}
    x, y = life.hosts.machines["x"], life.hosts.machines["y"]
    if story is of_disks:
        [back] = place.every_volume()
        held = [attachment["InstanceId"] for attachment in back["Attachments"]]
        assert (life.state("back"), held) == ("in-use", [y])
        assert (list(place.machines.shown[y]), place.machines.shown.get(x)) == (
            [back["VolumeId"]],
            {},
        )
    else:
        assert life.state("more") == "available"
        assert (place.machines.shown[x], place.machines.shown[y]) == ({}, {})
