"""EBS volumes: one each, in the right zone, on a free device, and nothing on them is lost."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.storage.model import StorageObserved, VolumeElsewhere
from prism.storage.ports import StorageRefused, SurveyPart
from tests.providers.aws.storage.world import HERE, ORDER, THERE, tags_of


def test_a_volume_is_made_as_it_was_ordered_and_says_whose_it_is(aws_parts):
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


def test_who_asks_twice_gets_the_same(aws_parts):
    first = aws_parts.volumes.create(ORDER)
    assert aws_parts.volumes.create(ORDER).id == first.id
    with pytest.raises(Unavailable, match="not visible yet"):
        aws_parts.volumes.create(replace(ORDER, name="renamed"))
    aws_parts.pass_time()
    aws_parts.volumes.create(replace(ORDER, name="renamed"))
    assert len(aws_parts.every_volume()) == 1, "other tags, the same token"


def test_it_is_surveyed_as_it_is(aws_parts):
    aws_parts.aws.rules = build({"times": {"volume": 10}})
    assert aws_parts.volumes.create(ORDER).seen is StorageObserved.MAKING
    aws_parts.pass_time()
    assert aws_parts.disk().seen is StorageObserved.MAKING
    aws_parts.pass_time(10)
    disk = aws_parts.disk()
    assert (disk.seen, disk.attached, disk.zone) == (StorageObserved.THERE, frozenset(), None)


def test_root_disks_and_those_of_others_are_not_ours(aws_parts):
    machine = aws_parts.machine()
    aws_parts.ec2.create_volume(AvailabilityZone=HERE, Size=1)
    aws_parts.pass_time()
    foreign = aws_parts.every_volume()[0]["VolumeId"]
    assert aws_parts.volumes.survey().disks == []
    with pytest.raises(StorageRefused):
        aws_parts.volumes.attach(foreign, machine, "data")


@pytest.mark.parametrize("zone", [HERE, THERE])
def test_what_nobody_has_used_goes_where_it_is_needed(aws_parts, zone):
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


def test_what_was_used_stays_and_is_told_where(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine(HERE)
    id = aws_parts.attached(machine)
    aws_parts.detached(machine)
    with pytest.raises(VolumeElsewhere, match=f"is in {HERE} and the workspace in {THERE}"):
        aws_parts.volumes.attach(id, aws_parts.machine(THERE), "data")
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id]


def test_a_move_that_is_cut_short_is_gone_on_with(aws_parts):
    old = aws_parts.made()
    machine = aws_parts.machine(other_zone(aws_parts))
    aws_parts.aws.fault(action="DeleteVolume", do="drop")
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(old, machine, "data")
    aws_parts.pass_time()
    assert (len(aws_parts.every_volume()), aws_parts.disk().id) == (2, old)
    id = aws_parts.attached(machine)
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id] != [old]


def test_both_halves_of_a_move_are_deleted(aws_parts):
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


def test_it_is_attached_then_shown_then_told_so(aws_parts):
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
    assert (disk.attached, disk.unmounted, aws_parts.machines.told) == ({machine}, {machine}, [])
    aws_parts.volumes.attach(disk.id, machine, "data")
    assert aws_parts.machines.told == [(machine, "disk", disk.id, "/dev/sdf", "10", "data", "new")]
    disk = aws_parts.disk()
    assert (disk.attached, disk.unmounted, id in {None, disk.id}) == ({machine}, frozenset(), True)
    aws_parts.volumes.attach(disk.id, machine, "data")
    assert len(aws_parts.machines.told) == 1


def test_each_volume_of_a_machine_has_a_device_of_its_own(aws_parts):
    machine = aws_parts.machine()
    for number in range(3):
        which = replace(ORDER, key=f"volume_{number}", name=f"d{number}")
        aws_parts.made(which)
        aws_parts.attached(machine, which.key, which.name)
    devices = {volume["Attachments"][0]["Device"] for volume in aws_parts.every_volume()}
    assert devices == {"/dev/sdf", "/dev/sdg", "/dev/sdh"}


def test_a_device_that_somebody_was_faster_to_take_is_passed_over(aws_parts):
    machine = aws_parts.machine()
    aws_parts.made()
    aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
    aws_parts.pass_time()
    taken = {"code": "InvalidParameterValue", "status": 400}
    words = "Attachment point /dev/sdf is already in use"
    if not aws_parts.disk().attached:
        aws_parts.aws.fault(action="AttachVolume", do="error", message=words, **taken)
        aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
        aws_parts.pass_time()
        [volume] = aws_parts.every_volume()
        assert volume["Attachments"][0]["Device"] == "/dev/sdg"


def test_a_full_machine_says_so(aws_parts):
    machine = aws_parts.machine()
    for number in range(11):
        which = replace(ORDER, key=f"volume_{number}", name=f"d{number}", size_gb=1)
        aws_parts.made(which)
        aws_parts.attached(machine, which.key, which.name)
    one_more = replace(ORDER, key="volume_x")
    aws_parts.made(one_more)
    with pytest.raises(StorageRefused, match="no free device"):
        aws_parts.attached(machine, "volume_x")


def test_it_has_one_machine_at_a_time(aws_parts):
    aws_parts.made()
    id = aws_parts.attached(aws_parts.machine())
    with pytest.raises(StorageRefused, match="attached to i-"):
        aws_parts.volumes.attach(id, aws_parts.machine(), "data")


def test_a_machine_that_is_off_has_it_and_shows_it_once_it_is_on(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    aws_parts.ec2.stop_instances(InstanceIds=[machine])
    aws_parts.pass_time()
    for _ in range(3):
        aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
        aws_parts.pass_time()
    disk = aws_parts.disk()
    assert (disk.attached, disk.unmounted, aws_parts.machines.told) == ({machine}, {machine}, [])
    aws_parts.ec2.start_instances(InstanceIds=[machine])
    aws_parts.pass_time()
    aws_parts.attached(machine)
    assert len(aws_parts.machines.told) == 1


def test_a_machine_that_begins_is_waited_for(aws_parts):
    id = aws_parts.made()
    wish = {"Placement": {"AvailabilityZone": HERE}}
    aws_parts.aws.rules = build({"times": {"pending": 30}})
    machine = aws_parts.machine()
    del wish
    for _ in range(3):
        aws_parts.volumes.attach(aws_parts.disk().id, machine, "data")
        aws_parts.pass_time(2)
    aws_parts.pass_time(40)
    aws_parts.attached(machine)
    assert id


def test_nobody_is_asked_to_take_one_that_does_not_exist(aws_parts):
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach("vol-0123456789abcdef0", aws_parts.machine(), "data")
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(aws_parts.made(), "i-0123456789abcdef0", "data")
    aws_parts.volumes.detach("vol-0123456789abcdef0", "i-0123456789abcdef0")
    aws_parts.volumes.delete("vol-0123456789abcdef0")


def test_it_is_unmounted_before_it_is_detached(aws_parts):
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


def test_a_machine_that_does_not_answer_keeps_it_until_it_is_off(aws_parts):
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


def test_a_terminated_machine_leaves_it(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    id = aws_parts.attached(machine)
    aws_parts.ec2.terminate_instances(InstanceIds=[machine])
    aws_parts.volumes.detach(id, machine)
    aws_parts.pass_time()
    aws_parts.volumes.detach(id, machine)
    disk = aws_parts.disk()
    assert (disk.id, disk.attached, disk.seen) == (id, frozenset(), StorageObserved.THERE)
    assert aws_parts.attached(aws_parts.machine()) == id


def test_mounting_again_on_a_machine_that_had_it_before(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    aws_parts.attached(machine)
    aws_parts.detached(machine)
    aws_parts.attached(machine)
    assert [message[1] for message in aws_parts.machines.told] == ["disk", "leave", "disk"]


def test_what_a_machine_refuses_is_a_refusal_and_what_takes_time_is_not(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine()
    aws_parts.machines.answers = [(75, "the device is not there yet"), (65, "there is something")]
    with pytest.raises(StorageRefused, match="there is something"):
        aws_parts.attached(machine)  # which asks again where it has to wait
    assert aws_parts.machines.answers == []
    assert aws_parts.disk().unmounted == {machine}
    aws_parts.attached(machine)


def test_what_aws_refuses_says_why(aws_parts):
    full = {"code": "VolumeLimitExceeded", "status": 400, "message": "no more"}
    aws_parts.aws.fault(action="CreateVolume", do="error", **full)
    with pytest.raises(StorageRefused, match="no more") as refused:
        aws_parts.volumes.create(ORDER)
    assert refused.value.code == "QUOTA_EXCEEDED"


def test_who_may_not_look_does_not_take_it_for_gone(aws_parts):
    aws_parts.made()
    aws_parts.aws.rules = build({"denied": ["ec2:DescribeVolumes"]})
    with pytest.raises(Unavailable):
        aws_parts.volumes.survey()


def test_a_calm_place_costs_little(aws_parts):
    aws_parts.made()
    before = len(aws_parts.aws.calls)
    for part in SurveyPart:
        aws_parts.volumes.survey({part})
    each = timedelta(minutes=1) / aws_parts.volumes.calm
    assert len(aws_parts.aws.calls) - before == 3
    assert 3 * each + 2 <= 4, "with one look at machines every 30 s"


# ------------------------------------------------------------------ tags that EC2 shows late
LATE = {"times": {"tags": 200}}  # seconds; AWS speaks of up to five minutes


def test_one_that_was_unmounted_is_mounted_again_before_ec2_shows_that_it_was(aws_parts):
    machine = aws_parts.machine()
    aws_parts.made()
    aws_parts.attached(machine)
    aws_parts.aws.rules = build(LATE)
    aws_parts.detached(machine)
    aws_parts.attached(machine)
    assert [verb for _, verb, *_ in aws_parts.machines.told] == ["disk", "leave", "disk"]


def test_one_that_was_used_is_not_made_anew_before_ec2_shows_that_it_was(aws_parts):
    """It would be deleted, with what was written on it."""
    machine, other_machine = aws_parts.machine(HERE), aws_parts.machine(THERE)
    aws_parts.made()
    aws_parts.aws.rules = build(LATE)
    id = aws_parts.attached(machine)
    aws_parts.detached(machine)
    with pytest.raises(VolumeElsewhere):
        aws_parts.volumes.attach(id, other_machine, "data")
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id]
