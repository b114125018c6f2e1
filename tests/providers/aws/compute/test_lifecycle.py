"""The verbs on EC2, which may be repeated, come early or late, and name missing machines."""

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

UNKNOWN_ID = "i-0123456789abcdef0"
VERBS = ("start", "stop", "hibernate", "terminate")


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


@pytest.fixture
def compute(aws_parts):
    return aws_parts.compute


# ------------------------------------------------------------------ survey
def test_empty_survey_makes_one_call(aws_parts, compute):
    assert compute.survey() == []
    assert aws_parts.calls("DescribeInstances") == ["DescribeInstances"]


def test_survey_ignores_machines_without_the_managed_tag(aws_parts, compute, other_user):
    image = aws_parts.prerequisites.image(None, "t3.small").id
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    other_user.call("ec2", "RunInstances", **order)
    assert compute.survey() == []


def test_survey_lists_a_managed_machine_without_a_key(aws_parts, compute, other_user):
    image = aws_parts.prerequisites.image(None, "t3.small").id
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "prism:managed", "Value": "true"}]}]
    order = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    other_user.call("ec2", "RunInstances", **order, TagSpecifications=tags)
    aws_parts.pass_on()
    [orphan] = compute.survey()
    assert orphan.key == orphan.id


def test_survey_of_many_machines_makes_one_call_per_page(
    aws_parts, compute, other_user, monkeypatch
):
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


def test_machine_has_the_times_of_ec2_for_on_and_off(aws_parts, compute):
    id = aws_parts.ask().id
    born = aws_parts.aws.clock.now()
    on = aws_parts.after(10)
    assert (on.observed, abs(on.since - born) < timedelta(seconds=1)) == (Observed.ON, True)
    stopped = aws_parts.aws.clock.now()
    compute.stop(id)
    off = aws_parts.after(60)
    assert (off.observed, abs(off.since - stopped) < timedelta(seconds=1)) == (Observed.OFF, True)
    assert off.public_ip is None
    assert off.private_ip


def test_machine_is_charged_while_it_boots_or_hibernates(aws_parts, compute):
    """It is not charged while it is pending, or stops without hibernation."""
    aws_parts.aws.rules = build(
        {"times": {"pending": 5, "boot": 60, "stopping": 30, "hibernating": 90}}
    )
    id = aws_parts.launch().id
    [machine] = aws_parts.compute.survey()
    born = machine.started.replace(microsecond=0)
    seen = [aws_parts.look(), aws_parts.after(6)]
    aws_parts.aws.clock.advance(70)
    compute.survey()
    seen.append(aws_parts.look())
    dozed = aws_parts.aws.clock.now().replace(microsecond=0)
    compute.hibernate(id)
    seen += [aws_parts.after(80), aws_parts.after(20)]
    assert [(event.observed, event.charged) for event in seen] == [
        (Observed.STARTING, False),
        (Observed.STARTING, True),
        (Observed.ON, False),
        (Observed.STOPPING, True),
        (Observed.ASLEEP, False),
    ]
    assert [event.dozed for event in seen] == [None, None, None, None, dozed]
    assert seen[-1].since is None, "EC2 does not report the time of hibernation"
    assert {event.started.replace(microsecond=0) for event in seen} == {born}
    compute.start(id)
    aws_parts.after(10)
    compute.stop(id)
    aws_parts.pass_on()
    assert (aws_parts.look().observed, aws_parts.look().charged) == (Observed.STOPPING, False)


def test_survey_shows_idleness_and_a_missing_role(aws_parts):
    id = aws_parts.on()
    aws_parts.connectivity.idles[id] = Idleness(state="idle")
    idleness = aws_parts.look().idle
    assert idleness.state == "idle"
    assert "cannot hibernate by itself" in idleness.lacks, "this account has no role yet"
    aws_parts.set_up()
    aws_parts.prerequisites.forget()
    other = aws_parts.on(key="ws_2")
    [machine] = [seen for seen in aws_parts.compute.survey() if seen.id == other]
    assert machine.idle is None, "a machine with the role lacks nothing"


# ------------------------------------------------------------------ stop, hibernate and start
@pytest.mark.parametrize(
    ("verb", "state"), [("stop", Observed.OFF), ("hibernate", Observed.ASLEEP)]
)
def test_stop_hibernate_and_start_can_be_repeated(aws_parts, compute, verb, state):
    id = aws_parts.on()
    for _ in range(2):
        getattr(compute, verb)(id)
    assert aws_parts.after().observed is state
    getattr(compute, verb)(id)
    assert aws_parts.after().observed is state
    for _ in range(2):
        compute.start(id)
    assert aws_parts.after().observed is Observed.ON


def test_machine_has_a_new_address_after_a_start(aws_parts, compute):
    id = aws_parts.on()
    before = aws_parts.look().public_ip
    compute.stop(id)
    aws_parts.after()
    compute.start(id)
    after = aws_parts.after().public_ip
    assert after
    assert after != before


def test_denied_survey_names_the_permission(aws_parts, compute):
    aws_parts.aws.rules = build({"denied": ["ec2:DescribeInstances"]})
    with pytest.raises(Unavailable, match="ec2:DescribeInstances") as caught:
        compute.survey()
    assert caught.value.code == "AWS_PERMISSION_DENIED"
    assert "no identity-based policy allows it" in caught.value.message
    assert "prism aws policy" in caught.value.remediation


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
def test_pending_machine_cannot_stop_or_hibernate_yet(aws_parts, compute, verb):
    aws_parts.aws.rules = build({"times": {"pending": 4}})
    id = aws_parts.launch().id
    with pytest.raises(Unavailable, match="is pending"):
        getattr(compute, verb)(id)
    aws_parts.aws.clock.advance(5)
    getattr(compute, verb)(id)
    assert aws_parts.after().observed in {Observed.OFF, Observed.ASLEEP}


def test_stopping_machine_cannot_start_yet(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"stopping": 30}})
    id = aws_parts.on()
    compute.stop(id)
    with pytest.raises(Unavailable, match="stopping"):
        compute.start(id)
    aws_parts.aws.clock.advance(31)
    compute.start(id)
    assert aws_parts.after().observed is Observed.ON


def test_refused_start_is_unavailable_although_ec2_describes_running(aws_parts, compute):
    """The description of EC2 may be older than its refusal."""
    id = aws_parts.on()
    aws_parts.aws.fault(
        action="StartInstances", do="error", code="IncorrectInstanceState", status=400
    )
    with pytest.raises(Unavailable, match="running"):
        compute.start(id)
    assert aws_parts.calls("StartInstances") == ["StartInstances"]


def test_verbs_ignore_a_terminated_machine(aws_parts, compute):
    id = aws_parts.on()
    compute.terminate(id)
    assert aws_parts.after().observed is Observed.GONE
    for verb in VERBS:
        getattr(compute, verb)(id)
    compute.expire(id, aws_parts.aws.clock.now(), "stop")
    assert aws_parts.after().observed is Observed.GONE


def test_repeated_termination_makes_one_call(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"shutting_down": 60}})
    id = aws_parts.on()
    compute.terminate(id)
    for _ in range(5):
        assert aws_parts.after().observed is Observed.STOPPING
        compute.terminate(id)
    assert aws_parts.calls("TerminateInstances") == ["TerminateInstances"]


def test_start_without_capacity_is_refused(aws_parts, compute):
    id = aws_parts.on()
    compute.stop(id)
    aws_parts.after()
    aws_parts.aws.rules = build({"capacity": [{"type": "t3.*"}]})
    with pytest.raises(CapacityUnavailable) as caught:
        compute.start(id)
    assert isinstance(caught.value, ProviderRefused)
    assert aws_parts.look().observed is Observed.OFF


def test_refused_termination_can_be_repeated(aws_parts, compute):
    id = aws_parts.on()
    aws_parts.aws.rules = build({"denied": ["ec2:TerminateInstances"]})
    with pytest.raises(ProviderRefused, match="TerminateInstances") as caught:
        compute.terminate(id)
    assert caught.value.code == "AWS_PERMISSION_DENIED"
    aws_parts.aws.rules = build({})
    compute.terminate(id)
    assert aws_parts.after().observed is Observed.GONE


# ------------------------------------------------------------------ hibernation
def test_machine_launched_without_hibernation_cannot_hibernate(aws_parts, compute):
    id = aws_parts.on(hibernation=False)
    with pytest.raises(CannotHibernate, match="not configured at launch") as caught:
        compute.hibernate(id)
    assert caught.value.code == "HIBERNATION_NOT_SUPPORTED"
    assert isinstance(caught.value, HibernationNotSupported)
    assert isinstance(caught.value, ProviderRefused)


def test_new_machine_cannot_hibernate_for_some_minutes(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"hibernation_ready": 120}})
    id = aws_parts.on()
    with pytest.raises(Unavailable, match="a few minutes"):
        compute.hibernate(id)
    aws_parts.aws.clock.advance(120)
    compute.hibernate(id)
    assert aws_parts.after().observed is Observed.ASLEEP


def hibernate_and_start(place, id):
    """Hibernate a machine and start it again."""
    place.compute.hibernate(id)
    assert place.after().observed is Observed.ASLEEP
    place.compute.start(id)
    place.after()
    return place.after()


def test_resumed_machine_reports_no_failure(aws_parts):
    machine = hibernate_and_start(aws_parts, aws_parts.on())
    assert (machine.observed, machine.failure) == (Observed.ON, None)


def test_resume_is_believed_only_when_the_console_shows_it(aws_parts):
    """Until then it shows the boot from before, which said `ready` with the same memory."""
    id = aws_parts.on()
    aws_parts.aws.rules = build({"times": {"console": 40}})
    aws_parts.after(60)
    machine = hibernate_and_start(aws_parts, id)
    assert machine.observed is Observed.STARTING
    aws_parts.after(40)
    machine = aws_parts.after(10)
    assert (machine.observed, machine.failure) == (Observed.ON, None)


def test_late_console_does_not_hide_a_lost_memory(aws_parts):
    aws_parts.aws.rules = build({"sleepless": "Name=mine", "times": {"console": 40}})
    id = aws_parts.on()
    aws_parts.after(60)
    assert hibernate_and_start(aws_parts, id).observed is Observed.STARTING
    aws_parts.after(50)
    assert aws_parts.after(10).failure.code == "MEMORY_LOST"


def test_machine_that_boots_after_hibernation_reports_memory_loss(aws_parts):
    """EC2 describes both as hibernated, which only means that hibernation was started."""
    aws_parts.aws.rules = build({"sleepless": "Name=mine"})
    id = aws_parts.on()
    machine = hibernate_and_start(aws_parts, id)
    assert (machine.observed, machine.failure.code) == (Observed.ON, "MEMORY_LOST")
    assert "its memory is lost, its disk is kept" in machine.failure.message
    aws_parts.aws.rules = build({})
    assert hibernate_and_start(aws_parts, id).failure is None, (
        "the failure is reported for that start only"
    )


def test_machine_that_cannot_read_its_memory_back_reports_memory_loss(aws_parts):
    """Linux, kernel/power/hibernate.c: `resume failed`, and the kernel goes on booting."""
    aws_parts.aws.rules = build({"unreadable_memory": "Name=mine"})
    machine = hibernate_and_start(aws_parts, aws_parts.on())
    assert (machine.observed, machine.failure.code) == (Observed.ON, "MEMORY_LOST")


def test_resume_without_a_known_memory_is_not_believed(aws_parts, other_user):
    """Somebody has removed the tag with what the memory had before."""
    id = aws_parts.on()
    other_user.call("ec2", "DeleteTags", Resources=[id], Tags=[{"Key": "prism:boot-id"}])
    aws_parts.after(15 * 60)  # until then, Prism trusts what it wrote itself
    machine = hibernate_and_start(aws_parts, id)
    assert (machine.observed, machine.stage) == (Observed.STARTING, "resume")
    machine = aws_parts.after(15 * 60)
    assert (machine.observed, machine.failure.code) == (Observed.ON, "RESUME_UNVERIFIED")


def test_hanging_resume_is_reported_and_stopped_by_force(aws_parts, compute):
    """EC2 User Guide, "Troubleshoot EC2 instance hibernation"; StopInstances: Force."""
    aws_parts.aws.rules = build({"hangs": "Name=mine"})
    id = aws_parts.on()
    machine = hibernate_and_start(aws_parts, id)
    assert (machine.observed, machine.failure) == (Observed.STARTING, None), (
        "the resume may still finish"
    )
    machine = aws_parts.after(15 * 60)
    assert (machine.observed, machine.stage, machine.failure.code) == (
        Observed.ON,
        "unverified",
        "RESUME_UNVERIFIED",
    )
    assert "prism stop mine" in machine.failure.message
    compute.stop(id)
    assert aws_parts.after().observed is Observed.OFF, (
        "the stop is forced, because the system does not react"
    )
    aws_parts.aws.rules = build({})
    compute.start(id)
    aws_parts.after()
    assert aws_parts.after().failure.code == "MEMORY_LOST"


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
def test_hanging_stop_is_reported_and_forced_by_the_next_stop(aws_parts, verb):
    """EC2 User Guide, "Troubleshoot Amazon EC2 instance stop issues"."""
    aws_parts.aws.rules = build({"stuck": [{"state": "stopping"}]})
    id = aws_parts.on()
    getattr(aws_parts.compute, verb)(id)
    assert aws_parts.after(14 * 60).failure is None, "a stop may take this long"
    machine = aws_parts.after(60)
    assert (machine.observed, machine.failure.code) == (Observed.STOPPING, "STOP_HANGS")
    assert "`prism stop mine`" in machine.failure.message
    aws_parts.compute.stop(id)
    assert aws_parts.after().observed in {Observed.OFF, Observed.ASLEEP}


def test_hanging_forced_stop_is_reported_and_termination_works(aws_parts):
    aws_parts.aws.rules = build({"stuck": [{"state": "stopping", "deaf": True}]})
    id = aws_parts.on()
    aws_parts.compute.stop(id)
    assert aws_parts.after(15 * 60).failure.code == "STOP_HANGS"
    aws_parts.compute.stop(id)
    assert aws_parts.after(60).failure is None, "EC2 has ten minutes for that"
    machine = aws_parts.after(10 * 60)
    assert machine.failure.code == "STOP_BY_FORCE_HANGS"
    assert "`prism terminate mine --yes`" in machine.failure.message
    aws_parts.compute.terminate(id)
    assert aws_parts.after().observed is Observed.GONE


def test_hanging_stop_without_a_time_of_ec2_counts_from_the_first_survey(aws_parts):
    began = aws_parts.aws.clock.now()
    instance = Ec2Instance(id="i-1", key="k", state="stopping", type="t", zone="z", launched=began)
    assert hangs(instance, None, began) is None
    stuck = hangs(instance, began, began + timedelta(minutes=15))
    assert not_none(stuck).code == "STOP_HANGS"


def test_stopped_machine_reports_no_memory_loss(aws_parts):
    id = aws_parts.on()
    assert hibernate_and_start(aws_parts, id).failure is None
    aws_parts.compute.stop(id)
    aws_parts.after()
    aws_parts.compute.start(id)
    aws_parts.after()
    assert aws_parts.after().failure is None


# ------------------------------------------------------------------ missing machines
@pytest.mark.parametrize("id", ["local-00000000000000000", ""])
def test_verbs_ignore_ids_of_other_providers_without_a_call(aws_parts, compute, id):
    for verb in VERBS:
        getattr(compute, verb)(id)
    compute.expire(id, None, "stop")
    compute.resize(id, "t3.large")
    assert aws_parts.calls() == []


@pytest.mark.parametrize("verb", VERBS)
def test_verb_on_an_unknown_machine_is_unavailable_for_a_minute_then_ignored(
    aws_parts, compute, verb
):
    with pytest.raises(Unavailable):
        getattr(compute, verb)(UNKNOWN_ID)
    aws_parts.aws.clock.advance(61)
    getattr(compute, verb)(UNKNOWN_ID)


def test_verbs_apply_to_a_new_machine_once_ec2_shows_it(aws_parts, compute):
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
    assert aws_parts.after().observed is Observed.GONE


# ------------------------------------------------------------------ expiry
def test_launched_machine_has_expiry_tags_and_stops_itself(aws_parts):
    id = aws_parts.launch(expires_at=aws_parts.aws.clock.now() + timedelta(hours=8)).id
    tags = aws_parts.tags(id)
    assert tags["prism:ttl"] == "8h0m0s"
    assert tags["prism:expire-action"] == "hibernate"
    assert aws_parts.after(8 * 3600 - 60).observed is Observed.ON
    assert aws_parts.after(70).observed is Observed.ON  # a daemon has time to hibernate it
    assert aws_parts.after(120).observed is Observed.OFF  # by its own timer, without a call


def test_extended_expiry_is_tagged_relative_to_the_launch(aws_parts, compute):
    id = aws_parts.on()
    aws_parts.after(1800)
    compute.stop(id)
    aws_parts.after()
    compute.start(id)
    aws_parts.after()
    tags = aws_parts.tags(id)
    born = moment(tags["prism:launched-at"])
    at = aws_parts.aws.clock.now() + timedelta(hours=1)
    compute.expire(id, at, "stop")
    tags = aws_parts.tags(id)
    assert moment(tags["prism:launched-at"]) == born
    assert timedelta() <= expires_at(tags) - at < timedelta(seconds=1)
    assert tags["prism:expire-action"] == "stop"


def test_expiry_can_be_set_before_the_first_survey(aws_parts, cloud, tmp_path):
    launched = aws_parts.aws.clock.now()
    id = aws_parts.on(launched_at=launched)
    at = aws_parts.aws.clock.now() + timedelta(hours=1)
    AwsParts(aws_parts.aws, cloud, tmp_path).compute.expire(id, at, "stop")
    aws_parts.pass_on()
    assert abs(expires_at(aws_parts.tags(id)) - at) <= timedelta(seconds=1)


def test_removed_expiry_deletes_its_tags(aws_parts, compute):
    id = aws_parts.on(expires_at=aws_parts.aws.clock.now() + timedelta(hours=1))
    for _ in range(2):
        compute.expire(id, None, "stop")
    assert not {"prism:ttl", "prism:expire-action"} & aws_parts.tags(id).keys()
    assert aws_parts.after(7200).observed is Observed.ON


def test_expiry_adds_a_missing_tag_of_the_launch_time(aws_parts, compute):
    id = aws_parts.on(launched_at=None)
    compute.expire(id, aws_parts.aws.clock.now() + timedelta(hours=1), "stop")
    tags = aws_parts.tags(id)
    assert tags["prism:launched-at"]
    assert tags["prism:ttl"].startswith("1h0m")


def test_start_of_an_expired_machine_removes_its_expiry(aws_parts, compute):
    id = aws_parts.on(expires_at=aws_parts.aws.clock.now() + timedelta(hours=1))
    assert aws_parts.after(3600 + 120).observed is not Observed.ON
    assert aws_parts.after().observed is Observed.OFF
    compute.start(id)
    assert aws_parts.after(600).observed is Observed.ON
    assert "prism:ttl" not in aws_parts.tags(id)


def test_start_of_an_expired_machine_keeps_a_later_expiry(aws_parts, compute):
    id = aws_parts.on(expires_at=aws_parts.aws.clock.now() + timedelta(hours=1))
    aws_parts.after(3600 + 120)
    aws_parts.after()
    compute.expire(id, aws_parts.aws.clock.now() + timedelta(hours=4), "stop")
    compute.start(id)
    assert aws_parts.tags(id)["prism:ttl"].startswith("5h2m")


# ------------------------------------------------------------------ another type
def test_stopped_machine_can_be_resized(aws_parts, compute):
    id = aws_parts.on(hibernation=False)
    compute.stop(id)
    aws_parts.after()
    for _ in range(2):
        compute.resize(id, "t3.large")
    aws_parts.pass_on()
    assert aws_parts.instances.look(id).type == "t3.large"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("InstanceCreditSpecification.NotSupported", AwsRefused),
        ("IncorrectInstanceState", Unavailable),
    ],
)
def test_failure_to_set_the_credits_is_raised(aws_parts, compute, monkeypatch, code, problem):
    """UnsuccessfulInstanceCreditSpecificationItemError: the call itself succeeds."""
    id = aws_parts.on(hibernation=False)
    compute.stop(id)
    aws_parts.after()
    call = aws_parts.cloud.call

    def failing(service, action, **arguments):
        answer = call(service, action, **arguments)
        if action == "ModifyInstanceCreditSpecification":
            error = {"Code": code, "Message": "no"}
            failed = [{"InstanceId": id, "Error": error}]
            return {"UnsuccessfulInstanceCreditSpecifications": failed}
        return answer

    monkeypatch.setattr(aws_parts.cloud, "call", failing)
    with pytest.raises(problem) as refusal:
        compute.resize(id, "t3.large")
    assert code in refusal.value.details


def test_resize_refused_by_ec2_keeps_the_type(aws_parts, compute):
    id = aws_parts.on()
    compute.stop(id)
    aws_parts.after()
    with pytest.raises(AwsRefused, match="enabled for hibernation"):
        compute.resize(id, "t3.large")
    assert aws_parts.instances.look(id).type != "t3.large"


def test_running_machine_cannot_be_resized(aws_parts, compute):
    id = aws_parts.on()
    with pytest.raises(Unavailable, match="running"):
        compute.resize(id, "t3.large")


def test_resize_to_another_architecture_is_refused(aws_parts, compute):
    id = aws_parts.on(hibernation=False)
    compute.stop(id)
    aws_parts.after()
    with pytest.raises(AwsRefused, match="architecture"):
        compute.resize(id, "t4g.small")


# ------------------------------------------------------------------ connectivity
def test_access_and_watch_are_delegated_to_connectivity(aws_parts, compute):
    id = aws_parts.on()
    assert compute.access(id).host == aws_parts.look().public_ip
    rule = IdleRule(profile="t", minutes=5, action="stop", limits={})
    compute.watch(id, rule)
    assert aws_parts.connectivity.watched == [(id, rule)]
    assert compute.address_of(id, 80) is None


def test_machine_that_ec2_hides_again_is_unavailable_again(aws_parts, compute):
    """EC2 Developer Guide, "Eventual consistency": an answer may be older than the one before."""
    id, code = aws_parts.on(), "InvalidInstanceID.NotFound"
    for _ in range(2):
        aws_parts.aws.fault(action="StopInstances", do="error", code=code, status=400)
        with pytest.raises(Unavailable):
            compute.stop(id)
        aws_parts.aws.clock.advance(61)
        compute.stop(id)
        aws_parts.after()
        compute.start(id)
        aws_parts.after()
