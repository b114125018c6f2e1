"""The verbs on EC2: each may be said twice, early, late, and to what is not there."""

from datetime import timedelta

import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.faults import AwsRefused, CapacityUnavailable
from prism.providers.aws.api.tags import expires_at, moment
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.lifecycle import CannotHibernate
from prism.providers.aws.compute.state_mapping import hangs
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.model import HibernationNotSupported, Observed
from prism.workspaces.ports import ProviderRefused
from tests.optional import not_none
from tests.providers.aws.place import AwsParts

NOBODY = "i-0123456789abcdef0"
VERBS = ("start", "stop", "hibernate", "terminate")


@pytest.fixture
def place(stopped, cloud, tmp_path):
    return AwsParts(stopped, cloud, tmp_path)


@pytest.fixture
def compute(place):
    return place.compute


# ------------------------------------------------------------------ looking
def test_there_is_nothing_at_first_and_that_is_one_call(place, compute):
    assert compute.survey() == []
    assert place.calls("DescribeInstances") == ["DescribeInstances"]


def test_machines_of_others_are_not_ours(place, compute, somebody):
    image = place.prerequisites.image(None, "t3.small").id
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    somebody.call("ec2", "RunInstances", **order)
    assert compute.survey() == []


def test_one_without_our_key_is_shown_all_the_same(place, compute, somebody):
    image = place.prerequisites.image(None, "t3.small").id
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "prism:managed", "Value": "true"}]}]
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    somebody.call("ec2", "RunInstances", **order, TagSpecifications=tags)
    place.pass_on()
    [orphan] = compute.survey()
    assert orphan.key == orphan.id


def test_many_machines_are_few_calls(place, compute, somebody):
    image = place.prerequisites.image(None, "t3.small").id
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "prism:managed", "Value": "true"}]}]
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1200}
    somebody.call("ec2", "RunInstances", **order, TagSpecifications=tags)
    place.pass_on()
    compute.survey()
    before = len(place.calls())
    assert len(compute.survey()) == 1200
    assert place.calls()[before:] == ["DescribeInstances"] * 2


def test_it_is_on_since_ec2_started_it_and_off_since_ec2_says(place, compute):
    id = place.ask().id
    born = place.aws.clock.now()
    on = place.goes(10)
    assert (on.seen, abs(on.since - born) < timedelta(seconds=1)) == (Observed.ON, True)
    stopped = place.aws.clock.now()
    compute.stop(id)
    off = place.goes(60)
    assert (off.seen, abs(off.since - stopped) < timedelta(seconds=1)) == (Observed.OFF, True)
    assert off.public_ip is None
    assert off.private_ip


def test_what_ec2_charges_for_although_it_is_not_on(place, compute):
    """One that boots, and one that hibernates: not what is pending, nor another stop."""
    place.aws.rules = build(
        {"times": {"pending": 5, "boot": 60, "stopping": 30, "hibernating": 90}}
    )
    id = place.launch().id
    [machine] = place.compute.survey()
    born = machine.started.replace(microsecond=0)
    seen = [place.look(), place.goes(6)]
    place.aws.clock.advance(70)
    compute.survey()
    seen.append(place.look())
    dozed = place.aws.clock.now().replace(microsecond=0)
    compute.hibernate(id)
    seen += [place.goes(80), place.goes(20)]
    assert [(it.seen, it.charged) for it in seen] == [
        (Observed.STARTING, False),
        (Observed.STARTING, True),
        (Observed.ON, False),
        (Observed.STOPPING, True),
        (Observed.ASLEEP, False),
    ]
    assert [it.dozed for it in seen] == [None, None, None, None, dozed]
    assert seen[-1].since is None, "EC2 does not say when it slept"
    assert {it.started.replace(microsecond=0) for it in seen} == {born}
    compute.start(id)
    place.goes(10)
    compute.stop(id)
    place.pass_on()
    assert (place.look().seen, place.look().charged) == (Observed.STOPPING, False)


def test_what_it_says_of_its_idleness_is_shown(place):
    id = place.on()
    place.connectivity.idles[id] = Idleness(state="idle")
    shown = place.look().idle
    assert shown.state == "idle"
    assert "cannot hibernate by itself" in shown.lacks, "nobody has made the role here"
    place.set_up()
    place.prerequisites.forget()
    other = place.on(key="ws_2")
    [it] = [it for it in place.compute.survey() if it.id == other]
    assert it.idle is None, "one that has it lacks nothing"


# ------------------------------------------------------------------ down and up
@pytest.mark.parametrize(
    ("verb", "state"), [("stop", Observed.OFF), ("hibernate", Observed.ASLEEP)]
)
def test_down_and_up_and_each_twice(place, compute, verb, state):
    id = place.on()
    for _ in range(2):
        getattr(compute, verb)(id)
    assert place.goes().seen is state
    getattr(compute, verb)(id)
    assert place.goes().seen is state
    for _ in range(2):
        compute.start(id)
    assert place.goes().seen is Observed.ON


def test_it_has_a_new_address_after_a_start(place, compute):
    id = place.on()
    before = place.look().public_ip
    compute.stop(id)
    place.goes()
    compute.start(id)
    after = place.goes().public_ip
    assert after
    assert after != before


def test_a_place_that_may_not_be_looked_at_says_why(place, compute):
    place.aws.rules = build({"denied": ["ec2:DescribeInstances"]})
    with pytest.raises(Unavailable, match="ec2:DescribeInstances") as caught:
        compute.survey()
    assert caught.value.code == "AWS_PERMISSION_DENIED"
    assert "prism doctor" in caught.value.remediation


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
def test_one_that_is_pending_cannot_go_down_yet(place, compute, verb):
    place.aws.rules = build({"times": {"pending": 4}})
    id = place.launch().id
    with pytest.raises(Unavailable, match="is pending"):
        getattr(compute, verb)(id)
    place.aws.clock.advance(5)
    getattr(compute, verb)(id)
    assert place.goes().seen in {Observed.OFF, Observed.ASLEEP}


def test_one_that_is_stopping_cannot_start_yet(place, compute):
    place.aws.rules = build({"times": {"stopping": 30}})
    id = place.on()
    compute.stop(id)
    with pytest.raises(Unavailable, match="stopping"):
        compute.start(id)
    place.aws.clock.advance(31)
    compute.start(id)
    assert place.goes().seen is Observed.ON


def test_one_that_is_described_as_wished_and_refused_is_asked_again(place, compute):
    """What EC2 describes may be older than its refusal."""
    id = place.on()
    place.aws.fault(action="StartInstances", do="error", code="IncorrectInstanceState", status=400)
    with pytest.raises(Unavailable, match="running"):
        compute.start(id)
    assert place.calls("StartInstances") == ["StartInstances"]


def test_what_is_gone_stays_gone_and_says_nothing(place, compute):
    id = place.on()
    compute.terminate(id)
    assert place.goes().seen is Observed.GONE
    for verb in VERBS:
        getattr(compute, verb)(id)
    compute.expire(id, place.aws.clock.now(), "stop")
    assert place.goes().seen is Observed.GONE


def test_one_that_goes_is_not_told_so_over_and_over(place, compute):
    place.aws.rules = build({"times": {"shutting_down": 60}})
    id = place.on()
    compute.terminate(id)
    for _ in range(5):
        assert place.goes().seen is Observed.STOPPING
        compute.terminate(id)
    assert place.calls("TerminateInstances") == ["TerminateInstances"]


def test_where_there_is_no_room_any_more_a_start_is_refused(place, compute):
    id = place.on()
    compute.stop(id)
    place.goes()
    place.aws.rules = build({"capacity": [{"type": "t3.*"}]})
    with pytest.raises(CapacityUnavailable) as caught:
        compute.start(id)
    assert isinstance(caught.value, ProviderRefused)
    assert place.look().seen is Observed.OFF


def test_a_termination_that_was_refused_can_be_asked_for_again(place, compute):
    id = place.on()
    place.aws.rules = build({"denied": ["ec2:TerminateInstances"]})
    with pytest.raises(ProviderRefused, match="TerminateInstances") as caught:
        compute.terminate(id)
    assert caught.value.code == "AWS_PERMISSION_DENIED"
    place.aws.rules = build({})
    compute.terminate(id)
    assert place.goes().seen is Observed.GONE


# ------------------------------------------------------------------ hibernation
def test_one_that_was_not_made_for_it_cannot_hibernate(place, compute):
    id = place.on(hibernation=False)
    with pytest.raises(CannotHibernate, match="not configured at launch") as caught:
        compute.hibernate(id)
    assert caught.value.code == "HIBERNATION_NOT_SUPPORTED"
    assert isinstance(caught.value, HibernationNotSupported)
    assert isinstance(caught.value, ProviderRefused)


def test_one_that_is_too_young_hibernates_later(place, compute):
    place.aws.rules = build({"times": {"hibernation_ready": 120}})
    id = place.on()
    with pytest.raises(Unavailable, match="a few minutes"):
        compute.hibernate(id)
    place.aws.clock.advance(120)
    compute.hibernate(id)
    assert place.goes().seen is Observed.ASLEEP


def slept_and_woken(place, id):
    """It was put to sleep, and is on again."""
    place.compute.hibernate(id)
    assert place.goes().seen is Observed.ASLEEP
    place.compute.start(id)
    place.goes()
    return place.goes()


def test_one_that_wakes_up_has_its_memory(place):
    it = slept_and_woken(place, place.on())
    assert (it.seen, it.failure) == (Observed.ON, None)


def test_one_that_had_to_boot_anew_has_lost_its_memory_and_says_so(place):
    """EC2 says of both that they were hibernated: it means that it was begun."""
    place.aws.rules = build({"sleepless": "Name=mine"})
    id = place.on()
    it = slept_and_woken(place, id)
    assert (it.seen, it.failure.code) == (Observed.ON, "MEMORY_LOST")
    assert "its memory is lost, its disk is kept" in it.failure.message
    place.aws.rules = build({})
    assert slept_and_woken(place, id).failure is None, "it is said of that one start"


def test_a_resume_that_hangs_is_said_and_is_forced_off(place, compute):
    """EC2 User Guide, "Troubleshoot EC2 instance hibernation"; StopInstances: Force."""
    place.aws.rules = build({"hangs": "Name=mine"})
    id = place.on()
    it = slept_and_woken(place, id)
    assert (it.seen, it.failure) == (Observed.STARTING, None), "it may still come"
    it = place.goes(15 * 60)
    assert (it.seen, it.stage, it.failure.code) == (Observed.ON, "unverified", "RESUME_UNVERIFIED")
    assert "prism stop mine" in it.failure.message
    compute.stop(id)
    assert place.goes().seen is Observed.OFF, "by force: its system does not hear"
    place.aws.rules = build({})
    compute.start(id)
    place.goes()
    assert place.goes().failure.code == "MEMORY_LOST"


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
def test_one_that_ec2_leaves_stopping_is_said_and_is_forced_off_when_asked_again(place, verb):
    """EC2 User Guide, "Troubleshoot Amazon EC2 instance stop issues"."""
    place.aws.rules = build({"stuck": [{"state": "stopping"}]})
    id = place.on()
    getattr(place.compute, verb)(id)
    assert place.goes(14 * 60).failure is None, "it may take its time"
    it = place.goes(60)
    assert (it.seen, it.failure.code) == (Observed.STOPPING, "STOP_HANGS")
    assert "`prism stop mine`" in it.failure.message
    place.compute.stop(id)
    assert place.goes().seen in {Observed.OFF, Observed.ASLEEP}


def test_one_that_not_even_force_stops_is_said_and_can_be_ended(place):
    place.aws.rules = build({"stuck": [{"state": "stopping", "deaf": True}]})
    id = place.on()
    place.compute.stop(id)
    assert place.goes(15 * 60).failure.code == "STOP_HANGS"
    place.compute.stop(id)
    assert place.goes(60).failure is None, "EC2 has ten minutes for that"
    it = place.goes(10 * 60)
    assert it.failure.code == "STOP_BY_FORCE_HANGS"
    assert "`prism terminate mine --yes`" in it.failure.message
    place.compute.terminate(id)
    assert place.goes().seen is Observed.GONE


def test_when_one_began_to_stop_counts_from_the_first_look_where_ec2_does_not_say(place):
    began = place.aws.clock.now()
    it = Ec2Instance(id="i-1", key="k", state="stopping", type="t", zone="z", launched=began)
    assert hangs(it, None, began) is None
    stuck = hangs(it, began, began + timedelta(minutes=15))
    assert not_none(stuck).code == "STOP_HANGS"


def test_one_that_was_stopped_has_no_memory_to_lose(place):
    id = place.on()
    assert slept_and_woken(place, id).failure is None
    place.compute.stop(id)
    place.goes()
    place.compute.start(id)
    place.goes()
    assert place.goes().failure is None


# ------------------------------------------------------------------ who is not there
@pytest.mark.parametrize("id", ["local-00000000000000000", ""])
def test_what_is_no_machine_of_ec2_is_no_problem_and_no_call(place, compute, id):
    for verb in VERBS:
        getattr(compute, verb)(id)
    compute.expire(id, None, "stop")
    compute.resize(id, "t3.large")
    assert place.calls() == []


@pytest.mark.parametrize("verb", VERBS)
def test_one_that_ec2_does_not_show_is_waited_for_and_then_taken_as_gone(place, compute, verb):
    with pytest.raises(Unavailable):
        getattr(compute, verb)(NOBODY)
    place.aws.clock.advance(61)
    getattr(compute, verb)(NOBODY)


def test_a_new_one_is_told_as_soon_as_ec2_shows_it(place, compute):
    place.aws.rules = build({"times": {"unseen": 3}})
    id = place.launch().id
    at = place.aws.clock.now() + timedelta(hours=1)
    with pytest.raises(Unavailable):
        compute.expire(id, at, "stop")
    with pytest.raises(Unavailable):
        compute.terminate(id)
    place.aws.clock.advance(4)
    compute.expire(id, at, "stop")
    compute.terminate(id)
    assert place.goes().seen is Observed.GONE


# ------------------------------------------------------------------ expiry
def test_a_launch_knows_its_end(place):
    id = place.launch(expires_at=place.aws.clock.now() + timedelta(hours=8)).id
    tags = place.tags(id)
    assert tags["prism:ttl"] == "8h0m0s"
    assert tags["prism:expire-action"] == "hibernate"
    assert place.goes(8 * 3600 - 60).seen is Observed.ON
    assert place.goes(70).seen is Observed.ON  # whoever can have it hibernate comes first
    assert place.goes(120).seen is Observed.OFF  # by its own timer: nobody told it


def test_an_extension_is_counted_from_the_launch_whatever_was_started_since(place, compute):
    id = place.on()
    place.goes(1800)
    compute.stop(id)
    place.goes()
    compute.start(id)
    place.goes()
    tags = place.tags(id)
    born = moment(tags["prism:launched-at"])
    at = place.aws.clock.now() + timedelta(hours=1)
    compute.expire(id, at, "stop")
    tags = place.tags(id)
    assert moment(tags["prism:launched-at"]) == born
    assert timedelta() <= expires_at(tags) - at < timedelta(seconds=1)
    assert tags["prism:expire-action"] == "stop"


def test_one_that_nobody_has_looked_at_yet_can_be_told(place, cloud, tmp_path):
    launched = place.aws.clock.now()
    id = place.on(launched_at=launched)
    at = place.aws.clock.now() + timedelta(hours=1)
    AwsParts(place.aws, cloud, tmp_path).compute.expire(id, at, "stop")
    place.pass_on()
    assert abs(expires_at(place.tags(id)) - at) <= timedelta(seconds=1)


def test_one_that_has_no_end_any_more_carries_no_tag(place, compute):
    id = place.on(expires_at=place.aws.clock.now() + timedelta(hours=1))
    for _ in range(2):
        compute.expire(id, None, "stop")
    assert not {"prism:ttl", "prism:expire-action"} & place.tags(id).keys()
    assert place.goes(7200).seen is Observed.ON


def test_one_that_never_knew_when_it_was_launched_learns_it(place, compute):
    id = place.on(launched_at=None)
    compute.expire(id, place.aws.clock.now() + timedelta(hours=1), "stop")
    tags = place.tags(id)
    assert tags["prism:launched-at"]
    assert tags["prism:ttl"].startswith("1h0m")


def test_who_starts_one_that_has_expired_may_have_it(place, compute):
    id = place.on(expires_at=place.aws.clock.now() + timedelta(hours=1))
    assert place.goes(3600 + 120).seen is not Observed.ON
    assert place.goes().seen is Observed.OFF
    compute.start(id)
    assert place.goes(600).seen is Observed.ON
    assert "prism:ttl" not in place.tags(id)


def test_an_end_that_was_told_meanwhile_is_kept(place, compute):
    id = place.on(expires_at=place.aws.clock.now() + timedelta(hours=1))
    place.goes(3600 + 120)
    place.goes()
    compute.expire(id, place.aws.clock.now() + timedelta(hours=4), "stop")
    compute.start(id)
    assert place.tags(id)["prism:ttl"].startswith("5h2m")


# ------------------------------------------------------------------ another type
def test_one_that_is_off_becomes_another_type(place, compute):
    id = place.on(hibernation=False)
    compute.stop(id)
    place.goes()
    for _ in range(2):
        compute.resize(id, "t3.large")
    place.pass_on()
    assert place.instances.look(id).type == "t3.large"


def test_one_that_may_hibernate_keeps_its_type_where_ec2_says_so(place, compute):
    id = place.on()
    compute.stop(id)
    place.goes()
    with pytest.raises(AwsRefused, match="enabled for hibernation"):
        compute.resize(id, "t3.large")
    assert place.instances.look(id).type != "t3.large"


def test_one_that_is_on_cannot_yet(place, compute):
    id = place.on()
    with pytest.raises(Unavailable, match="running"):
        compute.resize(id, "t3.large")


def test_a_type_of_another_architecture_is_refused(place, compute):
    id = place.on(hibernation=False)
    compute.stop(id)
    place.goes()
    with pytest.raises(AwsRefused, match="architecture"):
        compute.resize(id, "t4g.small")


# ------------------------------------------------------------------ handed on
def test_ways_in_are_the_ways(place, compute):
    id = place.on()
    assert compute.access(id).host == place.look().public_ip
    rule = IdleRule(profile="t", minutes=5, action="stop", limits={})
    compute.watch(id, rule)
    assert place.connectivity.told == [(id, rule)]
    assert compute.spot(id, 80) is None
