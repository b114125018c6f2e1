"""EBS volumes: one each, in the right zone, on a free device, and nothing on them is lost."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.storage.model import StorageObserved, VolumeElsewhere
from prism.storage.ports import StorageRefused, SurveyPart
from tests.providers.aws.storage.world import HERE, ORDER, THERE, tags_of


def test_a_volume_is_made_as_it_was_ordered_and_says_whose_it_is(place):
    made = place.volumes.create(replace(ORDER, iops=4000, throughput=250))
    place.pass_time()
    [it] = place.every_volume()
    told = (it["VolumeId"], it["Size"], it["VolumeType"], it["Iops"], it["Throughput"])
    assert told == (made.id, 10, "gp3", 4000, 250)
    assert it["Encrypted"]
    tags = tags_of(it)
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


def test_who_asks_twice_gets_the_same(place):
    first = place.volumes.create(ORDER)
    assert place.volumes.create(ORDER).id == first.id
    with pytest.raises(Unavailable, match="not visible yet"):
        place.volumes.create(replace(ORDER, name="renamed"))
    place.pass_time()
    place.volumes.create(replace(ORDER, name="renamed"))
    assert len(place.every_volume()) == 1, "other tags, the same token"


def test_it_is_surveyed_as_it_is(place):
    place.aws.rules = build({"times": {"volume": 10}})
    assert place.volumes.create(ORDER).seen is StorageObserved.MAKING
    place.pass_time()
    assert place.disk().seen is StorageObserved.MAKING
    place.pass_time(10)
    it = place.disk()
    assert (it.seen, it.attached, it.zone) == (StorageObserved.THERE, frozenset(), None)


def test_root_disks_and_those_of_others_are_not_ours(place):
    machine = place.machine()
    place.ec2.create_volume(AvailabilityZone=HERE, Size=1)
    place.pass_time()
    foreign = place.every_volume()[0]["VolumeId"]
    assert place.volumes.survey().disks == []
    with pytest.raises(StorageRefused):
        place.volumes.attach(foreign, machine, "data")


@pytest.mark.parametrize("zone", [HERE, THERE])
def test_what_nobody_has_used_goes_where_it_is_needed(place, zone):
    place.made()
    machine = place.machine(zone)
    id = place.attached(machine)
    [it] = place.every_volume()
    assert (it["VolumeId"], it["AvailabilityZone"]) == (id, zone)
    told = (it["Size"], it["VolumeType"], it["Encrypted"], tags_of(it)["prism:id"])
    assert told == (10, "gp3", True, "volume_1")
    assert place.disk().zone == zone


def test_what_was_used_stays_and_is_told_where(place):
    place.made()
    here = place.machine(HERE)
    id = place.attached(here)
    place.detached(here)
    with pytest.raises(VolumeElsewhere, match=f"is in {HERE} and the workspace in {THERE}"):
        place.volumes.attach(id, place.machine(THERE), "data")
    assert [it["VolumeId"] for it in place.every_volume()] == [id]


def test_a_move_that_is_cut_short_is_gone_on_with(place):
    old = place.made()
    machine = place.machine(other_zone(place))
    place.aws.fault(action="DeleteVolume", do="drop")
    with pytest.raises(Unavailable):
        place.volumes.attach(old, machine, "data")
    place.pass_time()
    assert (len(place.every_volume()), place.disk().id) == (2, old)
    id = place.attached(machine)
    assert [it["VolumeId"] for it in place.every_volume()] == [id] != [old]


def test_both_halves_of_a_move_are_deleted(place):
    old = place.made()
    place.aws.fault(action="DeleteVolume", do="drop")
    with pytest.raises(Unavailable):
        place.volumes.attach(old, place.machine(other_zone(place)), "data")
    place.pass_time()
    assert len(place.every_volume()) == 2
    place.volumes.delete(old)
    place.pass_time()
    assert place.every_volume() == []


def other_zone(place):
    [it] = place.every_volume()
    return THERE if it["AvailabilityZone"] == HERE else HERE


def test_it_is_attached_then_shown_then_told_so(place):
    place.aws.rules = build({"times": {"attaching": 3}})
    place.made()
    machine = place.machine(HERE)
    id = place.made() if place.disk().zone == HERE else None
    place.volumes.attach(place.disk().id, machine, "data")
    place.pass_time()
    if place.disk().attached == frozenset():  # it has been moved first
        place.volumes.attach(place.disk().id, machine, "data")
        assert place.disk().attached == frozenset(), "attaching is not attached"
        place.pass_time()
    it = place.disk()
    assert (it.attached, it.unmounted, place.machines.told) == ({machine}, {machine}, [])
    place.volumes.attach(it.id, machine, "data")
    assert place.machines.told == [(machine, "disk", it.id, "/dev/sdf", "10", "data", "new")]
    it = place.disk()
    assert (it.attached, it.unmounted, id in {None, it.id}) == ({machine}, frozenset(), True)
    place.volumes.attach(it.id, machine, "data")
    assert len(place.machines.told) == 1


def test_each_volume_of_a_machine_has_a_device_of_its_own(place):
    machine = place.machine()
    for number in range(3):
        which = replace(ORDER, key=f"volume_{number}", name=f"d{number}")
        place.made(which)
        place.attached(machine, which.key, which.name)
    devices = {it["Attachments"][0]["Device"] for it in place.every_volume()}
    assert devices == {"/dev/sdf", "/dev/sdg", "/dev/sdh"}


def test_a_device_that_somebody_was_faster_to_take_is_passed_over(place):
    machine = place.machine()
    place.made()
    place.volumes.attach(place.disk().id, machine, "data")
    place.pass_time()
    taken = {"code": "InvalidParameterValue", "status": 400}
    words = "Attachment point /dev/sdf is already in use"
    if not place.disk().attached:
        place.aws.fault(action="AttachVolume", do="error", message=words, **taken)
        place.volumes.attach(place.disk().id, machine, "data")
        place.pass_time()
        [it] = place.every_volume()
        assert it["Attachments"][0]["Device"] == "/dev/sdg"


def test_a_full_machine_says_so(place):
    machine = place.machine()
    for number in range(11):
        which = replace(ORDER, key=f"volume_{number}", name=f"d{number}", size_gb=1)
        place.made(which)
        place.attached(machine, which.key, which.name)
    one_more = replace(ORDER, key="volume_x")
    place.made(one_more)
    with pytest.raises(StorageRefused, match="no free device"):
        place.attached(machine, "volume_x")


def test_it_has_one_machine_at_a_time(place):
    place.made()
    id = place.attached(place.machine())
    with pytest.raises(StorageRefused, match="attached to i-"):
        place.volumes.attach(id, place.machine(), "data")


def test_a_machine_that_is_off_has_it_and_shows_it_once_it_is_on(place):
    place.made()
    machine = place.machine()
    place.ec2.stop_instances(InstanceIds=[machine])
    place.pass_time()
    for _ in range(3):
        place.volumes.attach(place.disk().id, machine, "data")
        place.pass_time()
    it = place.disk()
    assert (it.attached, it.unmounted, place.machines.told) == ({machine}, {machine}, [])
    place.ec2.start_instances(InstanceIds=[machine])
    place.pass_time()
    place.attached(machine)
    assert len(place.machines.told) == 1


def test_a_machine_that_begins_is_waited_for(place):
    id = place.made()
    wish = {"Placement": {"AvailabilityZone": HERE}}
    place.aws.rules = build({"times": {"pending": 30}})
    machine = place.machine()
    del wish
    for _ in range(3):
        place.volumes.attach(place.disk().id, machine, "data")
        place.pass_time(2)
    place.pass_time(40)
    place.attached(machine)
    assert id


def test_nobody_is_asked_to_take_one_that_does_not_exist(place):
    with pytest.raises(Unavailable):
        place.volumes.attach("vol-0123456789abcdef0", place.machine(), "data")
    with pytest.raises(Unavailable):
        place.volumes.attach(place.made(), "i-0123456789abcdef0", "data")
    place.volumes.detach("vol-0123456789abcdef0", "i-0123456789abcdef0")
    place.volumes.delete("vol-0123456789abcdef0")


def test_it_is_unmounted_before_it_is_detached(place):
    place.made()
    machine = place.machine()
    id = place.attached(machine)
    place.machines.answers = [(16, "it is used by python3 (42)")]
    with pytest.raises(StorageRefused, match=r"python3 \(42\)") as refused:
        place.volumes.detach(id, machine)
    assert refused.value.code == "VOLUME_BUSY"
    assert place.disk().attached == {machine}
    place.detached(machine)
    assert place.machines.shown[machine] == {}
    assert place.every_volume()[0]["State"] == "available"


def test_a_machine_that_does_not_answer_keeps_it_until_it_is_off(place):
    place.made()
    machine = place.machine()
    id = place.attached(machine)
    place.machines.silent.add(machine)
    with pytest.raises(Unavailable):
        place.volumes.detach(id, machine)
    assert place.disk().attached == {machine}
    place.ec2.stop_instances(InstanceIds=[machine])
    place.pass_time()
    place.detached(machine)


def test_a_terminated_machine_leaves_it(place):
    place.made()
    machine = place.machine()
    id = place.attached(machine)
    place.ec2.terminate_instances(InstanceIds=[machine])
    place.volumes.detach(id, machine)
    place.pass_time()
    place.volumes.detach(id, machine)
    it = place.disk()
    assert (it.id, it.attached, it.seen) == (id, frozenset(), StorageObserved.THERE)
    assert place.attached(place.machine()) == id


def test_mounting_again_on_a_machine_that_had_it_before(place):
    place.made()
    machine = place.machine()
    place.attached(machine)
    place.detached(machine)
    place.attached(machine)
    assert [it[1] for it in place.machines.told] == ["disk", "leave", "disk"]


def test_what_a_machine_refuses_is_a_refusal_and_what_takes_time_is_not(place):
    place.made()
    machine = place.machine()
    place.machines.answers = [(75, "the device is not there yet"), (65, "there is something")]
    with pytest.raises(StorageRefused, match="there is something"):
        place.attached(machine)  # which asks again where it has to wait
    assert place.machines.answers == []
    assert place.disk().unmounted == {machine}
    place.attached(machine)


def test_what_aws_refuses_says_why(place):
    full = {"code": "VolumeLimitExceeded", "status": 400, "message": "no more"}
    place.aws.fault(action="CreateVolume", do="error", **full)
    with pytest.raises(StorageRefused, match="no more") as refused:
        place.volumes.create(ORDER)
    assert refused.value.code == "QUOTA_EXCEEDED"


def test_who_may_not_look_does_not_take_it_for_gone(place):
    place.made()
    place.aws.rules = build({"denied": ["ec2:DescribeVolumes"]})
    with pytest.raises(Unavailable):
        place.volumes.survey()


def test_a_calm_place_costs_little(place):
    place.made()
    before = len(place.aws.calls)
    for part in SurveyPart:
        place.volumes.survey({part})
    each = timedelta(minutes=1) / place.volumes.calm
    assert len(place.aws.calls) - before == 3
    assert 3 * each + 2 <= 4, "with one look at machines every 30 s"


# ------------------------------------------------------------------ tags that EC2 shows late
LATE = {"times": {"tags": 200}}  # seconds; AWS speaks of up to five minutes


def test_one_that_was_unmounted_is_mounted_again_before_ec2_shows_that_it_was(place):
    machine = place.machine()
    place.made()
    place.attached(machine)
    place.aws.rules = build(LATE)
    place.detached(machine)
    place.attached(machine)
    assert [verb for _, verb, *_ in place.machines.told] == ["disk", "leave", "disk"]


def test_one_that_was_used_is_not_made_anew_before_ec2_shows_that_it_was(place):
    """It would be deleted, with what was written on it."""
    here, there = place.machine(HERE), place.machine(THERE)
    place.made()
    place.aws.rules = build(LATE)
    id = place.attached(here)
    place.detached(here)
    with pytest.raises(VolumeElsewhere):
        place.volumes.attach(id, there, "data")
    assert [it["VolumeId"] for it in place.every_volume()] == [id]
