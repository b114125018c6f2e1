"""A hostile program in a sandbox, of the user who runs these tests and of an ordinary user."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest

from prism.agent.init import LANDLOCK_LEAST, landlock_version
from prism.agent.sandbox.sandbox_process import INIT_PROGRAM
from prism.providers.local.exec_client import enter
from prism.templates.model import Template
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.local.test_life import LENT, NOBODY, python_for_all, surroundings
from tests.providers.local.world import World, page
from tests.signals import ignored_signals
from tests.waiting import eventually

ATTACK = Path(__file__).with_name("attack.py")
pytestmark = pytest.mark.needs("bwrap")


def run(world, id, *argv, environment=None):
    """Run a program in the sandbox; return its exit code and its output."""
    read, write = os.pipe()
    with open(os.devnull) as nothing:
        streams = [nothing.fileno(), write, write]
        visit = enter(world.root / id, argv, environment=environment, streams=streams)
    os.close(write)
    with os.fdopen(read) as words:
        output = words.read()
    code = visit.wait(120)
    visit.close()
    return code, output


@contextlib.contextmanager
def secrets(state):
    """A home of Prism with secrets: a key, and the socket of a daemon."""
    state.mkdir(parents=True, exist_ok=True)
    (state / "ssh").mkdir()
    (state / "ssh" / "id_ed25519").write_text("secret")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(state / "prism.sock"))
        daemon.listen()
        yield


def attacked(world, *how):
    """Run the attack in a machine beside another; return what the attacker read."""
    with secrets(world.root.parent):
        return attempted(world, *how)


def attempted(world, *how):
    """The attack itself."""
    victim = world.launched(page(), key="ws_2")
    id = world.launched(Template(name="t"))
    (world.root / victim / "home" / "diary").write_text("secret")
    shutil.copy(ATTACK, world.root / id / "home" / "attack.py")
    targets = {
        "STATE": world.root.parent,
        "VICTIM": world.root / victim,
        "DIARY": world.root / victim / "home" / "diary",
        "SUPERVISOR": world.supervisor(victim).pid,
        "OWN": world.root / id,
        "USER_HOME": Path.home(),
        "CACHE": world.cache,
        "REACHABLE": ":".join(
            [
                *json.loads((world.root / id / "order.json").read_bytes())["reachable"],
                str(INIT_PROGRAM),  # in a home, if Prism is installed there
            ]
        ),
    }
    environment = {name: str(value) for name, value in targets.items()}
    code, output = run(world, id, "python", "attack.py", *how, environment=environment)
    own = str(world.root / id / "tmp")
    arrived = [
        path for path in world.root.parent.rglob("attacked") if not str(path).startswith(own)
    ]
    assert not arrived
    return code, output, world.report(id)["sandbox"]


def test_sandbox_defeats_the_attack(world):
    assert attacked(world) == (0, "beaten", "bubblewrap")


def test_machine_starts_after_its_installation_moved(world):
    id = world.launched(Template(name="t"))
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    world.change_spec(id, reachable=["/gone"], uv="/gone/uv", python="/gone/python")
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    assert run(world, id, "python", "-c", "print(1)") == (0, "1\n")


@pytest.fixture
def visible_folder():
    """A folder that every sandbox shows, since it belongs to the system."""
    if not os.access("/opt", os.W_OK):
        pytest.skip("there is no right to write to /opt")
    with tempfile.TemporaryDirectory(prefix="prism-", dir="/opt") as name:
        yield Path(name)


@pytest.mark.parametrize("below", [pytest.param("", marks=pytest.mark.slow), "ada"])
def test_sandbox_defeats_the_attack_if_homes_are_in_a_system_folder(
    visible_folder, monkeypatch, below
):
    """Prism's home alone, or the user's whole home with its credentials."""
    if below:
        monkeypatch.setenv("HOME", str(visible_folder / below))
        (visible_folder / below / ".aws").mkdir(parents=True)
        (visible_folder / below / ".aws" / "credentials").write_text("secret")
    state = visible_folder / below / "prism"
    world = World(state, state / "cache")
    try:
        assert attacked(world) == (0, "beaten", "bubblewrap")
    finally:
        world.close()


def test_missing_sandbox_is_reported_and_lets_the_attack_read_other_homes(world):
    world.compute = World(world.root.parent, world.cache, sandbox=False).compute
    _, output, sandbox = attacked(world, "look")
    assert sandbox == "none: switched off"
    assert "/diary: b'secret'" in output
    assert "processes: " in output


@pytest.mark.skipif(os.getuid() != 0, reason="the test above ran as an ordinary user")
def test_sandbox_of_an_ordinary_user_defeats_the_attack():
    assert attack_as_another_user(*LENT) == ["bubblewrap", "beaten"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: only root can become an ordinary user")
def test_sandbox_of_an_ordinary_user_defeats_the_attack_in_a_system_folder(visible_folder):
    visible_folder.chmod(0o755)
    assert attack_as_another_user(*LENT, place=visible_folder) == ["bubblewrap", "beaten"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: only root can mount another bubblewrap")
def test_machine_of_an_ordinary_user_runs_without_a_sandbox_and_reports_why_if_it_is_forbidden():
    with tempfile.TemporaryDirectory(prefix="prism-") as name:
        refusing = Path(name, "bwrap")
        refusing.write_text("#!/bin/sh\necho 'bwrap: operation not permitted' >&2\nexit 1\n")
        refusing.chmod(0o755)
        mount = f'mount --bind {refusing} {shutil.which("bwrap")} && exec "$@"'
        lent = ("unshare", "-m", "sh", "-c", mount, "sh", *LENT)
        sandbox, *got = attack_as_another_user(*lent, how="look")
    assert sandbox.startswith("none: bwrap: ")
    assert "not permitted" in sandbox
    is_walled = landlock_version() >= LANDLOCK_LEAST
    assert ("/diary: b'secret'" in " ".join(got)) is not is_walled


def attack_as_another_user(*lent, python=None, user=NOBODY, how="", place=None):
    """The output of the attack when another user runs all of it."""
    with surroundings(user, place) as (home, environ):
        program = ["env", python or python_for_all(), "-m", "tests.providers.local.attacked"]
        line = [*lent, *program, home / "prism", home / "cache", how]
        done = subprocess.run(line, env=environ, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_changed_package_reaches_neither_the_cache_nor_other_machines(world):
    template = Template(name="t", packages={"pip": ("six",)})
    id, other = (world.launched(template, key=f"ws_{n}") for n in (1, 2))
    before = {file: file.read_bytes() for file in world.cache.rglob("six.py")}
    assert len(before) >= 2, "one file in the cache and one in the tree"
    append = "import six; open(six.__file__, 'a').write('owned = 1\\n')"
    assert run(world, id, "python", "-c", append) == (0, "")
    look = "import six; print(hasattr(six, 'owned'))"
    assert run(world, id, "python", "-c", look) == (0, "True\n")
    assert run(world, other, "python", "-c", look) == (0, "False\n")
    assert {file: file.read_bytes() for file in world.cache.rglob("six.py")} == before


def test_exec_session_hibernates_and_ends_with_its_machine(world):
    id = world.launched(page())
    visit = enter(world.root / id, tty=(100, 30))
    terminal = not_none(visit.terminal)
    os.write(terminal, b"echo $((40+2)); stty size; echo $$ > pid; exec sleep 600\r")
    screen = b""
    while b"30 100" not in screen:
        screen += os.read(terminal, 4096)
    assert b"42" in screen
    [sleeper] = eventually(lambda: world.named(id, "sleep"))
    world.compute.hibernate(id)
    world.becomes(id, Observed.ASLEEP)
    stopped = sleeper.cpu_times()
    with pytest.raises(Exception, match="not on"):
        enter(world.root / id, ["true"])
    assert sleeper.cpu_times() == stopped
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    visit.signal(15)
    assert visit.wait(120) == -15
    visit.close()
    again = enter(world.root / id, ["sleep", "600"], tty=(80, 24))
    world.compute.stop(id)
    assert again.wait(120) < 0
    again.close()


def test_programs_ignore_no_signal_even_if_the_daemon_does(world):
    """A script that starts the daemon in the background ignores Ctrl-C, `nohup` ignores SIGHUP."""
    with ignored_signals():
        id = world.launched(page())
    assert run(world, id, "grep", "SigIgn", "/proc/self/status") == (0, f"SigIgn:\t{0:016x}\n")


def test_closed_exec_session_ends_its_program(world):
    id = world.launched(page())
    visit = enter(world.root / id, ["sleep", "600"], tty=(80, 24))
    eventually(lambda: world.named(id, "sleep"))
    visit.close()
    eventually(lambda: not world.named(id, "sleep"))


def test_exec_returns_exit_code_and_names_a_missing_program(world):
    id = world.launched(page())
    assert run(world, id, "sh", "-c", "echo hello; pwd; exit 7") == (
        7,
        f"hello\n{world.root / id / 'home'}\n",
    )
    with pytest.raises(Exception, match="no-such-program"):
        run(world, id, "no-such-program")


def test_services_restart_after_the_sandbox_process_is_killed(world):
    id = world.launched(page())
    before = world.programs(id)
    around = world.named(id, "bwrap")
    [place] = [process for process in world.worded(id, "init.py") if process not in around]
    place.kill()
    eventually(
        lambda: world.programs(id) and not {*world.programs(id)} & {*before}, 15, (psutil.Error,)
    )
    eventually(lambda: world.report(id)["services"]["page"]["answered"])
    assert world.machine(id).observed is Observed.ON
