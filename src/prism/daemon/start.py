"""`prismd`: disables the garbage collector, then imports the daemon.

Objects that are made at the start stay, so a collection finds no garbage: without collections the
start takes nine tenths of the time. `main` turns the collector on again.
"""

import gc
import sys


def main() -> int:
    """Run a daemon; its exit code."""
    gc.disable()
    from prism.daemon.main import main as run  # noqa: PLC0415  cold start: not before the line above

    return run()


if __name__ == "__main__":
    sys.exit(main())
