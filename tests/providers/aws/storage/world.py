"""`AwsVolumes` over the double of AWS, with machines that record the mount commands."""

import contextlib
import re
from typing import Any

from aws_double.cloud import Heard
from aws_double.double import AwsDouble
from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.ssh.pool import ScriptResult
from prism.providers.aws.storage.mounts import SCRIPT
from prism.providers.aws.storage.volumes import AwsVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import Disk, ProviderSnapshot, SnapshotSpec, VolumeSpec
from tests.aws_double.boto import client, order
from tests.optional import not_none

HERE, THERE = "us-east-1a", "us-east-1b"
ORDER = VolumeSpec(
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
SHARED = VolumeSpec(key="volume_2", name="all", kind=VolumeKind.EFS, owner="ada")
KEPT = SnapshotSpec(key="snapshot_1", name="kept", owner="ada", source="data")
ASKED = re.compile(r"as_root sh -s -- (.*)$")


class Machines:
    """Implements `mounts.Runner`: records the commands, and which volumes each machine shows."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, list[str]]] = {}
        self.commands: list[tuple[str, ...]] = []
        self.silent: set[str] = set()
        self.answers: list[tuple[int, str]] = []

    def run(self, id: str, script: str, stdin: bytes = b"", seconds: float = 0) -> ScriptResult:
        if id in self.silent:
            raise Unavailable("nobody answers there")
        if script == "true":
            return ScriptResult(b"", "", 0)
        assert stdin == SCRIPT.read_bytes()
        verb, subject, *rest = not_none(ASKED.search(script)).group(1).split()
        self.commands.append((id, verb, subject, *rest))
        if self.answers:
            code, words = self.answers.pop(0)
            if code:
                return ScriptResult(b"", words, code)
        mine = self.shown.setdefault(id, {})
        if verb == "leave":
            mine.pop(subject, None)
        else:
            mine[subject] = rest
        return ScriptResult(b"", "", 0)


class AwsParts:
    """`AwsVolumes` over the double, and methods to inspect both."""

    def __init__(self, aws: AwsDouble, cloud: Cloud) -> None:
        self.aws, self.cloud = aws, cloud
        self.machines = Machines()
        self.volumes = AwsVolumes(cloud, self.machines)
        self.ec2, self.efs = client(aws, "ec2"), client(aws, "efs")

    def machine(self, zone: str = HERE) -> Any:
        """Launch a machine and wait until it runs."""
        wish = order({"prism:managed": "true"}, Placement={"AvailabilityZone": zone})
        of_the_disk = {**wish["TagSpecifications"][0], "ResourceType": "volume"}
        wish["TagSpecifications"].append(of_the_disk)
        id = self.ec2.run_instances(**wish)["Instances"][0]["InstanceId"]
        self.pass_time()
        return id

    def pass_time(self, seconds: float = 5) -> None:
        self.aws.clock.advance(seconds)

    def disk(self, key: str = "volume_1") -> Disk | None:
        return next((disk for disk in self.volumes.survey().disks if disk.key == key), None)

    def copy(self, key: str = "snapshot_1") -> ProviderSnapshot | None:
        return next((copy for copy in self.volumes.survey().copies if copy.key == key), None)

    def made(self, which: VolumeSpec = ORDER) -> str:
        """Create a volume and wait until it is available."""
        self.volumes.create(which)
        self.pass_time()
        return not_none(self.disk(which.key)).id

    def attached(self, machine: str, key: str = "volume_1", name: str = "data") -> str:
        """Attach a volume and wait until the machine shows it; return the id of the volume."""
        for _ in range(6):
            if machine in (disk := not_none(self.disk(key))).attached - disk.unmounted:
                return disk.id
            with contextlib.suppress(Unavailable):
                self.volumes.attach(disk.id, machine, name)
            self.pass_time()
        raise AssertionError("it was never attached")

    def detached(self, machine: str, key: str = "volume_1") -> None:
        for _ in range(4):
            if machine not in (disk := not_none(self.disk(key))).attached:
                return
            self.volumes.detach(disk.id, machine)
            self.pass_time()
        raise AssertionError("it was never detached")

    def kept(self, source: str) -> str:
        """Make a snapshot and wait until it is complete."""
        self.volumes.snapshot(KEPT, source)
        self.pass_time()
        return not_none(self.copy()).id

    # what AWS has
    def every_volume(self) -> list[dict[str, Any]]:
        """The volumes that are not root disks."""
        volumes = self.ec2.describe_volumes()["Volumes"]
        return [
            volume for volume in volumes if not any(a["DeleteOnTermination"] for a in _at(volume))
        ]

    def every_copy(self) -> Any:
        return self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    def every_share(self) -> Any:
        return self.efs.describe_file_systems()["FileSystems"]

    def calls(self, action: str) -> list[Heard]:
        return [call for call in self.aws.calls if call.action == action]


def _at(description: dict[str, Any]) -> Any:
    return description.get("Attachments", [])


def tags_of(description: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in description["Tags"]}
