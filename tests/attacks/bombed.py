"""A fork bomb in a workspace of the user who runs `python -m tests.attacks.bombed HOME CACHE`."""

import sys
from pathlib import Path

from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World, page
from tests.waiting import eventually

MOST = 64
BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
"""


def bombed(world: World) -> None:
    """The bomb fills its own workspace only, and its owner can end it."""
    machine, other = world.launched(page()), world.launched(page(), key="ws_2")
    (world.root / machine / "home" / "bomb.py").write_text(BOMB)
    run(world, machine, "sh", "-c", "nohup python ~/bomb.py > /dev/null 2>&1 &")
    eventually(lambda: len(world.tree(machine)) > MOST - 4, 120)
    for _ in range(10):
        assert len(world.tree(machine)) <= MOST + 4
        assert run(world, other, "sh", "-c", "(echo forks) | cat") == (0, "forks\n")
    assert run(world, machine, "/bin/echo", "still works") == (0, "still works\n")
    assert run(world, machine, "sh", "-c", "kill -9 -1") == (0, "")
    eventually(lambda: len(world.tree(machine)) < 10, 120)
    world.compute.stop(machine)
    eventually(lambda: world.machine(machine).observed.value == "off", 120)
    assert world.machine(other).observed.value == "on"


if __name__ == "__main__":
    world = World(Path(sys.argv[1]), Path(sys.argv[2]), environ={"PRISM_PIDS_MAX": str(MOST)})
    try:
        bombed(world)
    finally:
        world.close()
