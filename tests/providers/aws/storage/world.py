"""A place on EC2 with machines that say they do what the script is told to do there."""

import contextlib
import re

from prism.errors import Unavailable
from prism.providers.aws.ssh.pool import ScriptResult
from prism.providers.aws.storage.mounts import SCRIPT
from prism.providers.aws.storage.volumes import AwsVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import SnapshotOrder, VolumeOrder
from tests.aws_double.asked import client, order

HERE, THERE = "us-east-1a", "us-east-1b"
ORDER = VolumeOrder(
    key="volume_1",
    name="data",
    kind=VolumeKind.EBS,
    size_gb=10,
    volume_type="gp3",
    iops=3000,
    throughput=125,
    owner="ada",
    project="moon",
)
SHARED = VolumeOrder(key="volume_2", name="all", kind=VolumeKind.EFS, owner="ada")
KEPT = SnapshotOrder(key="snapshot_1", name="kept", owner="ada", source="data")
ASKED = re.compile(r"as_root sh -s -- (.*)$")


class Machines:
    """Implements `mounts.Runner`: what each machine shows, by what it was told."""

    def __init__(self):
        self.shown, self.told = {}, []
        self.silent, self.answers = set(), []

    def run(self, id, script, given=b"", seconds=0):
        if id in self.silent:
            raise Unavailable("nobody answers there")
        if script == "true":
            return ScriptResult(b"", "", 0)
        assert given == SCRIPT.read_bytes()
        verb, what, *rest = ASKED.search(script).group(1).split()
        self.told.append((id, verb, what, *rest))
        if self.answers:
            code, words = self.answers.pop(0)
            if code:
                return ScriptResult(b"", words, code)
        mine = self.shown.setdefault(id, {})
        if verb == "leave":
            mine.pop(what, None)
        else:
            mine[what] = rest
        return ScriptResult(b"", "", 0)


class Place:
    """`AwsVolumes` over the double, and what a test wants of the world."""

    def __init__(self, aws, cloud):
        self.aws, self.cloud = aws, cloud
        self.machines = Machines()
        self.volumes = AwsVolumes(cloud, self.machines)
        self.ec2, self.efs = client(aws, "ec2"), client(aws, "efs")

    def machine(self, zone=HERE):
        """One that runs."""
        wish = order({"prism:managed": "true"}, Placement={"AvailabilityZone": zone})
        of_the_disk = {**wish["TagSpecifications"][0], "ResourceType": "volume"}
        wish["TagSpecifications"].append(of_the_disk)
        id = self.ec2.run_instances(**wish)["Instances"][0]["InstanceId"]
        self.pass_time()
        return id

    def pass_time(self, seconds=5):
        self.aws.clock.advance(seconds)

    def disk(self, key="volume_1"):
        return next((it for it in self.volumes.survey().disks if it.key == key), None)

    def copy(self, key="snapshot_1"):
        return next((it for it in self.volumes.survey().copies if it.key == key), None)

    def made(self, which=ORDER):
        """One that is there."""
        self.volumes.create(which)
        self.pass_time()
        return self.disk(which.key).id

    def attached(self, machine, key="volume_1", name="data"):
        """It is there, and shown; its id."""
        for _ in range(6):
            if machine in (it := self.disk(key)).attached - it.unmounted:
                return it.id
            with contextlib.suppress(Unavailable):
                self.volumes.attach(it.id, machine, name)
            self.pass_time()
        raise AssertionError("it was never attached")

    def detached(self, machine, key="volume_1"):
        for _ in range(4):
            if machine not in (it := self.disk(key)).attached:
                return
            self.volumes.detach(it.id, machine)
            self.pass_time()
        raise AssertionError("it was never detached")

    def kept(self, source):
        """A snapshot that is complete."""
        self.volumes.snapshot(KEPT, source)
        self.pass_time()
        return self.copy().id

    # the truth
    def every_volume(self):
        """Those that are no root disks."""
        found = self.ec2.describe_volumes()["Volumes"]
        return [it for it in found if not any(a["DeleteOnTermination"] for a in _at(it))]

    def every_copy(self):
        return self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    def every_share(self):
        return self.efs.describe_file_systems()["FileSystems"]

    def calls(self, action):
        return [it for it in self.aws.calls if it.action == action]


def _at(it):
    return it.get("Attachments", [])


def tags_of(it):
    return {one["Key"]: one["Value"] for one in it["Tags"]}
