"""The verbs on EC2: each may be said twice, early, late, and to what is not there."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.faults import AwsRefused, CapacityUnavailable
from prism.providers.aws.api.paging import PAGING
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
def aws_parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


@pytest.fixture
def compute(aws_parts):
    return aws_parts.compute


# ------------------------------------------------------------------ looking
def test_there_is_nothing_at_first_and_that_is_one_call(aws_parts, compute):
    assert compute.survey() == []
    assert aws_parts.calls("DescribeInstances") == ["DescribeInstances"]


def test_machines_of_others_are_not_ours(aws_parts, compute, other_user):
    image = aws_parts.prerequisites.image(None, "t3.small").id
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    other_user.call("ec2", "RunInstances", **order)
    assert compute.survey() == []


def test_one_without_our_key_is_shown_all_the_same(aws_parts, compute, other_user):
    image = aws_parts.prerequisites.image(None, "t3.small").id
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "prism:managed", "Value": "true"}]}]
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    other_user.call("ec2", "RunInstances", **order, TagSpecifications=tags)
    aws_parts.pass_on()
    [orphan] = compute.survey()
    assert orphan.key == orphan.id


def test_many_machines_are_few_calls(aws_parts, compute, other_user, monkeypatch):
    assert PAGING["ec2"].most == 1000, "the most that EC2 allows"
    monkeypatch.setitem(PAGING, "ec2", replace(PAGING["ec2"], most=10))
    image = aws_parts.prerequisites.image(None, "t3.small").id
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "prism:managed", "Value": "true"}]}]
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 12}
    other_user.call("ec2", "RunInstances", **order, TagSpecifications=tags)
    aws_parts.pass_on()
    compute.survey()
    before = len(aws_parts.calls())
    assert len(compute.survey()) == 12
    assert aws_parts.calls()[before:] == ["DescribeInstances"] * 2


def test_it_is_on_since_ec2_started_it_and_off_since_ec2_says(aws_parts, compute):
    id = aws_parts.ask().id
    born = aws_parts.aws.clock.now()
    on = aws_parts.goes(10)
    assert (on.seen, abs(on.since - born) < timedelta(seconds=1)) == (Observed.ON, True)
    stopped = aws_parts.aws.clock.now()
    compute.stop(id)
    off = aws_parts.goes(60)
    assert (off.seen, abs(off.since - stopped) < timedelta(seconds=1)) == (Observed.OFF, True)
    assert off.public_ip is None
    assert off.private_ip


def test_what_ec2_charges_for_although_it_is_not_on(aws_parts, compute):
    """One that boots, and one that hibernates: not what is pending, nor another stop."""
    aws_parts.aws.rules = build(
        {"times": {"pending": 5, "boot": 60, "stopping": 30, "hibernating": 90}}
    )
    id = aws_parts.launch().id
    [machine] = aws_parts.compute.survey()
    born = machine.started.replace(microsecond=0)
    seen = [aws_parts.look(), aws_parts.goes(6)]
    aws_parts.aws.clock.advance(70)
    compute.survey()
    seen.append(aws_parts.look())
    dozed = aws_parts.aws.clock.now().replace(microsecond=0)
    compute.hibernate(id)
    seen += [aws_parts.goes(80), aws_parts.goes(20)]
    assert [(event.seen, event.charged) for event in seen] == [
        (Observed.STARTING, False),
        (Observed.STARTING, True),
        (Observed.ON, False),
        (Observed.STOPPING, True),
        (Observed.ASLEEP, False),
    ]
    assert [event.dozed for event in seen] == [None, None, None, None, dozed]
    assert seen[-1].since is None, "EC2 does not say when it slept"
    assert {event.started.replace(microsecond=0) for event in seen} == {born}
    compute.start(id)
    aws_parts.goes(10)
    compute.stop(id)
    aws_parts.pass_on()
    assert (aws_parts.look().seen, aws_parts.look().charged) == (Observed.STOPPING, False)


def test_what_it_says_of_its_idleness_is_shown(aws_parts):
    id = aws_parts.on()
    aws_parts.connectivity.idles[id] = Idleness(state="idle")
    idleness = aws_parts.look().idle
    assert idleness.state == "idle"
    assert "cannot hibernate by itself" in idleness.lacks, "nobody has made the role here"
    aws_parts.set_up()
    aws_parts.prerequisites.forget()
    other = aws_parts.on(key="ws_2")
    [machine] = [seen for seen in aws_parts.compute.survey() if seen.id == other]
    assert machine.idle is None, "one that has it lacks nothing"


# ------------------------------------------------------------------ down and up
@pytest.mark.parametrize(
    ("verb", "state"), [("stop", Observed.OFF), ("hibernate", Observed.ASLEEP)]
)
def test_down_and_up_and_each_twice(aws_parts, compute, verb, state):
    id = aws_parts.on()
    for _ in range(2):
        getattr(compute, verb)(id)
    assert aws_parts.goes().seen is state
    getattr(compute, verb)(id)
    assert aws_parts.goes().seen is state
    for _ in range(2):
        compute.start(id)
    assert aws_parts.goes().seen is Observed.ON


def test_it_has_a_new_address_after_a_start(aws_parts, compute):
    id = aws_parts.on()
    before = aws_parts.look().public_ip
    compute.stop(id)
    aws_parts.goes()
    compute.start(id)
    after = aws_parts.goes().public_ip
    assert after
    assert after != before


def test_a_place_that_may_not_be_looked_at_says_why(aws_parts, compute):
    aws_parts.aws.rules = build({"denied": ["ec2:DescribeInstances"]})
    with pytest.raises(Unavailable, match="ec2:DescribeInstances") as caught:
        compute.survey()
    assert caught.value.code == "AWS_PERMISSION_DENIED"
    assert "prism doctor" in caught.value.remediation


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
def test_one_that_is_pending_cannot_go_down_yet(aws_parts, compute, verb):
    aws_parts.aws.rules = build({"times": {"pending": 4}})
    id = aws_parts.launch().id
    with pytest.raises(Unavailable, match="is pending"):
        getattr(compute, verb)(id)
    aws_parts.aws.clock.advance(5)
    getattr(compute, verb)(id)
    assert aws_parts.goes().seen in {Observed.OFF, Observed.ASLEEP}


def test_one_that_is_stopping_cannot_start_yet(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"stopping": 30}})
    id = aws_parts.on()
    compute.stop(id)
    with pytest.raises(Unavailable, match="stopping"):
        compute.start(id)
    aws_parts.aws.clock.advance(31)
    compute.start(id)
    assert aws_parts.goes().seen is Observed.ON


def test_one_that_is_described_as_wished_and_refused_is_asked_again(aws_parts, compute):
    """What EC2 describes may be older than its refusal."""
    id = aws_parts.on()
    aws_parts.aws.fault(
        action="StartInstances", do="error", code="IncorrectInstanceState", status=400
    )
    with pytest.raises(Unavailable, match="running"):
        compute.start(id)
    assert aws_parts.calls("StartInstances") == ["StartInstances"]


def test_what_is_gone_stays_gone_and_says_nothing(aws_parts, compute):
    id = aws_parts.on()
    compute.terminate(id)
    assert aws_parts.goes().seen is Observed.GONE
    for verb in VERBS:
        getattr(compute, verb)(id)
    compute.expire(id, aws_parts.aws.clock.now(), "stop")
    assert aws_parts.goes().seen is Observed.GONE


def test_one_that_goes_is_not_told_so_over_and_over(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"shutting_down": 60}})
    id = aws_parts.on()
    compute.terminate(id)
    for _ in range(5):
        assert aws_parts.goes().seen is Observed.STOPPING
        compute.terminate(id)
    assert aws_parts.calls("TerminateInstances") == ["TerminateInstances"]


def test_where_there_is_no_room_any_more_a_start_is_refused(aws_parts, compute):
    id = aws_parts.on()
    compute.stop(id)
    aws_parts.goes()
    aws_parts.aws.rules = build({"capacity": [{"type": "t3.*"}]})
    with pytest.raises(CapacityUnavailable) as caught:
        compute.start(id)
    assert isinstance(caught.value, ProviderRefused)
    assert aws_parts.look().seen is Observed.OFF


def test_a_termination_that_was_refused_can_be_asked_for_again(aws_parts, compute):
    id = aws_parts.on()
    aws_parts.aws.rules = build({"denied": ["ec2:TerminateInstances"]})
    with pytest.raises(ProviderRefused, match="TerminateInstances") as caught:
        compute.terminate(id)
    assert caught.value.code == "AWS_PERMISSION_DENIED"
    aws_parts.aws.rules = build({})
    compute.terminate(id)
    assert aws_parts.goes().seen is Observed.GONE


# ------------------------------------------------------------------ hibernation
def test_one_that_was_not_made_for_it_cannot_hibernate(aws_parts, compute):
    id = aws_parts.on(hibernation=False)
    with pytest.raises(CannotHibernate, match="not configured at launch") as caught:
        compute.hibernate(id)
    assert caught.value.code == "HIBERNATION_NOT_SUPPORTED"
    assert isinstance(caught.value, HibernationNotSupported)
    assert isinstance(caught.value, ProviderRefused)


def test_one_that_is_too_young_hibernates_later(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"hibernation_ready": 120}})
    id = aws_parts.on()
    with pytest.raises(Unavailable, match="a few minutes"):
        compute.hibernate(id)
    aws_parts.aws.clock.advance(120)
    compute.hibernate(id)
    assert aws_parts.goes().seen is Observed.ASLEEP


def slept_and_woken(place, id):
    """It was put to sleep, and is on again."""
    place.compute.hibernate(id)
    assert place.goes().seen is Observed.ASLEEP
    place.compute.start(id)
    place.goes()
    return place.goes()


def test_one_that_wakes_up_has_its_memory(aws_parts):
    machine = slept_and_woken(aws_parts, aws_parts.on())
    assert (machine.seen, machine.failure) == (Observed.ON, None)


def test_one_that_had_to_boot_anew_has_lost_its_memory_and_says_so(aws_parts):
    """EC2 says of both that they were hibernated: it means that it was begun."""
    aws_parts.aws.rules = build({"sleepless": "Name=mine"})
    id = aws_parts.on()
    machine = slept_and_woken(aws_parts, id)
    assert (machine.seen, machine.failure.code) == (Observed.ON, "MEMORY_LOST")
    assert "its memory is lost, its disk is kept" in machine.failure.message
    aws_parts.aws.rules = build({})
    assert slept_and_woken(aws_parts, id).failure is None, "it is said of that one start"


def test_a_resume_that_hangs_is_said_and_is_forced_off(aws_parts, compute):
    """EC2 User Guide, "Troubleshoot EC2 instance hibernation"; StopInstances: Force."""
    aws_parts.aws.rules = build({"hangs": "Name=mine"})
    id = aws_parts.on()
    machine = slept_and_woken(aws_parts, id)
    assert (machine.seen, machine.failure) == (Observed.STARTING, None), "it may still come"
    machine = aws_parts.goes(15 * 60)
    assert (machine.seen, machine.stage, machine.failure.code) == (
        Observed.ON,
        "unverified",
        "RESUME_UNVERIFIED",
    )
    assert "prism stop mine" in machine.failure.message
    compute.stop(id)
    assert aws_parts.goes().seen is Observed.OFF, "by force: its system does not hear"
    aws_parts.aws.rules = build({})
    compute.start(id)
    aws_parts.goes()
    assert aws_parts.goes().failure.code == "MEMORY_LOST"


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
def test_one_that_ec2_leaves_stopping_is_said_and_is_forced_off_when_asked_again(aws_parts, verb):
    """EC2 User Guide, "Troubleshoot Amazon EC2 instance stop issues"."""
    aws_parts.aws.rules = build({"stuck": [{"state": "stopping"}]})
    id = aws_parts.on()
    getattr(aws_parts.compute, verb)(id)
    assert aws_parts.goes(14 * 60).failure is None, "it may take its time"
    machine = aws_parts.goes(60)
    assert (machine.seen, machine.failure.code) == (Observed.STOPPING, "STOP_HANGS")
    assert "`prism stop mine`" in machine.failure.message
    aws_parts.compute.stop(id)
    assert aws_parts.goes().seen in {Observed.OFF, Observed.ASLEEP}


def test_one_that_not_even_force_stops_is_said_and_can_be_ended(aws_parts):
    aws_parts.aws.rules = build({"stuck": [{"state": "stopping", "deaf": True}]})
    id = aws_parts.on()
    aws_parts.compute.stop(id)
    assert aws_parts.goes(15 * 60).failure.code == "STOP_HANGS"
    aws_parts.compute.stop(id)
    assert aws_parts.goes(60).failure is None, "EC2 has ten minutes for that"
    machine = aws_parts.goes(10 * 60)
    assert machine.failure.code == "STOP_BY_FORCE_HANGS"
    assert "`prism terminate mine --yes`" in machine.failure.message
    aws_parts.compute.terminate(id)
    assert aws_parts.goes().seen is Observed.GONE


def test_when_one_began_to_stop_counts_from_the_first_look_where_ec2_does_not_say(aws_parts):
    began = aws_parts.aws.clock.now()
    instance = Ec2Instance(id="i-1", key="k", state="stopping", type="t", zone="z", launched=began)
    assert hangs(instance, None, began) is None
    stuck = hangs(instance, began, began + timedelta(minutes=15))
    assert not_none(stuck).code == "STOP_HANGS"


def test_one_that_was_stopped_has_no_memory_to_lose(aws_parts):
    id = aws_parts.on()
    assert slept_and_woken(aws_parts, id).failure is None
    aws_parts.compute.stop(id)
    aws_parts.goes()
    aws_parts.compute.start(id)
    aws_parts.goes()
    assert aws_parts.goes().failure is None


# ------------------------------------------------------------------ who is not there
@pytest.mark.parametrize("id", ["local-00000000000000000", ""])
def test_what_is_no_machine_of_ec2_is_no_problem_and_no_call(aws_parts, compute, id):
    for verb in VERBS:
        getattr(compute, verb)(id)
    compute.expire(id, None, "stop")
    compute.resize(id, "t3.large")
    assert aws_parts.calls() == []


@pytest.mark.parametrize("verb", VERBS)
def test_one_that_ec2_does_not_show_is_waited_for_and_then_taken_as_gone(aws_parts, compute, verb):
    with pytest.raises(Unavailable):
        getattr(compute, verb)(NOBODY)
    aws_parts.aws.clock.advance(61)
    getattr(compute, verb)(NOBODY)


def test_a_new_one_is_told_as_soon_as_ec2_shows_it(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"unseen": 3}})
    id = aws_parts.launch().id
    at = aws_parts.aws.clock.now() + timedelta(hours=1)
    with pytest.raises(Unavailable):
        compute.expire(id, at, "stop")
    with pytest.raises(Unavailable):
        compute.terminate(id)
    aws_parts.aws.clock.advance(4)
    compute.expire(id, at, "stop")
    compute.terminate(id)
    assert aws_parts.goes().seen is Observed.GONE


# ------------------------------------------------------------------ expiry
def test_a_launch_knows_its_end(aws_parts):
    id = aws_parts.launch(expires_at=aws_parts.aws.clock.now() + timedelta(hours=8)).id
    tags = aws_parts.tags(id)
    assert tags["prism:ttl"] == "8h0m0s"
    assert tags["prism:expire-action"] == "hibernate"
    assert aws_parts.goes(8 * 3600 - 60).seen is Observed.ON
    assert aws_parts.goes(70).seen is Observed.ON  # whoever can have it hibernate comes first
    assert aws_parts.goes(120).seen is Observed.OFF  # by its own timer: nobody told it


def test_an_extension_is_counted_from_the_launch_whatever_was_started_since(aws_parts, compute):
    id = aws_parts.on()
    aws_parts.goes(1800)
    compute.stop(id)
    aws_parts.goes()
    compute.start(id)
    aws_parts.goes()
    tags = aws_parts.tags(id)
    born = moment(tags["prism:launched-at"])
    at = aws_parts.aws.clock.now() + timedelta(hours=1)
    compute.expire(id, at, "stop")
    tags = aws_parts.tags(id)
    assert moment(tags["prism:launched-at"]) == born
    assert timedelta() <= expires_at(tags) - at < timedelta(seconds=1)
    assert tags["prism:expire-action"] == "stop"


def test_one_that_nobody_has_looked_at_yet_can_be_told(aws_parts, cloud, tmp_path):
    launched = aws_parts.aws.clock.now()
    id = aws_parts.on(launched_at=launched)
    at = aws_parts.aws.clock.now() + timedelta(hours=1)
    AwsParts(aws_parts.aws, cloud, tmp_path).compute.expire(id, at, "stop")
    aws_parts.pass_on()
    assert abs(expires_at(aws_parts.tags(id)) - at) <= timedelta(seconds=1)


def test_one_that_has_no_end_any_more_carries_no_tag(aws_parts, compute):
    id = aws_parts.on(expires_at=aws_parts.aws.clock.now() + timedelta(hours=1))
    for _ in range(2):
        compute.expire(id, None, "stop")
    assert not {"prism:ttl", "prism:expire-action"} & aws_parts.tags(id).keys()
    assert aws_parts.goes(7200).seen is Observed.ON


def test_one_that_never_knew_when_it_was_launched_learns_it(aws_parts, compute):
    id = aws_parts.on(launched_at=None)
    compute.expire(id, aws_parts.aws.clock.now() + timedelta(hours=1), "stop")
    tags = aws_parts.tags(id)
    assert tags["prism:launched-at"]
    assert tags["prism:ttl"].startswith("1h0m")


def test_who_starts_one_that_has_expired_may_have_it(aws_parts, compute):
    id = aws_parts.on(expires_at=aws_parts.aws.clock.now() + timedelta(hours=1))
    assert aws_parts.goes(3600 + 120).seen is not Observed.ON
    assert aws_parts.goes().seen is Observed.OFF
    compute.start(id)
    assert aws_parts.goes(600).seen is Observed.ON
    assert "prism:ttl" not in aws_parts.tags(id)


def test_an_end_that_was_told_meanwhile_is_kept(aws_parts, compute):
    id = aws_parts.on(expires_at=aws_parts.aws.clock.now() + timedelta(hours=1))
    aws_parts.goes(3600 + 120)
    aws_parts.goes()
    compute.expire(id, aws_parts.aws.clock.now() + timedelta(hours=4), "stop")
    compute.start(id)
    assert aws_parts.tags(id)["prism:ttl"].startswith("5h2m")


# ------------------------------------------------------------------ another type
def test_one_that_is_off_becomes_another_type(aws_parts, compute):
    id = aws_parts.on(hibernation=False)
    compute.stop(id)
    aws_parts.goes()
    for _ in range(2):
        compute.resize(id, "t3.large")
    aws_parts.pass_on()
    assert aws_parts.instances.look(id).type == "t3.large"


def test_one_that_may_hibernate_keeps_its_type_where_ec2_says_so(aws_parts, compute):
    id = aws_parts.on()
    compute.stop(id)
    aws_parts.goes()
    with pytest.raises(AwsRefused, match="enabled for hibernation"):
        compute.resize(id, "t3.large")
    assert aws_parts.instances.look(id).type != "t3.large"


def test_one_that_is_on_cannot_yet(aws_parts, compute):
    id = aws_parts.on()
    with pytest.raises(Unavailable, match="running"):
        compute.resize(id, "t3.large")


def test_a_type_of_another_architecture_is_refused(aws_parts, compute):
    id = aws_parts.on(hibernation=False)
    compute.stop(id)
    aws_parts.goes()
    with pytest.raises(AwsRefused, match="architecture"):
        compute.resize(id, "t4g.small")


# ------------------------------------------------------------------ handed on
def test_ways_in_are_the_ways(aws_parts, compute):
    id = aws_parts.on()
    assert compute.access(id).host == aws_parts.look().public_ip
    rule = IdleRule(profile="t", minutes=5, action="stop", limits={})
    compute.watch(id, rule)
    assert aws_parts.connectivity.told == [(id, rule)]
    assert compute.address_of(id, 80) is None
