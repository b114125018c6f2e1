"""When a machine counts as ready: by its console or by SSH, and never asked for nothing."""

from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from msgspec import structs

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.compute.readiness import BootStage, BootStatus, read
from prism.workspaces.model import Observed
from tests.providers.aws.place import TEMPLATE, AwsParts

KERNEL = "[    0.000000] Linux version 6.8.0-1018-aws (buildd@x)\n"
AWOKE = "[    3.1] PM: hibernation: resume from hibernation\n"


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    stopped_aws.rules = build({"times": {"boot": 60}})
    return AwsParts(stopped_aws, cloud, tmp_path)


def failing(place):
    """From now on boots end with a failure."""
    place.aws.rules = build({"times": {"boot": 60}, "boot": {"fails": "packages"}})


def said(*steps):
    return "".join(f"[  5.1] cloud-init[7]: prism-boot: {step}\n" for step in steps)


# ------------------------------------------------------------------ what a console says
def test_the_last_step_and_how_far_it_is():
    first, two = read(said("begin")), read(said("begin", "packages"))
    assert (first.stage, first.step, two.step) == (BootStage.COMING, "begin", "packages")
    assert 10 < first.progress < two.progress < 100


def test_nothing_is_a_beginning():
    assert read("") == read(KERNEL) == BootStatus(BootStage.COMING, None, 10)


def test_ready_and_failed():
    assert read(KERNEL + said("begin", "ready")).stage is BootStage.READY
    failed = read(KERNEL + said("begin", "packages", "failed packages apt"))
    assert (failed.stage, failed.step) == (BootStage.FAILED, "packages apt")


def test_what_an_earlier_boot_has_said_counts_no_more():
    before = KERNEL + said("begin", "ready")
    assert read(before + KERNEL).stage is BootStage.COMING
    assert read(before + said("begin")).stage is BootStage.COMING  # a quiet kernel
    assert read(KERNEL + said("begin", "failed x") + KERNEL + said("begin", "ready")).stage is (
        BootStage.READY
    )


def test_who_awakes_from_hibernation_is_ready_at_once():
    assert read(KERNEL + said("begin", "ready") + AWOKE).stage is BootStage.READY
    assert read(KERNEL + said("begin", "ready") + KERNEL + AWOKE).stage is BootStage.READY


def test_a_host_key_is_no_step():
    assert read(said("begin", "hostkey ssh-ed25519 AAAA")).step == "begin"


# ------------------------------------------------------------------ what is made of it
def test_one_that_comes_up_says_how_far_it_is_until_it_is_on(aws_parts):
    aws_parts.aws.rules = build({"times": {"pending": 4, "boot": 60}})
    id = aws_parts.launch().id
    assert aws_parts.look().stage == "machine"
    begun = aws_parts.goes(32)
    assert (begun.seen, begun.stage) == (Observed.STARTING, "packages")
    on = aws_parts.goes(60)
    assert (on.seen, on.progress, on.stage, on.failure) == (Observed.ON, 100, None, None)
    assert aws_parts.tags(id)["prism:ready"] == aws_parts.instances.look(id).boot


def test_a_calm_place_is_one_call(aws_parts):
    for number in range(3):
        aws_parts.launch(key=f"ws_{number}")
    aws_parts.aws.clock.advance(70)
    aws_parts.compute.survey()
    aws_parts.aws.clock.advance(30)
    before = len(aws_parts.calls())
    for _ in range(3):
        aws_parts.aws.clock.advance(30)
        aws_parts.compute.survey()
    assert aws_parts.calls()[before:] == ["DescribeInstances"] * 3


def test_a_console_is_read_at_once_but_not_all_the_time(aws_parts):
    aws_parts.launch()
    for _ in range(58):
        aws_parts.goes(1)
    assert 5 <= len(aws_parts.calls("GetConsoleOutput")) <= 15


def test_another_daemon_asks_no_console_again(aws_parts, cloud, tmp_path):
    aws_parts.launch()
    aws_parts.goes(70)
    count = len(aws_parts.calls("GetConsoleOutput"))
    another = AwsParts(aws_parts.aws, cloud, tmp_path)
    assert another.look().seen is Observed.ON
    assert len(aws_parts.calls("GetConsoleOutput")) == count


def test_what_was_decided_but_not_written_is_written_later(aws_parts):
    id = aws_parts.launch().id
    aws_parts.aws.fault(action="CreateTags", do="drop")
    assert aws_parts.goes(70).seen is Observed.ON
    assert "prism:ready" not in aws_parts.tags(id)
    count = len(aws_parts.calls("GetConsoleOutput"))
    aws_parts.goes(15)
    assert "prism:ready" in aws_parts.tags(id)
    assert len(aws_parts.calls("GetConsoleOutput")) == count


def test_after_a_start_it_has_to_become_ready_anew(aws_parts):
    id = aws_parts.launch().id
    aws_parts.goes(70)
    aws_parts.compute.stop(id)
    aws_parts.goes(5)
    aws_parts.compute.start(id)
    assert aws_parts.goes(20).seen is Observed.STARTING
    assert aws_parts.goes(60).seen is Observed.ON


def test_who_sleeps_comes_back_without_a_boot(aws_parts):
    id = aws_parts.launch().id
    aws_parts.goes(70)
    aws_parts.compute.hibernate(id)
    assert aws_parts.goes(5).seen is Observed.ASLEEP
    aws_parts.compute.start(id)
    assert aws_parts.goes(5).seen is Observed.ON


def test_a_silent_one_is_on_after_a_quarter_of_an_hour_and_says_that_nobody_knows(aws_parts):
    aws_parts.aws.rules = build({"boot": {"silent": True}})
    aws_parts.launch()
    assert aws_parts.goes(14 * 60).seen is Observed.STARTING
    on = aws_parts.goes(61)
    assert (on.seen, on.stage, on.progress) == (Observed.ON, "unverified", 100)
    aws_parts.aws.rules = build({})  # it speaks at last
    aws_parts.goes(65)
    assert aws_parts.look().stage is None
    assert aws_parts.look().seen is Observed.ON


def test_a_silent_one_is_not_asked_for_ever(aws_parts):
    aws_parts.aws.rules = build({"boot": {"silent": True}})
    aws_parts.launch()
    aws_parts.goes(7201)
    before = len(aws_parts.calls("GetConsoleOutput"))
    aws_parts.goes(600)
    assert len(aws_parts.calls("GetConsoleOutput")) == before


def test_a_boot_that_fails_is_stopped_and_says_what_and_how_to_go_on(aws_parts):
    failing(aws_parts)
    id = aws_parts.launch().id
    assert aws_parts.goes(70).seen is Observed.STOPPING
    broken = aws_parts.goes(5)
    assert broken.seen is Observed.BROKEN
    assert broken.failure.code == "BOOT_FAILED"
    assert "packages" in broken.failure.message
    assert "`prism workspace start mine`" in broken.failure.message
    assert "`prism start mine --template-again`" in broken.failure.message
    aws_parts.compute.stop(id)
    assert aws_parts.goes(5).seen is Observed.BROKEN


def test_a_broken_one_is_set_up_once_more(aws_parts):
    failing(aws_parts)
    id = aws_parts.launch().id
    aws_parts.goes(70)
    aws_parts.goes(5)
    aws_parts.compute.start(id)
    assert aws_parts.goes(5).seen is Observed.STARTING
    aws_parts.goes(70)
    assert aws_parts.goes(5).seen is Observed.BROKEN
    aws_parts.aws.rules = build({"times": {"boot": 60}})
    aws_parts.compute.start(id)
    aws_parts.goes(5)
    on = aws_parts.goes(70)
    assert (on.seen, on.failure) == (Observed.ON, None)


def test_a_broken_one_is_set_up_by_a_corrected_template(aws_parts, cloud):
    failing(aws_parts)
    id = aws_parts.launch(template=structs.replace(TEMPLATE, post_install=("wrong",))).id
    aws_parts.goes(70)
    assert aws_parts.goes(5).seen is Observed.BROKEN
    aws_parts.aws.rules = build({"times": {"boot": 60}})
    order = aws_parts.order(template=structs.replace(TEMPLATE, post_install=("right",)))
    aws_parts.compute.change_template(id, order)
    aws_parts.compute.change_template(id, order)  # any call may be repeated
    aws_parts.compute.start(id)
    aws_parts.goes(5)
    assert aws_parts.goes(70).seen is Observed.ON
    output = cloud.call("ec2", "GetConsoleOutput", InstanceId=id)["Output"]
    last = output.rpartition("prism-boot: begin")[2]
    assert "post-install right" in last
    assert "post-install wrong" not in last


def test_one_that_runs_takes_no_other_template_yet(aws_parts):
    id = aws_parts.on()
    with pytest.raises(Unavailable):
        aws_parts.compute.change_template(id, aws_parts.order())


def test_one_that_was_only_marked_is_stopped_by_whoever_looks_next(aws_parts, cloud, tmp_path):
    failing(aws_parts)
    aws_parts.launch()
    aws_parts.aws.fault(action="StopInstances", do="drop")
    aws_parts.goes(70)
    assert aws_parts.aws.machines()[0]["state"] == "running"
    another = AwsParts(aws_parts.aws, cloud, tmp_path)
    assert another.look().seen is Observed.STOPPING
    assert another.goes(5).seen is Observed.BROKEN


def test_ssh_may_say_it_first(stopped_aws, cloud, tmp_path):
    stopped_aws.rules = build({"boot": {"silent": True}})
    questions = []

    def probe(machine):
        questions.append(machine.public_ip)
        return said("begin", "ready")

    place = AwsParts(stopped_aws, cloud, tmp_path, probe=probe)
    place.launch()
    assert place.goes(5).seen is Observed.ON
    assert questions == [place.look().public_ip]


def test_ssh_alone_is_enough_where_consoles_may_not_be_read(stopped_aws, cloud, tmp_path):
    stopped_aws.rules = build({"denied": ["ec2:GetConsoleOutput"]})
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: said("begin", "ready"))
    place.launch()
    assert place.goes(5).seen is Observed.ON


def test_where_nobody_opens_nobody_knocks_for_a_while(stopped_aws, cloud, tmp_path):
    stopped_aws.rules = build({"boot": {"silent": True}})
    knocks = []
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: knocks.append(it.id))
    place.launch()
    for _ in range(60):
        place.goes(1)
    assert 2 <= len(knocks) <= 3
    assert len(place.calls("GetConsoleOutput")) > 5


def test_who_has_said_it_on_the_console_is_not_asked_by_ssh(stopped_aws, cloud, tmp_path):
    knocks = []
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: knocks.append(it.id))
    place.launch()
    assert place.goes(5).seen is Observed.ON
    assert knocks == []


def test_where_ssh_knows_nothing_the_console_is_read(stopped_aws, cloud, tmp_path):
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: None)
    place.launch()
    assert place.goes(5).seen is Observed.ON


def test_whoever_wants_hears_each_console(stopped_aws, cloud, tmp_path):
    heard = []
    place = AwsParts(
        stopped_aws, cloud, tmp_path, heard=[lambda id, text: heard.append((id, text))]
    )
    id = place.launch().id
    place.goes(5)
    assert heard[-1][0] == id
    assert "prism-boot: ready" in heard[-1][1]


def test_a_slow_console_holds_up_no_survey(stopped_aws, cloud, tmp_path):
    class Later(Executor):
        def __init__(self):
            self.tasks = []

        def submit(self, task, /, *args, **more):
            if task.__name__ == "_check":
                self.tasks.append((task, args))

    later = Later()
    place = AwsParts(stopped_aws, cloud, tmp_path, executor=later)
    place.launch()
    for _ in range(5):
        place.goes(5)
    assert len(later.tasks) == 1  # asked once, however often somebody looks meanwhile
    for task, args in later.tasks:
        task(*args)
    assert place.look().seen is Observed.ON


def test_a_console_that_cannot_be_read_is_read_again(aws_parts):
    aws_parts.launch()
    aws_parts.aws.fault(action="GetConsoleOutput", do="error", times=None)
    assert aws_parts.goes(70).seen is Observed.STARTING
    aws_parts.aws.rules = build({"times": {"boot": 60}})
    assert aws_parts.goes(15).seen is Observed.ON


def test_a_machine_that_is_gone_is_forgotten(aws_parts):
    id = aws_parts.launch().id
    aws_parts.goes(20)
    assert aws_parts.readiness._boots
    aws_parts.compute.terminate(id)
    aws_parts.goes(5)
    assert not aws_parts.readiness._boots
    assert not aws_parts.readiness._due


def test_a_place_that_was_closed_can_still_be_looked_at(stopped_aws, cloud, tmp_path):
    place = AwsParts(stopped_aws, cloud, tmp_path, executor=ThreadPoolExecutor(1))
    id = place.launch(spot=True).id
    place.aws.clock.advance(5)
    place.compute.close()
    assert place.look().seen is Observed.STARTING
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    assert place.goes(5).seen is Observed.GONE
