"""EBS, EFS and EC2 snapshots of the double, with the contents that a test has written."""

from typing import Any

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from prism.providers.aws.api.cloud import Cloud
from tests.providers.aws.storage.world import AwsParts


class ContentCloud(Cloud):
    """Tracks contents, which the double lacks: a snapshot holds what its volume held."""

    holds: dict[str, str]

    def call(self, service: str, action: str, /, **fields: Any) -> Any:
        answer = super().call(service, action, **fields)
        if action == "CreateSnapshot":
            self.holds[answer["SnapshotId"]] = self.holds.get(fields["VolumeId"], "")
        if action == "CreateVolume" and "SnapshotId" in fields:
            self.holds.setdefault(answer["VolumeId"], self.holds[fields["SnapshotId"]])
        return answer


class Aws:
    """Volumes in the double of AWS, and the changes that tests make there."""

    measures = False  # EC2 does not report how much of a volume is used

    def __init__(self, double: AwsDouble) -> None:
        double.clock.stop()
        double.rules = build({"like": "consistent"})  # the delays of EC2 are not in the contract
        cloud = ContentCloud("us-east-1", clock=double.clock, sleep=lambda _: None)
        self.contents: dict[str, str] = {}
        cloud.holds = self.contents
        self.place = AwsParts(double, cloud)
        self.volumes = self.place.volumes
        self.machines = (self.place.machine(), self.place.machine())
        self.unknown_machine = "i-0123456789abcdef0"

    def write(self, id: str, text: str) -> None:
        self.contents[id] = text

    def holds(self, id: str) -> str:
        return self.contents.get(id, "")

    def write_root(self, machine: str, text: str) -> None:
        [reservation] = self.place.ec2.describe_instances(InstanceIds=[machine])["Reservations"]
        [root] = reservation["Instances"][0]["BlockDeviceMappings"]
        self.contents[root["Ebs"]["VolumeId"]] = text

    def wait(self) -> None:
        self.place.pass_time()
