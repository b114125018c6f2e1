"""What a local machine lacks while it runs, as its supervisor reports it."""

from pathlib import Path

from prism.agent.protocol import ObservedMachine
from prism.providers.supervised import _notes
from prism.workspaces.model import Observed
from tests.providers.local.world import page

UNLIMITED = "its memory is not limited: "


def limit_of(world, id):
    """The memory limit that the kernel has for its programs; None if there is none."""
    [program, *_] = world.named(id, "python")
    lines = Path(f"/proc/{program.pid}/cgroup").read_text().splitlines()
    group = next((line[3:] for line in lines if line.startswith("0::")), "")
    path = Path(f"/sys/fs/cgroup{group}/memory.max")
    text = path.read_text().strip() if "/prism/" in group and path.exists() else "max"
    return None if text == "max" else int(text)


def test_machine_says_that_its_memory_is_not_limited_exactly_if_the_kernel_has_no_limit(world):
    id = world.launched(page())
    for _ in range(2):  # the second start says it once, too
        notes = [note for note in world.machine(id).notes if note.startswith(UNLIMITED)]
        assert len(notes) == (0 if limit_of(world, id) else 1)
        world.compute.stop(id)
        world.becomes(id, Observed.OFF)
        assert world.machine(id).notes == ()
        world.compute.start(id)
        world.becomes(id, Observed.ON)


def test_notes_are_shortened_and_about_a_machine_that_runs():
    """Without a sandbox, the programs of a workspace can change the report."""
    notes = ["x" * 10_000] * 100
    report: ObservedMachine = {"key": "ws_1", "name": "mine", "phase": "asleep", "run": 1}
    assert _notes(report) == ()
    assert _notes({**report, "notes": notes}) == ("x" * 500,) * 10
    assert _notes({**report, "notes": notes, "phase": "failed"}) == ()
