"""A process that is killed at the Nth operation on a folder, counted by an audit hook.

python -m tests.providers.local.mortal launch HOME CACHE N  (counts in HOME.events)
python -m tests.providers.local.mortal supervise FOLDER TALLY N
"""

import os
import runpy
import signal
import sys
from pathlib import Path

SUPERVISOR = str(Path(__file__).parents[3] / "src" / "prism" / "agent" / "supervisor.py")


def dies_at(number, folder, count):
    """Count every event in a file from now on, and die at the Nth."""
    tally = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    seen, generation = 0, 0

    def born():
        nonlocal generation
        generation += 1

    def hook(event, args):
        nonlocal seen
        # A supervisor is forked once; what it forks itself is about to become a program.
        if generation > 1:
            return
        if event == "subprocess.Popen" or f"{folder}/" in str(args):
            seen += 1
            os.write(tally, b".")
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    os.register_at_fork(after_in_child=born)
    sys.addaudithook(hook)


def main(program, folder, *rest):
    """Run the program up to the event; a supervisor does not need what a launch imports."""
    if program == "launch":
        from tests.providers.local.world import World, page

        world = World(Path(folder), Path(rest[0]))
        dies_at(int(rest[1]), folder, f"{folder}.events")
        world.launch(page())
    else:
        sys.argv = [SUPERVISOR, folder]
        dies_at(int(rest[1]), folder, rest[0])
        runpy.run_path(SUPERVISOR, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
