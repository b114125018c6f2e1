"""EBS volumes: made once, in the zone of their machine, on a free device, without data loss."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.storage.model import StorageObserved, VolumeElsewhere
from prism.storage.ports import StorageRefused, SurveyPart
from tests.providers.aws.storage.world import HERE, ORDER, THERE, tags_of


def test_volume_is_created_as_ordered_with_its_tags(aws_parts):
    volume = aws_parts.volumes.create(replace(ORDER, iops=4000, throughput=250))
    aws_parts.pass_time()
    [tested_volume] = aws_parts.every_volume()
    facts = (
        tested_volume["VolumeId"],
        tested_volume["Size"],
        tested_volume["VolumeType"],
        tested_volume["Iops"],
        tested_volume["Throughput"],
    )
    assert facts == (volume.id, 10, "gp3", 4000, 250)
    assert tested_volume["Encrypted"]
    tags = tags_of(tested_volume)
    assert {name: tags[name] for name in ("Name", "prism:id", "prism:managed")} == {
        "Name": "data",
        "prism:id": "volume_1",
        "prism:managed": "true",
    }
    assert (tags["prism:user"], tags["prism:project"], tags["prism:kind"]) == (
        "ada",
        "moon",
        "ebs",
    )


def test_repeated_creation_makes_one_volume(aws_parts):
    first = aws_parts.volumes.create(ORDER)
    assert aws_parts.volumes.create(ORDER).id == first.id
    with pytest.raises(Unavailable, match="not visible yet"):
        aws_parts.volumes.create(replace(ORDER, name="renamed"))
    aws_parts.pass_time()
    aws_parts.volumes.create(replace(ORDER, name="renamed"))
    assert len(aws_parts.every_volume()) == 1, "other tags have the same token"


def test_survey_shows_the_state_of_a_volume(aws_parts):
    aws_parts.aws.rules = build({"times": {"volume": 10}})
    assert aws_parts.volumes.create(ORDER).observed is StorageObserved.MAKING
    aws_parts.pass_time()
    assert aws_parts.disk().observed is StorageObserved.MAKING
    aws_parts.pass_time(10)
    disk = aws_parts.disk()
    assert (disk.observed, disk.attached, disk.zone) == (StorageObserved.THERE, frozenset(), None)


def test_root_disks_and_foreign_volumes_are_ignored(aws_parts):
    machine = aws_parts.machine()
    aws_parts.ec2.create_volume(AvailabilityZone=HERE, Size=1)
    aws_parts.pass_time()
    foreign = aws_parts.every_volume()[0]["VolumeId"]
    assert aws_parts.volumes.survey().disks == []
    with pytest.raises(StorageRefused):
        aws_parts.volumes.attach(foreign, machine, "data")


@pytest.mark.parametrize("zone", [HERE, THERE])
def test_unused_volume_is_moved_to_the_zone_of_the_machine(aws_parts, zone):
    aws_parts.made()
    machine = aws_parts.machine(zone)
    id = aws_parts.attached(machine)
    [volume] = aws_parts.every_volume()
    assert (volume["VolumeId"], volume["AvailabilityZone"]) == (id, zone)
    facts = (
        volume["Size"],
        volume["VolumeType"],
        volume["Encrypted"],
        tags_of(volume)["prism:id"],
    )
    assert facts == (10, "gp3", True, "volume_1")
    assert aws_parts.disk().zone == zone


def test_used_volume_is_not_moved_and_the_error_names_both_zones(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine(HERE)
    id = aws_parts.attached(machine)
    aws_parts.detached(machine)
    with pytest.raises(VolumeElsewhere, match=f"is in {HERE} and the workspace in {THERE}"):
        aws_parts.volumes.attach(id, aws_parts.machine(THERE), "data")
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id]


def test_interrupted_move_of_a_volume_is_continued(aws_parts):
    old = aws_parts.made()
    machine = aws_parts.machine(other_zone(aws_parts))
    aws_parts.aws.fault(action="DeleteVolume", do="drop")
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(old, machine, "data")
    aws_parts.pass_time()
    assert (len(aws_parts.every_volume()), aws_parts.disk().id) == (2, old)
    id = aws_parts.attached(machine)
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id] != [old]


def test_deletion_removes_both_volumes_of_an_interrupted_move(aws_parts):
    old = aws_parts.made()
    aws_parts.aws.fault(action="DeleteVolume", do="drop")
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(old, aws_parts.machine(other_zone(aws_parts)), "data")
    aws_parts.pass_time()
    assert len(aws_parts.every_volume()) == 2
    aws_parts.volumes.delete(old)
    aws_parts.pass_time()
    assert aws_parts.every_volume() == []


def other_zone(place):
    [volume] = place.every_volume()
    return THERE if volume["AvailabilityZone"] == HERE else HERE


def test_volume_is_attached_then_mounted_then_reported(aws_parts):
    aws_parts.aws.rules = build({"times": {"attaching": 3}})
    aws_parts.made()
    machine = aws_parts.machine(HERE)
    id = aws_parts.made() if aws_parts.disk().zone == HERE else None
    aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
    aws_parts.pass_time()
    if aws_parts.disk().attached == frozenset():  # it has been moved first
        aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
        assert aws_parts.disk().attached == frozenset(), "attaching is not attached"
        aws_parts.pass_time()
    disk = aws_parts.disk()
    assert (disk.attached, disk.unmounted, aws_parts.machines.commands) == (
        {machine},
        {machine},
        [],
    )
    aws_parts.volumes.attach(disk.id, machine, "data")
    assert aws_parts.machines.commands == [
        (machine, "disk", disk.id, "/dev/sdf", "10", "data", "new")
    ]
    disk = aws_parts.disk()
    assert (disk.attached, disk.unmounted, id in {None, disk.id}) == ({machine}, frozenset(), True)
    aws_parts.volumes.attach(disk.id, machine, "data")
    assert len(aws_parts.machines.commands) == 1


def test_each_volume_of_a_machine_has_its_own_device(aws_parts):
    machine = aws_parts.machine()
    for number in range(3):
        which = replace(ORDER, key=f"volume_{number}", name=f"d{number}")
        aws_parts.made(which)
        aws_parts.attached(machine, which.key, which.name)
    devices = {volume["Attachments"][0]["Device"] for volume in aws_parts.every_volume()}
    assert devices == {"/dev/sdf", "/dev/sdg", "/dev/sdh"}


def test_device_that_is_already_in_use_is_skipped(aws_parts):
    which = replace(ORDER, key="volume_2")  # by its key, it is made in a zone that has machines
    aws_parts.made(which)
    machine = aws_parts.machine(aws_parts.every_volume()[0]["AvailabilityZone"])
    aws_parts.aws.fault(
        action="AttachVolume",
        do="error",
        code="InvalidParameterValue",
        status=400,
        message="Attachment point /dev/sdf is already in use",
    )
    aws_parts.volumes.attach(aws_parts.disk(which.key).id, machine, "data")
    aws_parts.pass_time()
    [volume] = aws_parts.every_volume()
    assert volume["Attachments"][0]["Device"] == "/dev/sdg"


def test_attach_to_a_machine_without_a_free_device_is_refused(aws_parts):
    machine = aws_parts.machine()
    for number in range(11):
        which = replace(ORDER, key=f"volume_{number}", name=f"d{number}", size_gb=1)
        aws_parts.made(which)
        aws_parts.attached(machine, which.key, which.name)
    one_more = replace(ORDER, key="volume_x")
    aws_parts.made(one_more)
    with pytest.raises(StorageRefused, match="no free device"):
        aws_parts.attached(machine, "volume_x")


def test_volume_is_attached_to_one_machine_at_a_time(aws_parts):
    aws_parts.made()
    id = aws_parts.attached(aws_parts.machine())
    with pytest.raises(StorageRefused, match="attached to i-"):
        aws_parts.volumes.attach(id, aws_parts.machine(), "data")


def test_volume_of_a_stopped_machine_is_mounted_after_its_start(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    aws_parts.ec2.stop_instances(InstanceIds=[machine])
    aws_parts.pass_time()
    for _ in range(3):
        aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
        aws_parts.pass_time()
    disk = aws_parts.disk()
    assert (disk.attached, disk.unmounted, aws_parts.machines.commands) == (
        {machine},
        {machine},
        [],
    )
    aws_parts.ec2.start_instances(InstanceIds=[machine])
    aws_parts.pass_time()
    aws_parts.attached(machine)
    assert len(aws_parts.machines.commands) == 1


def test_volume_is_attached_once_a_pending_machine_runs(aws_parts):
    aws_parts.made()
    aws_parts.aws.rules = build({"times": {"pending": 30}})
    machine = aws_parts.machine()
    for _ in range(3):
        aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
        aws_parts.pass_time(2)
    aws_parts.pass_time(40)
    aws_parts.attached(machine)


def test_attach_of_a_missing_volume_or_machine_is_unavailable(aws_parts):
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach("vol-0123456789abcdef0", aws_parts.machine(), "data")
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(aws_parts.made(), "i-0123456789abcdef0", "data")
    aws_parts.volumes.detach("vol-0123456789abcdef0", "i-0123456789abcdef0")
    aws_parts.volumes.delete("vol-0123456789abcdef0")


def test_volume_is_unmounted_before_it_is_detached(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    id = aws_parts.attached(machine)
    aws_parts.machines.answers = [(16, "it is used by python3 (42)")]
    with pytest.raises(StorageRefused, match=r"python3 \(42\)") as refused:
        aws_parts.volumes.detach(id, machine)
    assert refused.value.code == "VOLUME_BUSY"
    assert aws_parts.disk().attached == {machine}
    aws_parts.detached(machine)
    assert aws_parts.machines.shown[machine] == {}
    assert aws_parts.every_volume()[0]["State"] == "available"


def test_volume_of_a_silent_machine_stays_attached_until_it_is_off(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    id = aws_parts.attached(machine)
    aws_parts.machines.silent.add(machine)
    with pytest.raises(Unavailable):
        aws_parts.volumes.detach(id, machine)
    assert aws_parts.disk().attached == {machine}
    aws_parts.ec2.stop_instances(InstanceIds=[machine])
    aws_parts.pass_time()
    aws_parts.detached(machine)


def test_volume_is_free_after_its_machine_is_terminated(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    id = aws_parts.attached(machine)
    aws_parts.ec2.terminate_instances(InstanceIds=[machine])
    aws_parts.volumes.detach(id, machine)
    aws_parts.pass_time()
    aws_parts.volumes.detach(id, machine)
    disk = aws_parts.disk()
    assert (disk.id, disk.attached, disk.observed) == (id, frozenset(), StorageObserved.THERE)
    assert aws_parts.attached(aws_parts.machine()) == id


def test_volume_can_be_mounted_again_on_the_same_machine(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    aws_parts.attached(machine)
    aws_parts.detached(machine)
    aws_parts.attached(machine)
    assert [message[1] for message in aws_parts.machines.commands] == ["disk", "leave", "disk"]


def test_refused_mount_is_reported_and_a_delayed_mount_is_retried(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    aws_parts.machines.answers = [(75, "the device is not there yet"), (65, "there is something")]
    with pytest.raises(StorageRefused, match="there is something"):
        aws_parts.attached(machine)  # which asks again where it has to wait
    assert aws_parts.machines.answers == []
    assert aws_parts.disk().unmounted == {machine}
    aws_parts.attached(machine)


def test_creation_refused_by_aws_has_the_reason(aws_parts):
    full = {"code": "VolumeLimitExceeded", "status": 400, "message": "no more"}
    aws_parts.aws.fault(action="CreateVolume", do="error", **full)
    with pytest.raises(StorageRefused, match="no more") as refused:
        aws_parts.volumes.create(ORDER)
    assert refused.value.code == "QUOTA_EXCEEDED"


def test_denied_survey_is_unavailable(aws_parts):
    aws_parts.made()
    aws_parts.aws.rules = build({"denied": ["ec2:DescribeVolumes"]})
    with pytest.raises(Unavailable):
        aws_parts.volumes.survey()


def test_surveys_of_storage_make_few_calls(aws_parts):
    aws_parts.made()
    before = len(aws_parts.aws.calls)
    for part in SurveyPart:
        aws_parts.volumes.survey({part})
    each = timedelta(minutes=1) / aws_parts.volumes.calm
    assert len(aws_parts.aws.calls) - before == 3
    assert 3 * each + 2 <= 4, "together with a survey of machines every 30 s"


# ------------------------------------------------------------------ tags that EC2 shows late
LATE = {"times": {"tags": 200}}  # seconds; AWS speaks of up to five minutes


def test_volume_is_mounted_again_before_ec2_shows_that_it_was_unmounted(aws_parts):
    machine = aws_parts.machine()
    aws_parts.made()
    aws_parts.attached(machine)
    aws_parts.aws.rules = build(LATE)
    aws_parts.detached(machine)
    aws_parts.attached(machine)
    assert [verb for _, verb, *_ in aws_parts.machines.commands] == ["disk", "leave", "disk"]


def test_used_volume_is_not_replaced_before_ec2_shows_that_it_was_used(aws_parts):
    """Otherwise it would be deleted together with its data."""
    machine, other_machine = aws_parts.machine(HERE), aws_parts.machine(THERE)
    aws_parts.made()
    aws_parts.aws.rules = build(LATE)
    id = aws_parts.attached(machine)
    aws_parts.detached(machine)
    with pytest.raises(VolumeElsewhere):
        aws_parts.volumes.attach(id, other_machine, "data")
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id]
