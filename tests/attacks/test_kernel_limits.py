"""What the kernel counts for each user: one workspace takes nothing from others or the daemon."""

import ctypes
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest

from prism.agent.sandbox.identity import is_privileged
from prism.agent.system.kernel_limits import OPEN_FILES, QUEUES, SIGNALS, parts_of
from tests.attacks import hoarding
from tests.attacks.ordinary import can_be_ordinary, ordinary_home
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import page
from tests.waiting import eventually

KINDS = ("inotify", "signals", "queues")
# Takes one of what the first program hoards.
TAKE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.inotify_init1(0) >= 0, "inotify"
made = libc.mq_open(b"/mine", os.O_RDWR | os.O_CREAT, 0o600, None)
assert made >= 0 or ctypes.get_errno() == 13, "queues"  # Landlock allows none
libc.mq_unlink(b"/mine")
timer, event = ctypes.c_void_p(), None
assert libc.timer_create(1, event, ctypes.byref(timer)) == 0, "signals"
print("taken")
"""
BACKGROUND = "nohup python hoarding.py report-{0} {0} >/dev/null 2>&1 &"
TEMPLATE = "name: Plain\ndescription: A home\npackages: {pip: []}\n"


def hoard(folder, execute, kinds):
    """Let a workspace hoard; how much it has got of each kind."""
    source = Path(hoarding.__file__).read_text()
    execute("sh", "-c", f"cat > hoarding.py <<'END'\n{source}\nEND")
    for kind in kinds:
        execute("sh", "-c", BACKGROUND.format(kind))
    reports = {kind: folder / "home" / f"report-{kind}" for kind in kinds}
    eventually(lambda: all(path.exists() for path in reports.values()), 120)
    return {kind: int(path.read_text().split()[0]) for kind, path in reports.items()}


def queued_signals():
    """How many signals are queued for processes of our user."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("SigQ:")[1].split("/")[0])


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("bwrap") or not is_privileged(),
    reason="needs root: only root can run workspaces as somebody else",
)
def test_hoarding_workspace_takes_nothing_from_root_or_another_workspace(world):
    mine, other = world.launched(page()), world.launched(page(), key="ws_2")

    def execute(*words):
        code, output = run(world, mine, *words)
        assert code == 0, output

    before = queued_signals()
    counts = hoard(world.root / mine, execute, KINDS)
    assert counts["inotify"] >= 100
    assert counts["signals"] > 1000
    assert queued_signals() - before < counts["signals"] // 2
    assert run(world, other, "python", "-c", TAKE) == (0, "taken\n")
    descriptor = ctypes.CDLL(None).inotify_init1(0)
    assert descriptor >= 0
    os.close(descriptor)


@pytest.mark.skipif(
    not can_be_ordinary(), reason="needs bubblewrap, and a Python that an ordinary user may run"
)
def test_hoarding_workspace_leaves_most_to_its_ordinary_user():
    kinds = (*KINDS, "flight")
    with ordinary_home() as home:
        (home.folder / "templates").mkdir()
        (home.folder / "templates" / "plain.yml").write_text(TEMPLATE)
        with home.run_daemon():
            ids = {}
            for name in ("mine", "other"):
                home.cli_json("launch", "plain", name)
                ids[name] = home.cli_json("show", name)["id"]

            def execute(*words):
                done = home.cli("exec", "mine", "--", *words)
                assert done.returncode == 0, done.stderr

            counts = hoard(home.folder / "workspaces" / ids["mine"], execute, kinds)
            assert counts["signals"] > 0
            assert counts["flight"] > 0
            assert counts["inotify"] <= 32
            files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            assert counts["flight"] * 253 < files * 3 // 4 or files > hoarding.MOST
            done = home.cli("exec", "other", "--", "python", "-c", TAKE)
            assert (done.returncode, done.stdout) == (0, "taken\n"), done.stderr
            for name in ("mine", "other"):
                home.cli_json("terminate", name, "--yes")


def test_workspaces_with_a_common_user_get_parts():
    outer = {OPEN_FILES: (1024, 1_048_576), SIGNALS: (8000, 8000), QUEUES: (819_200, 819_200)}
    limits = parts_of(outer, {"max_inotify_instances": 128, "max_inotify_watches": 65_536})
    assert limits.programs == {
        OPEN_FILES: (1024, 524_288),
        SIGNALS: (2000, 2000),
        QUEUES: (204_800, 204_800),
    }
    assert limits.counters == {"max_inotify_instances": 32, "max_inotify_watches": 16_384}


def test_limits_that_do_not_exist_have_no_parts():
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert parts_of({SIGNALS: unlimited}, {"max_inotify_instances": 8}) == (
        {},
        {"max_inotify_instances": 16},
    )
