"""The attack, for a user who cannot run pytest: `python -m ... HOME CACHE [look]`."""

import sys
from pathlib import Path

from tests.providers.local.test_sandbox import attacked
from tests.providers.local.world import World

if __name__ == "__main__":
    world = World(Path(sys.argv[1]), Path(sys.argv[2]))
    try:
        code, output, sandbox = attacked(world, *filter(None, sys.argv[3:]))
        sys.stdout.write(f"{sandbox}\n{output}")
    finally:
        world.close()
