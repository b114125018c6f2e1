"""EBS, EFS and EC2 snapshots, as their double plays them, with what was put on them."""

from aws_double.rulebook import build
from prism.providers.aws.api.cloud import Cloud
from tests.providers.aws.storage.world import Place


class Remembering(Cloud):
    """The double knows no bytes: what a snapshot holds is what its volume holds just then."""

    holds = None

    def call(self, service, action, /, **said):
        answer = super().call(service, action, **said)
        if action == "CreateSnapshot":
            self.holds[answer["SnapshotId"]] = self.holds.get(said["VolumeId"], "")
        if action == "CreateVolume" and "SnapshotId" in said:
            self.holds.setdefault(answer["VolumeId"], self.holds[said["SnapshotId"]])
        return answer


class Aws:
    """A place on AWS, and the hands that change its world."""

    measures = False  # EC2 does not say what is used of a volume

    def __init__(self, double):
        double.clock.stop()
        double.rules = build({"like": "consistent"})  # when EC2 shows what is not of the contract
        cloud = Remembering("us-east-1", clock=double.clock, sleep=lambda _: None)
        cloud.holds = self.contents = {}
        self.place = Place(double, cloud)
        self.volumes = self.place.volumes
        self.machines = (self.place.machine(), self.place.machine())
        self.nobody = "i-0123456789abcdef0"

    def write(self, id, text):
        self.contents[id] = text

    def holds(self, id):
        return self.contents.get(id, "")

    def write_root(self, machine, text):
        [it] = self.place.ec2.describe_instances(InstanceIds=[machine])["Reservations"]
        [root] = it["Instances"][0]["BlockDeviceMappings"]
        self.contents[root["Ebs"]["VolumeId"]] = text

    def wait(self):
        self.place.pass_time()
