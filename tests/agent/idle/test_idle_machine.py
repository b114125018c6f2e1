"""Real local machines that hibernate or stop when they are idle, without a daemon.

A minute is shortened to a few seconds: `minute` of `LocalCompute`, which is there for this.
"""

import os
import time
import urllib.request
from datetime import UTC, datetime
from shutil import which

import pytest
from msgspec.structs import replace

from prism.providers.local.compute import LocalCompute
from prism.providers.local.exec_client import enter
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Observed
from tests.jupyter import Kernel
from tests.providers.local.world import LAB, World, page
from tests.waiting import eventually

MINUTE = 4.0
LIMITS = {"cpu": 20.0, "network": 512.0, "disk": 4096.0, "gpu": 5.0}


@pytest.fixture(scope="module")
def package_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def world(tmp_path, package_cache):
    world = World(tmp_path, package_cache)
    world.compute = LocalCompute(world.root, world.cache, grace=1, minute=MINUTE)
    yield world
    for machine in world.compute.survey():
        world.compute.terminate(machine.id)
    # On a busy computer it takes long to remove the twenty thousand files of JupyterLab.
    eventually(lambda: all(m.observed is Observed.GONE for m in world.compute.survey()), 150)
    world.close()


def watch(world, id, **more):
    """Set an idle profile of one minute."""
    rule = IdleRule(profile="t", minutes=1, action="hibernate", limits=LIMITS)
    world.compute.watch(id, replace(rule, **more))


def idle(world, id):
    return world.machine(id).idle


def verdict_after_staying_up(world, id, minutes=2):
    """The last verdict of a machine that stays on for longer than its idle period."""
    until = time.monotonic() + minutes * MINUTE

    def over():
        assert world.report(id)["phase"] == "on", world.report(id)["idle"]
        return time.monotonic() > until

    eventually(over, minutes * MINUTE + 5)
    return idle(world, id)


def test_idle_machine_hibernates_and_counts_from_zero_when_started_again(world):
    id = world.launched(page())
    assert idle(world, id) is None, "there is no verdict without an idle profile"
    watch(world, id)
    world.becomes(id, Observed.ASLEEP)
    acted = idle(world, id).acted
    assert (acted.action, acted.profile, acted.note) == ("hibernate", "t", None)
    assert acted.seconds >= MINUTE
    assert "put to sleep" in world.log(id, "console")
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    assert idle(world, id).acted == acted
    woken = time.time()
    world.becomes(id, Observed.ASLEEP)
    assert time.time() - woken > MINUTE * 0.8, "the idle period did not begin again"
    assert idle(world, id).acted != acted


@pytest.mark.slow
def test_idle_machine_ignores_a_disabled_profile_and_stops_after_keep_awake(world):
    id = world.launched(page())
    watch(world, id, enabled=False)
    assert verdict_after_staying_up(world, id, 1.5).state == "idle"
    later = time.time() + MINUTE
    watch(world, id, action="stop", awake_until=datetime.fromtimestamp(later, UTC))
    world.becomes(id, Observed.OFF)
    assert time.time() >= later
    assert idle(world, id).acted.action == "stop"


@pytest.mark.slow
def test_running_notebook_cell_keeps_the_machine_awake_until_interrupted(world):
    """In `make test`, the life of a JupyterLab in `tests/providers/local/life.py` does so."""
    id = world.launched(LAB)
    door = world.compute.access(id).endpoints["jupyter"]
    kernel = Kernel(door.url, door.token)
    assert kernel.run("x = 41; print(x)").strip() == "41"
    watch(world, id)
    kernel.send("import time; time.sleep(600)")
    verdict = verdict_after_staying_up(world, id)
    assert verdict.state == "active"
    assert "the kernel of python3 is busy" in verdict.because
    interrupt(door, kernel)
    kernel.close()
    secret = world.root / id / "token"
    secret.write_text("another")  # from now on Jupyter refuses the agent's requests
    unknown = ("Jupyter does not say what its kernels do",)
    eventually(lambda: (idle(world, id).state, idle(world, id).because) == ("unknown", unknown))
    assert verdict_after_staying_up(world, id, 1.5).state != "idle", (
        "what is not known is not idle"
    )
    secret.write_text(door.token)
    world.becomes(id, Observed.ASLEEP)


def interrupt(door, kernel):
    head = {"Authorization": f"token {door.token}"}
    path = f"{door.url}/api/kernels/{kernel.id}/interrupt"
    with urllib.request.urlopen(urllib.request.Request(path, b"{}", head, method="POST")):
        return


@pytest.fixture
def log_in(world):
    """Starts programs through the exec socket, as every login does; ends them all."""
    logins = []

    def enter_machine(id, *argv):
        how = {"streams": (0, 1, 2)} if argv else {"tty": (80, 25)}
        logins.append(enter(world.root / id, argv or None, **how))
        return logins[-1]

    yield enter_machine
    for login in logins:
        login.close()


@pytest.mark.slow
def test_detached_job_keeps_the_machine_awake(world, log_in):
    id = world.launched(page())
    login = log_in(id)
    spin = "while True: pass"
    os.write(
        login.terminal,
        f"nohup setsid $VIRTUAL_ENV/bin/python -c '{spin}' >/dev/null 2>&1 &\r".encode(),
    )
    eventually(lambda: world.worded(id, spin))
    os.write(login.terminal, b"exit\r")
    login.wait(120)
    watch(world, id)
    verdict = verdict_after_staying_up(world, id)
    assert verdict.state == "active"
    assert {"the processor was busy", "`python` waits for a processor or a disk"} & {
        text.partition(":")[0] for text in verdict.because
    }


@pytest.mark.skipif(which("tmux") is None, reason="needs tmux")
def test_job_in_tmux_keeps_the_machine_awake_and_an_idle_login_does_not(world, log_in):
    """The idle logins show a prompt, an editor and `tail -f`."""
    id = world.launched(page())
    for typed in (b"", b"stty -icanon -echo; sleep 600\r", b"tail -f /dev/null\r"):
        os.write(log_in(id).terminal, typed)
    assert log_in(id, "tmux", "new", "-d", "sleep 600").wait(120) == 0
    watch(world, id)
    verdict = verdict_after_staying_up(world, id)
    assert verdict.state == "active"
    assert "`sleep` runs in the foreground of a terminal" in verdict.because
    log_in(id, "tmux", "kill-server").wait(120)
    world.becomes(id, Observed.ASLEEP)
