"""A machine that ends, in whatever way, leaves no process behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import Any

import psutil
import pytest

from prism.agent.protocol import supervisor_pid
from prism.providers.local.compute import LocalCompute
from prism.providers.local.storage.mounted_folders import DISK_MARKER
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.local.world import PAGE, page, script
from tests.waiting import eventually

# A page, and a process with another session and another parent.
RUNAWAY = Service(
    command='sh -c \'setsid sh -c "trap : TERM; while :; do sleep 600; done" & '
    "exec python -m http.server {port} --bind 127.0.0.1'",
    port=80,
    health="/",
)
DEAF = script(
    'import http.server, signal, sys; signal.signal(15, 1); print("I hear nothing", flush=True);'
    "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"
)


def template(**services):
    return Template(name="t", services=services)


def kill_supervisor(world, id):
    """Kill its supervisor; return the processes that it had."""
    tree = world.tree(id)
    assert tree
    world.supervisor(id).kill()
    return tree


def wait_until_ended(processes):
    return eventually(lambda: not any(process.is_running() for process in processes))


@pytest.mark.parametrize("asleep", [False, True])
def test_killed_supervisor_leaves_no_process_and_a_failure_with_last_output(world, asleep):
    id = world.launched(template(deaf=DEAF, runaway=RUNAWAY))
    eventually(lambda: "I hear nothing" in world.log(id, "deaf"))
    if asleep:
        world.compute.hibernate(id)
        world.becomes(id, Observed.ASLEEP)
    tree = kill_supervisor(world, id)
    off = world.becomes(id, Observed.OFF)
    wait_until_ended(tree)
    assert off.failure.code == "MACHINE_DIED"
    assert "I hear nothing" in off.failure.message
    assert ("memory is lost" in off.failure.message) is asleep
    assert off.interrupted is not asleep, "only a machine that was on is started again by itself"
    world.compute.start(id)
    assert not world.becomes(id, Observed.ON).interrupted
    known = world.becomes(id, Observed.ON).failure
    assert (known.code if known else None) == ("MEMORY_LOST" if asleep else None)


def test_memory_loss_is_reported_after_resume_until_the_next_start(world):
    id = world.launched(page())
    world.compute.hibernate(id)
    world.becomes(id, Observed.ASLEEP)
    wait_until_ended(kill_supervisor(world, id))
    world.compute.start(id)  # before a survey notices
    known = world.becomes(id, Observed.ON).failure
    assert known.code == "MEMORY_LOST"
    assert "its memory is lost, its disk is kept" in known.message
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    world.compute.start(id)
    assert world.becomes(id, Observed.ON).failure is None


def test_supervisor_killed_during_start_leaves_the_machine_off_and_startable(world):
    id = world.launch(page(post_install=("sleep 600",)))
    tree = eventually(lambda: world.machine(id).stage == "post_install" and world.tree(id))
    world.supervisor(id).kill()
    assert world.becomes(id, Observed.OFF).failure.code == "MACHINE_DIED"
    wait_until_ended(tree)
    world.change_spec(id, post_install=[])
    world.compute.start(id)
    world.becomes(id, Observed.ON)


def test_failure_names_a_restart_of_the_computer(world):
    id = world.launched(page())
    world.compute.hibernate(id)
    world.becomes(id, Observed.ASLEEP)
    report = world.root / id / "seen.json"
    wait_until_ended(kill_supervisor(world, id))
    report.write_text(json.dumps(json.loads(report.read_bytes()) | {"boot": "another"}))
    message = world.becomes(id, Observed.OFF).failure.message
    assert "the computer was restarted; what was in its memory is lost" in message


@pytest.mark.parametrize("asleep", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_terminated_supervisor_ends_all_processes_of_its_machine(world, asleep):
    id = world.launched(template(runaway=RUNAWAY))
    if asleep:
        world.compute.hibernate(id)
        world.becomes(id, Observed.ASLEEP)
    tree, supervisor = world.tree(id), world.supervisor(id)
    supervisor.terminate()
    off = world.becomes(id, Observed.OFF)
    wait_until_ended([*tree, supervisor])
    assert off.failure.code == "MACHINE_DIED"
    assert ("memory is lost" in off.failure.message) is asleep
    assert off.interrupted is not asleep


def test_stop_ends_processes_that_ignore_sigterm_or_left_the_session(world):
    id = world.launched(template(deaf=DEAF, runaway=RUNAWAY))
    tree = world.tree(id)
    assert len(tree) >= 4
    world.compute.stop(id)
    off = world.becomes(id, Observed.OFF)
    assert (off.failure, off.interrupted) == (None, False)
    wait_until_ended(tree)


@pytest.mark.parametrize("verb", [pytest.param("stop", marks=pytest.mark.slow), "terminate"])
def test_hibernated_machine_can_be_stopped_or_terminated(world, verb):
    id = world.launched(template(page=PAGE, runaway=RUNAWAY))
    world.compute.hibernate(id)
    world.becomes(id, Observed.ASLEEP)
    tree = world.tree(id)
    getattr(world.compute, verb)(id)
    world.becomes(id, Observed.OFF if verb == "stop" else Observed.GONE)
    wait_until_ended(tree)


def test_terminated_machine_leaves_a_record_that_is_removed_after_an_hour(world):
    id = world.launched(page(post_install=("mkdir -p a/b; echo x > a/b/c; chmod -R a-w a",)))
    supervisor = world.supervisor(id)
    world.compute.terminate(id)
    world.becomes(id, Observed.GONE)
    wait_until_ended([supervisor])
    left = {path.name for path in (world.root / id).iterdir()}
    assert left == {"lock", "seen.json", "wanted.json"}
    aged(world.root / id, minutes=59)
    assert world.machine(id).observed is Observed.GONE
    aged(world.root / id, minutes=61)
    assert world.machine(id).observed is Observed.GONE, "the last survey that lists it"
    assert list(world.compute.survey()) == []
    assert [path.name for path in world.root.iterdir()] == [DISK_MARKER]


def test_record_of_terminated_machine_is_kept_for_the_set_time_or_while_locked(world):
    world.compute = LocalCompute(world.root, world.cache, grace=1, remembered=timedelta(minutes=5))
    id = world.launched(page())
    supervisor = world.supervisor(id)
    world.compute.terminate(id)
    world.becomes(id, Observed.GONE)
    wait_until_ended([supervisor])
    aged(world.root / id, minutes=4)
    world.compute.survey()
    assert world.machine(id).observed is Observed.GONE
    aged(world.root / id, minutes=6)
    with held(world.root / id / "lock"):
        world.compute.survey()
        assert world.machine(id).observed is Observed.GONE
    world.compute.survey()
    assert [path.name for path in world.root.iterdir()] == [DISK_MARKER]


def test_hidden_folder_that_prism_did_not_make_stays(world):
    world.compute.survey()
    draft = ".local-" + "0" * 17 + "-0123abcd"
    for name in (".git", draft):
        (world.root / name).mkdir(parents=True)
        aged(world.root / name, minutes=100_000)
    world.compute.survey()
    assert (world.root / ".git").exists()
    assert not (world.root / draft).exists()


def aged(folder, minutes):
    """Set the times of the folder that far back."""
    then = time.time() - 60 * minutes
    os.utime(folder, (then, then))


@contextlib.contextmanager
def held(lock):
    """Let another process hold the lock."""
    code = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, 2); print(); input()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, lock], **pipes) as holding:
        not_none(holding.stdout).readline()
        yield
        holding.kill()


def test_processes_end_when_their_home_is_moved_away(world):
    id = world.launched(page())
    tree = [world.supervisor(id), *world.tree(id)]
    world.root.rename(removed := world.root.with_name("removed"))
    wait_until_ended(tree)
    assert not world.left()
    removed.rename(world.root)
    assert world.machine(id).observed in {Observed.ON, Observed.OFF}


def test_crashed_service_is_restarted_and_the_machine_stays_on(world):
    id = world.launched(page())
    [server] = world.programs(id)
    server.kill()
    eventually(lambda: [program for program in world.programs(id) if program != server])
    eventually(lambda: world.report(id)["services"]["page"]["answered"])
    service = world.report(id)["services"]["page"]
    assert (service["exit"], service["crashes"], world.machine(id).observed) == (
        -9,
        1,
        Observed.ON,
    )


def test_machine_turns_off_when_its_service_exits_without_error(world):
    code = (
        "import http.server, sys, signal; signal.signal(15, lambda *_: sys.exit(0));"
        "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"
    )
    id = world.launched(template(polite=script(code)))
    world.programs(id)[0].terminate()
    assert world.becomes(id, Observed.OFF).failure is None


def test_service_port_is_kept_after_a_stop_unless_it_is_taken(world):
    id = world.launched(page())
    first = world.compute.access(id).endpoints["page"].url
    for taken in (False, True):
        world.compute.stop(id)
        world.becomes(id, Observed.OFF)
        with socket.socket() as other:
            if taken:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", int(first.rpartition(":")[2])))
                other.listen()
            world.compute.start(id)
            world.becomes(id, Observed.ON)
            assert (world.compute.access(id).endpoints["page"].url != first) is taken


@pytest.mark.parametrize("times", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_start_succeeds_while_the_previous_supervisor_is_ending(world, times):
    id = world.launched(page())
    for _ in range(times):
        world.compute.stop(id)
        eventually(lambda: world.report(id)["phase"] == "off")
        world.compute.start(id)  # it may still hold the lock
        world.becomes(id, Observed.ON)


@pytest.mark.parametrize("count", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_concurrent_launches_create_exactly_one_machine_per_key(world, count):
    keys = [f"ws_{n % count}" for n in range(2 * count)]
    threads = [threading.Thread(target=world.launch, args=(page(), key)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: {m.observed for m in world.compute.survey()} == {Observed.ON}, 120)
    machines = world.compute.survey()
    assert sorted(m.key for m in machines) == sorted(set(keys))
    holders = {supervisor_pid(str(world.root / m.id)) for m in machines}
    assert len(holders) == count
    assert len([p for p in psutil.process_iter(["cmdline"]) if _supervises(p, world)]) == count
    ports = {world.report(m.id)["services"]["page"]["port"] for m in machines}
    assert len(ports) == count


def test_job_stopped_by_its_user_stays_stopped_after_hibernation(world):
    stops = script(
        "import http.server, os, subprocess, sys;"
        'subprocess.Popen(["sleep", "600"]);'
        "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"
    )
    id = world.launched(template(x=stops))
    [job] = eventually(lambda: world.named(id, "sleep"))
    os.kill(job.pid, signal.SIGSTOP)
    eventually(lambda: job.status() == psutil.STATUS_STOPPED)
    world.compute.hibernate(id)
    world.becomes(id, Observed.ASLEEP)
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    assert job.status() == psutil.STATUS_STOPPED


def _supervises(process, world):
    words = process.info["cmdline"] or []
    return len(words) > 3 and words[3].endswith("supervisor.py") and str(world.root) in words[-1]
