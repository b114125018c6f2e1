"""When a machine is ready, by its console or by SSH, with few calls."""

from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.compute.readiness import BootStage, BootStatus, read
from prism.workspaces.model import Observed
from tests.providers.aws.place import TEMPLATE, AwsParts

KERNEL = "[    0.000000] Linux version 6.8.0-1018-aws (buildd@x)\n"
# Linux, kernel/power/hibernate.c and swap.c: printed before the memory is read back.
RESUMES = (
    "[    3.1] PM: hibernation: resume from hibernation\n"
    "[    3.2] PM: Loading and decompressing image data (251713 pages)...\n"
)
RESUMED = "[    9.4] PM: Image loading done\n[  812.7] PM: hibernation: hibernation exit\n"
STARTED = datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    stopped_aws.rules = build({"times": {"boot": 60}})
    return AwsParts(stopped_aws, cloud, tmp_path)


def failing(place):
    """Let boots fail from now on."""
    place.aws.rules = build({"times": {"boot": 60}, "boot": {"fails": "packages"}})


def boot_markers(*steps):
    return "".join(f"[  5.1] cloud-init[7]: prism-boot: {step}\n" for step in steps)


# ------------------------------------------------------------------ console output
def test_console_output_gives_the_last_step_and_progress():
    first, two = read(boot_markers("begin")), read(boot_markers("begin", "packages"))
    assert (first.stage, first.step, two.step) == (BootStage.COMING, "begin", "packages")
    assert 10 < first.progress < two.progress < 100


def test_console_without_markers_means_that_the_machine_boots():
    assert read("") == read(KERNEL) == BootStatus(BootStage.COMING, None, 10)


def test_console_output_gives_ready_or_failed():
    assert read(KERNEL + boot_markers("begin", "ready")).stage is BootStage.READY
    failed = read(KERNEL + boot_markers("begin", "packages", "failed packages apt"))
    assert (failed.stage, failed.step) == (BootStage.FAILED, "packages apt")


def test_console_output_of_an_earlier_boot_is_ignored():
    before = KERNEL + boot_markers("begin", "ready")
    assert read(before + KERNEL).stage is BootStage.COMING
    assert read(before + boot_markers("begin")).stage is BootStage.COMING  # a quiet kernel
    assert read(
        KERNEL + boot_markers("begin", "failed x") + KERNEL + boot_markers("begin", "ready")
    ).stage is (BootStage.READY)


def test_no_word_of_the_kernel_means_ready():
    before = KERNEL + boot_markers("begin", "ready")
    for words in (RESUMES, KERNEL + RESUMES, KERNEL + RESUMES + RESUMED):
        assert read(before + words).stage is BootStage.COMING
    assert read(before + KERNEL + RESUMES + RESUMED + boot_markers("begin", "ready")).stage is (
        BootStage.READY
    )


def test_output_from_before_the_start_says_nothing_about_it():
    """A console shows the last output of a machine for a while; some kernels print nothing."""
    ended = boot_markers("begin", f"id boot memory {STARTED:%Y-%m-%dT%H:%M:%SZ}", "ready")
    failed = boot_markers("begin", f"id boot memory {STARTED:%Y-%m-%dT%H:%M:%SZ}", "failed x")
    for text in (ended, failed):
        assert read(text, STARTED + timedelta(minutes=1)) == BootStatus()
    for launched in (STARTED + timedelta(milliseconds=400), STARTED - timedelta(minutes=1), None):
        assert read(ended, launched) == BootStatus(
            BootStage.READY, None, 100, "boot memory", STARTED
        )


def test_memory_of_an_older_boot_script_is_its_boot_id():
    assert read(boot_markers("begin", "id boot", "ready"), STARTED).id == "boot"


def test_host_key_marker_is_not_a_step():
    assert read(boot_markers("begin", "hostkey ssh-ed25519 AAAA")).step == "begin"


# ------------------------------------------------------------------ state of the machine
def test_booting_machine_shows_its_stage_until_it_is_on(aws_parts):
    aws_parts.aws.rules = build({"times": {"pending": 4, "boot": 60}})
    id = aws_parts.launch().id
    assert aws_parts.look().stage == "machine"
    begun = aws_parts.after(32)
    assert (begun.observed, begun.stage) == (Observed.STARTING, "packages")
    on = aws_parts.after(60)
    assert (on.observed, on.progress, on.stage, on.failure) == (Observed.ON, 100, None, None)
    assert aws_parts.tags(id)["prism:ready"] == aws_parts.instances.look(id).boot


def test_survey_of_ready_machines_makes_one_call(aws_parts):
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


def test_console_of_a_booting_machine_is_read_at_a_limited_rate(aws_parts):
    aws_parts.launch()
    for _ in range(58):
        aws_parts.after(1)
    assert 5 <= len(aws_parts.calls("GetConsoleOutput")) <= 15


def test_another_daemon_does_not_read_the_console_of_a_ready_machine(aws_parts, cloud, tmp_path):
    aws_parts.launch()
    aws_parts.after(70)
    count = len(aws_parts.calls("GetConsoleOutput"))
    another = AwsParts(aws_parts.aws, cloud, tmp_path)
    assert another.look().observed is Observed.ON
    assert len(aws_parts.calls("GetConsoleOutput")) == count


def test_ready_tag_that_could_not_be_written_is_written_later(aws_parts):
    id = aws_parts.launch().id
    aws_parts.aws.fault(action="CreateTags", do="drop")
    assert aws_parts.after(70).observed is Observed.ON
    assert "prism:ready" not in aws_parts.tags(id)
    count = len(aws_parts.calls("GetConsoleOutput"))
    aws_parts.after(15)
    assert "prism:ready" in aws_parts.tags(id)
    assert len(aws_parts.calls("GetConsoleOutput")) == count


def test_started_machine_has_to_become_ready_again(aws_parts):
    id = aws_parts.launch().id
    aws_parts.after(70)
    aws_parts.compute.stop(id)
    aws_parts.after(5)
    aws_parts.compute.start(id)
    assert aws_parts.after(20).observed is Observed.STARTING
    assert aws_parts.after(60).observed is Observed.ON


def test_hibernated_machine_is_on_without_a_boot(aws_parts):
    id = aws_parts.launch().id
    aws_parts.after(70)
    aws_parts.compute.hibernate(id)
    assert aws_parts.after(5).observed is Observed.ASLEEP
    aws_parts.compute.start(id)
    assert aws_parts.after(5).observed is Observed.ON


@pytest.mark.parametrize(
    ("kind", "unlimited", "minutes"),
    [("t3.small", False, 45), ("t3.small", True, 15), ("c6i.large", False, 15)],
)
def test_silent_machine_is_on_but_unverified_after_a_while(aws_parts, kind, unlimited, minutes):
    """T3 begins without CPU credits, so its boot is slow (decision 048)."""
    aws_parts.aws.rules = build({"boot": {"silent": True}})
    aws_parts.launch(instance_type=kind, unlimited=unlimited, hibernation=False)
    assert aws_parts.after((minutes - 1) * 60).observed is Observed.STARTING
    on = aws_parts.after(61)
    assert (on.observed, on.stage, on.progress) == (Observed.ON, "unverified", 100)
    aws_parts.aws.rules = build({})  # now the console has output
    aws_parts.after(65)
    assert aws_parts.look().stage is None
    assert aws_parts.look().observed is Observed.ON


@pytest.mark.parametrize(
    ("kind", "unlimited", "minutes"),
    [("t3.small", False, 37.5), ("t3.small", True, 15), ("t3.xlarge", False, 15)],
)
def test_slow_boot_without_credits_is_awaited(aws_parts, kind, unlimited, minutes):
    """15 minutes of one CPU, such as conda and R: the longest boot of decision 048."""
    aws_parts.aws.rules = build({"times": {"boot": 890}, "slow_start": True})
    aws_parts.launch(instance_type=kind, unlimited=unlimited, hibernation=False)
    assert aws_parts.after((minutes - 1) * 60).observed is Observed.STARTING
    aws_parts.after(65)
    assert aws_parts.after(10).stage is None
    assert aws_parts.look().observed is Observed.ON


def test_late_console_delays_the_machine_and_nothing_else(aws_parts):
    aws_parts.aws.rules = build({"times": {"console": 40}})
    aws_parts.launch()
    assert aws_parts.after(30).observed is Observed.STARTING
    assert aws_parts.after(30).observed in {Observed.STARTING, Observed.ON}
    on = aws_parts.after(30)
    assert (on.observed, on.stage) == (Observed.ON, None)


def test_console_of_a_silent_machine_is_not_read_after_two_hours(aws_parts):
    aws_parts.aws.rules = build({"boot": {"silent": True}})
    aws_parts.launch()
    aws_parts.after(7201)
    before = len(aws_parts.calls("GetConsoleOutput"))
    aws_parts.after(600)
    assert len(aws_parts.calls("GetConsoleOutput")) == before


def test_failed_boot_stops_the_machine_and_names_the_step_and_commands(aws_parts):
    failing(aws_parts)
    id = aws_parts.launch().id
    assert aws_parts.after(70).observed is Observed.STOPPING
    broken = aws_parts.after(5)
    assert broken.observed is Observed.BROKEN
    assert broken.failure.code == "BOOT_FAILED"
    assert "packages" in broken.failure.message
    assert "`prism workspace start mine`" in broken.failure.message
    assert "`prism start mine --template-again`" in broken.failure.message
    aws_parts.compute.stop(id)
    assert aws_parts.after(5).observed is Observed.BROKEN


def test_start_of_a_broken_machine_repeats_its_setup(aws_parts):
    failing(aws_parts)
    id = aws_parts.launch().id
    aws_parts.after(70)
    aws_parts.after(5)
    aws_parts.compute.start(id)
    assert aws_parts.after(5).observed is Observed.STARTING
    aws_parts.after(70)
    assert aws_parts.after(5).observed is Observed.BROKEN
    aws_parts.aws.rules = build({"times": {"boot": 60}})
    aws_parts.compute.start(id)
    aws_parts.after(5)
    on = aws_parts.after(70)
    assert (on.observed, on.failure) == (Observed.ON, None)


def test_start_of_a_broken_machine_uses_the_changed_template(aws_parts, cloud):
    failing(aws_parts)
    id = aws_parts.launch(template=structs.replace(TEMPLATE, post_install=("wrong",))).id
    aws_parts.after(70)
    assert aws_parts.after(5).observed is Observed.BROKEN
    aws_parts.aws.rules = build({"times": {"boot": 60}})
    order = aws_parts.spec(template=structs.replace(TEMPLATE, post_install=("right",)))
    aws_parts.compute.change_template(id, order)
    aws_parts.compute.change_template(id, order)  # any call may be repeated
    aws_parts.compute.start(id)
    aws_parts.after(5)
    assert aws_parts.after(70).observed is Observed.ON
    output = cloud.call("ec2", "GetConsoleOutput", InstanceId=id)["Output"]
    last = output.rpartition("prism-boot: begin")[2]
    assert "post-install right" in last
    assert "post-install wrong" not in last


def test_template_of_a_running_machine_cannot_be_changed(aws_parts):
    id = aws_parts.on()
    with pytest.raises(Unavailable):
        aws_parts.compute.change_template(id, aws_parts.spec())


def test_failed_machine_that_still_runs_is_stopped_by_the_next_survey(aws_parts, cloud, tmp_path):
    failing(aws_parts)
    aws_parts.launch()
    aws_parts.aws.fault(action="StopInstances", do="drop")
    aws_parts.after(70)
    assert aws_parts.aws.machines()[0]["state"] == "running"
    another = AwsParts(aws_parts.aws, cloud, tmp_path)
    assert another.look().observed is Observed.STOPPING
    assert another.after(5).observed is Observed.BROKEN


def test_machine_is_ready_by_ssh_if_its_console_is_silent(stopped_aws, cloud, tmp_path):
    stopped_aws.rules = build({"boot": {"silent": True}})
    questions = []

    def probe(machine):
        questions.append(machine.public_ip)
        return boot_markers("begin", "ready")

    place = AwsParts(stopped_aws, cloud, tmp_path, probe=probe)
    place.launch()
    assert place.after(5).observed is Observed.ON
    assert questions == [place.look().public_ip]


def test_machine_is_ready_by_ssh_if_reading_the_console_is_denied(stopped_aws, cloud, tmp_path):
    stopped_aws.rules = build({"denied": ["ec2:GetConsoleOutput"]})
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: boot_markers("begin", "ready"))
    place.launch()
    assert place.after(5).observed is Observed.ON


def test_failed_ssh_probe_is_repeated_less_often_than_the_console_is_read(
    stopped_aws, cloud, tmp_path
):
    stopped_aws.rules = build({"boot": {"silent": True}})
    probes = []
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: probes.append(it.id))
    place.launch()
    for _ in range(60):
        place.after(1)
    assert 2 <= len(probes) <= 3
    assert len(place.calls("GetConsoleOutput")) > 5


def test_ssh_is_not_probed_if_the_console_shows_ready(stopped_aws, cloud, tmp_path):
    probes = []
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: probes.append(it.id))
    place.launch()
    assert place.after(5).observed is Observed.ON
    assert probes == []


def test_console_is_read_if_the_ssh_probe_returns_none(stopped_aws, cloud, tmp_path):
    place = AwsParts(stopped_aws, cloud, tmp_path, probe=lambda it: None)
    place.launch()
    assert place.after(5).observed is Observed.ON


def test_listeners_receive_console_output(stopped_aws, cloud, tmp_path):
    heard = []
    place = AwsParts(
        stopped_aws, cloud, tmp_path, listeners=[lambda id, text: heard.append((id, text))]
    )
    id = place.launch().id
    place.after(5)
    assert heard[-1][0] == id
    assert "prism-boot: ready" in heard[-1][1]


def test_slow_console_does_not_delay_a_survey(stopped_aws, cloud, tmp_path):
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
        place.after(5)
    assert len(later.tasks) == 1  # one check, although there were five surveys
    for task, args in later.tasks:
        task(*args)
    assert place.look().observed is Observed.ON


def test_console_that_could_not_be_read_is_read_again(aws_parts):
    aws_parts.launch()
    aws_parts.aws.fault(action="GetConsoleOutput", do="error", times=None)
    assert aws_parts.after(70).observed is Observed.STARTING
    aws_parts.aws.rules = build({"times": {"boot": 60}})
    assert aws_parts.after(15).observed is Observed.ON


def test_terminated_machine_is_removed_from_readiness(aws_parts):
    id = aws_parts.launch().id
    aws_parts.after(20)
    assert aws_parts.readiness._boots
    aws_parts.compute.terminate(id)
    aws_parts.after(5)
    assert not aws_parts.readiness._boots
    assert not aws_parts.readiness._due


def test_survey_works_after_close(stopped_aws, cloud, tmp_path):
    place = AwsParts(stopped_aws, cloud, tmp_path, executor=ThreadPoolExecutor(1))
    id = place.launch(spot=True).id
    place.aws.clock.advance(5)
    place.compute.close()
    assert place.look().observed is Observed.STARTING
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    assert place.after(5).observed is Observed.GONE
