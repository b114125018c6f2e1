"""Finds programs as a local workspace would find them: the system's, not yours.

The search uses the `PATH` that the supervisor sets (`agent/machine/machine_config.py`), not the
daemon's: a workspace cannot see programs in a user's home.
"""

import shutil
import sys

PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" + (
    ":/opt/homebrew/bin" if sys.platform == "darwin" else ""
)


def on_path(program: str) -> bool:
    """Whether a workspace would find the program."""
    return shutil.which(program, path=PLACES) is not None
