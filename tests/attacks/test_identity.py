"""Workspaces of a daemon that runs as root: each has its own unprivileged user id."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from prism.agent.sandbox import isolation
from prism.agent.sandbox.identity import UidRange, is_privileged
from prism.providers.local.sandbox_paths import reachable
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import VolumeSpec
from prism.workspaces.model import Observed
from tests.attacks.bombed import MOST, bombed
from tests.attacks.ordinary import can_be_ordinary
from tests.disks import unmount
from tests.providers.local.test_life import LENT, NOBODY, python_for_all, surroundings
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World, page
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("bwrap") or not is_privileged(),
    reason="needs root: only root can run workspaces as somebody else",
)
PYTHON = """
import ctypes, json, os, pwd, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def refused(act):
    try:
        return act() in (None, -1)
    except (OSError, ValueError):
        return True
"""


def evaluate(world, id, code):
    """The value of a Python expression in the workspace."""
    status, output = run(world, id, "python", "-c", f"{PYTHON}\nprint(json.dumps({code}))")
    assert status == 0, output
    return json.loads(output)


def test_workspace_user_is_in_the_uid_range_and_has_no_capabilities(world):
    machine, other = world.launched(page()), world.launched(page(), key="ws_2")
    identity = (
        "[os.getresuid(), os.getresgid(), pwd.getpwuid(os.getuid()).pw_name, os.getgroups()]"
    )
    (uids, gids, name, groups), (other_uids, *_) = (
        evaluate(world, workspace, identity) for workspace in (machine, other)
    )
    among = UidRange.configured()
    assert among.first <= uids[0] <= among.last
    assert (len({*uids, *gids}), name, 0 in groups) == (1, "researcher", False)
    assert other_uids != uids
    status = evaluate(world, machine, "open('/proc/self/status').read()")
    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert {facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {
        "0" * 16
    }
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert evaluate(world, machine, "open('/proc/self/uid_map').read().split()") == [
        str(uids[0]),
        str(uids[0]),
        "1",
    ]
    seen = {process.uids().real for process in world.programs(machine)}
    assert seen == {uids[0]}


def test_workspace_cannot_read_files_of_root(world):
    machine = world.launched(page())
    with tempfile.TemporaryDirectory(prefix="prism-", dir="/opt") as name:
        os.chmod(name, 0o755)
        secret, open_to_all = Path(name, "secret"), Path(name, "open")
        for path, mode in ((secret, 0o600), (open_to_all, 0o644)):
            path.write_text("words")
            path.chmod(mode)
        assert run(world, machine, "cat", str(open_to_all)) == (0, "words")
        code, output = run(world, machine, "cat", str(secret))
        assert (code, "Permission denied" in output) == (1, True)


def test_workspace_cannot_create_namespaces_mounts_or_set_uid_programs(world):
    machine = world.launched(page())
    acts = {
        "user namespace": "libc.unshare(0x10000000)",
        "by clone": "libc.syscall(56, 0x10000011, 0, 0, 0, 0)",
        "mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        "set-user-id": "os.chmod('own', 0o4755)",
        "set-group-id": "os.chmod('own', 0o2755)",
        "keyring": "libc.syscall(250, 0, -3, 0)",
        "trace the first program": "libc.ptrace(16, 1, 0, 0)",
        "take a descriptor of it": "libc.syscall(438, os.pidfd_open(1), 0, 0)",
        "limit": "__import__('resource').setrlimit(6, (10**6, 10**6))",
    }
    if os.uname().machine != "x86_64":  # by numbers of that processor
        acts = {name: act for name, act in acts.items() if "syscall" not in act}
    code = ", ".join(f"{name!r}: refused(lambda: {act})" for name, act in acts.items())
    (world.root / machine / "home" / "own").touch()
    held = evaluate(world, machine, f"{{{code}}}")
    # `setrlimit` returns None on success; all others return a number or raise.
    assert [name for name, was_refused in held.items() if not was_refused] == []
    assert evaluate(world, machine, "__import__('resource').getrlimit(6)") == [4096, 4096]
    # Of a shell: Python 3.14 keeps the library open that it loads for `ctypes`.
    numbers = "for n in $(seq 3 63); do test ! -e /proc/$$/fd/$n || echo $n; done"
    held_by = run(world, machine, "sh", "-c", numbers)
    assert held_by == (0, ""), "a descriptor of the supervisor is open"


def test_workspace_programs_have_semaphores_a_user_name_and_writable_folders(world):
    machine = world.launched(page())
    semaphore = "__import__('multiprocessing').Semaphore(1).acquire()"
    assert evaluate(world, machine, semaphore) is True
    assert run(world, machine, "id", "-un") == (0, "researcher\n")
    touched = "touch ~/a /tmp/b /dev/shm/c && stat -c %U ~/a /tmp/b /dev/shm/c"
    assert run(world, machine, "sh", "-c", touched) == (0, "researcher\n" * 3)


def test_shared_volume_is_written_by_two_workspaces_and_owned_by_the_daemon(world):
    volumes = LocalVolumes(world.root.parent / "storage", world.root, fresh=0)
    kind = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EFS)
    own = volumes.create(kind).id
    data = volumes._volumes / own / "data"
    (data / "old").write_text("of an older Prism")
    machine, other = world.launched(page()), world.launched(page(), key="ws_2")
    volumes.attach(own, machine, "data")
    eventually(lambda: run(world, machine, "sh", "-c", "echo one > ~/volumes/data/file")[0] == 0)
    volumes.attach(own, other, "data")
    more = "echo two >> ~/volumes/data/file && cat ~/volumes/data/old ~/volumes/data/file"
    eventually(lambda: run(world, other, "sh", "-c", more) == (0, "of an older Prismone\ntwo\n"))
    assert run(world, machine, "cat", "volumes/data/file") == (0, "one\ntwo\n")
    home = world.root / machine / "home"
    assert {path.stat().st_uid for path in (*data.iterdir(), *home.iterdir())} == {os.geteuid()}
    volumes.close()


def test_home_of_an_older_prism_is_usable_after_starts_were_killed(world):
    machine = world.launched(page())
    world.compute.stop(machine)
    world.becomes(machine, Observed.OFF)
    home = world.root / machine / "home"
    (home / "deep" / "deeper").mkdir(parents=True, mode=0o700)
    (home / "deep" / "deeper" / "old").write_text("of an older Prism, ")
    (home / "deep" / "deeper" / "old").chmod(0o600)
    known = {path: owner_and_mode(path) for path in home.rglob("*")}
    for _ in range(2):
        world.compute.start(machine)
        eventually(lambda: world.tree(machine), 30, (psutil.Error,))
        world.supervisor(machine).kill()
        eventually(lambda: world.machine(machine).observed is Observed.OFF, 30, (psutil.Error,))
    world.compute.start(machine)
    world.becomes(machine, Observed.ON)
    words = "echo and of this one >> deep/deeper/old && cat deep/deeper/old"
    assert run(world, machine, "sh", "-c", words) == (0, "of an older Prism, and of this one\n")
    assert {known_name: owner_and_mode(known_name) for known_name in known} == known


def owner_and_mode(path):
    about = path.lstat()
    return about.st_uid, about.st_gid, about.st_mode


def test_machine_fails_with_the_reason_when_no_uid_is_free(world, monkeypatch):
    world.compute = World(
        world.root.parent, world.cache, environ={"PRISM_UID_RANGE": "4294967000-4294967002"}
    ).compute
    first, second, third = (world.launch(page(), key=f"ws_{n}") for n in range(3))
    failed = eventually(
        lambda: [
            failure for id in (first, second, third) if (failure := world.machine(id).failure)
        ],
        60,
    )
    assert "all 2 ids of PRISM_UID_RANGE are in use" in failed[0].message
    assert "prism doctor" in failed[0].message


@pytest.fixture
def overlay_world(tmp_path, package_cache):
    """A world on a file system that cannot map ids."""
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, merged):
        path.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system mounts no overlay")
    world = World(merged, package_cache)
    yield world
    world.close()
    unmount(merged)


def test_workspaces_share_one_uid_on_a_file_system_that_cannot_map_ids(
    overlay_world,
):
    volumes = LocalVolumes(overlay_world.root.parent / "storage", overlay_world.root, fresh=0)
    own = volumes.create(VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EFS)).id
    (volumes._volumes / own / "data" / "old").write_text("words")
    machine = overlay_world.launched(page())
    volumes.attach(own, machine, "data")
    words = ("sh", "-c", "cat ~/volumes/data/old && touch ~/own ~/volumes/data/new && id -u")
    shared = UidRange.configured().first
    eventually(lambda: run(overlay_world, machine, *words) == (0, f"words{shared}\n"))
    assert any("shares a user id" in note for note in overlay_world.report(machine)["notes"])
    home = overlay_world.root / machine / "home"
    for n in range(2):  # files of the workspace, and files that the daemon adds
        (home / f"more{n}").write_text("more")
        overlay_world.compute.stop(machine)
        overlay_world.becomes(machine, Observed.OFF)
        overlay_world.compute.start(machine)
        overlay_world.becomes(machine, Observed.ON)
        assert run(overlay_world, machine, "sh", "-c", f"echo >> ~/own && cat ~/more{n}") == (
            0,
            "more",
        )
    volumes.close()


def test_fork_bomb_is_limited_to_its_workspace(world):
    environ = {"PRISM_PIDS_MAX": str(MOST)}
    world.compute = World(world.root.parent, world.cache, environ=environ).compute
    bombed(world)


def output_as_ordinary_user(*line):
    """The output of a program that an ordinary user runs in a home folder."""
    with surroundings() as (home, environ):
        done = subprocess.run(
            [*LENT, "env", python_for_all(), *(text.format(home=home) for text in line)],
            env=environ,
            cwd=home,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow  # the test above checks the same limit as root
def test_fork_bomb_is_limited_to_its_workspace_as_ordinary_user():
    output_as_ordinary_user("-m", "tests.attacks.bombed", "{home}/prism", "{home}/cache")


PROBE = "import json, sys; from prism.agent.sandbox.isolation import main"
PROBE += "; main(json.loads(sys.argv[1]))"


@pytest.mark.skipif(
    not can_be_ordinary(), reason="needs bubblewrap, and a Python that an ordinary user may run"
)
def test_workspace_of_an_ordinary_user_has_that_uid_and_the_other_protections():
    question = {"reachable": [*reachable(), str(Path(isolation.__file__).parents[2])]}
    answer = json.loads(output_as_ordinary_user("-c", PROBE, braces_escaped(question)))
    promises = dict.fromkeys(("capabilities", "filter", "namespaces"), True)
    assert (answer["user"], answer["kept"], answer["processes"]) == (NOBODY, promises, 4096)


def braces_escaped(question):
    """The question as JSON, with its braces escaped for `str.format`."""
    return json.dumps(question).replace("{", "{{").replace("}", "}}")
