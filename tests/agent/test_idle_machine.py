"""Real machines that find out by themselves that nobody uses them; no daemon lives here.

A minute is shortened to a few seconds: `minute` of `LocalCompute`, which is there for this.
"""

import os
import time
import urllib.request
from datetime import UTC, datetime

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
    # Twenty thousand files of JupyterLab are long removed on a crowded computer.
    eventually(lambda: all(m.seen is Observed.GONE for m in world.compute.survey()), 150)
    world.close()


def watch(world, id, **more):
    """By a profile of one minute."""
    rule = IdleRule(profile="t", minutes=1, action="hibernate", limits=LIMITS)
    world.compute.watch(id, replace(rule, **more))


def idle(world, id):
    return world.machine(id).idle


def stays_up(world, id, minutes=2):
    """It does so for longer than it would take to go down; the last verdict."""
    until = time.monotonic() + minutes * MINUTE

    def over():
        assert world.said(id)["phase"] == "on", world.said(id)["idle"]
        return time.monotonic() > until

    eventually(over, minutes * MINUTE + 5)
    return idle(world, id)


def test_nobody_uses_it_so_it_goes_to_sleep_and_whoever_wakes_it_finds_it_awake(world):
    id = world.launched(page())
    assert idle(world, id) is None, "without a rule nobody looks"
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
    assert time.time() - woken > MINUTE * 0.8, "with a new time to be idle"
    assert idle(world, id).acted != acted


@pytest.mark.slow
def test_it_may_be_stopped_or_only_looked_at_or_kept_awake(world):
    id = world.launched(page())
    watch(world, id, enabled=False)
    assert stays_up(world, id, 1.5).state == "idle"
    later = time.time() + MINUTE
    watch(world, id, action="stop", awake_until=datetime.fromtimestamp(later, UTC))
    world.becomes(id, Observed.OFF)
    assert time.time() >= later
    assert idle(world, id).acted.action == "stop"


@pytest.mark.slow
def test_an_idle_jupyter_sleeps_and_a_silent_cell_keeps_it_awake(world):
    """In `make test`, the life of a JupyterLab in `tests/providers/local/life.py` does so."""
    id = world.launched(LAB)
    door = world.compute.access(id).endpoints["jupyter"]
    kernel = Kernel(door.url, door.token)
    assert kernel.run("x = 41; print(x)").strip() == "41"
    watch(world, id)
    kernel.send("import time; time.sleep(600)")
    verdict = stays_up(world, id)
    assert verdict.state == "active"
    assert "the kernel of python3 is busy" in verdict.because
    interrupt(door, kernel)
    kernel.close()
    secret = world.root / id / "token"
    secret.write_text("another")  # from now on Jupyter refuses to tell
    unknown = ("Jupyter does not say what its kernels do",)
    eventually(lambda: (idle(world, id).state, idle(world, id).because) == ("unknown", unknown))
    assert stays_up(world, id, 1.5).state != "idle", "what is not known is not idle"
    secret.write_text(door.token)
    world.becomes(id, Observed.ASLEEP)


def interrupt(door, kernel):
    head = {"Authorization": f"token {door.token}"}
    path = f"{door.url}/api/kernels/{kernel.id}/interrupt"
    with urllib.request.urlopen(urllib.request.Request(path, b"{}", head, method="POST")):
        return


@pytest.fixture
def log_in(world):
    """Programs that came through the door, as every login does; all leave in the end."""
    visits = []

    def comes(id, *argv):
        how = {"streams": (0, 1, 2)} if argv else {"tty": (80, 25)}
        visits.append(enter(world.root / id, argv or None, **how))
        return visits[-1]

    yield comes
    for visit in visits:
        visit.close()


@pytest.mark.slow
def test_a_job_that_left_its_terminal_keeps_it_awake(world, log_in):
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
    verdict = stays_up(world, id)
    assert verdict.state == "active"
    assert {"the processor was busy", "`python` waits for a processor or a disk"} & {
        text.partition(":")[0] for text in verdict.because
    }


def test_a_forgotten_login_does_not_keep_it_awake_and_a_job_in_tmux_does(world, log_in):
    """However it was left: at the prompt, in an editor, looking on."""
    id = world.launched(page())
    for typed in (b"", b"stty -icanon -echo; sleep 600\r", b"tail -f /dev/null\r"):
        os.write(log_in(id).terminal, typed)
    assert log_in(id, "tmux", "new", "-d", "sleep 600").wait(120) == 0
    watch(world, id)
    verdict = stays_up(world, id)
    assert verdict.state == "active"
    assert "`sleep` runs in the foreground of a terminal" in verdict.because
    log_in(id, "tmux", "kill-server").wait(120)
    world.becomes(id, Observed.ASLEEP)
