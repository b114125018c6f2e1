"""Finds the programs that a local workspace would find: the system's, not yours.

Where it looks is what its supervisor will give it (`agent/machine_config.py`), whatever `PATH` the
daemon was started with: a program in somebody's home is not to be seen from inside.
"""

import shutil
import sys

PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" + (
    ":/opt/homebrew/bin" if sys.platform == "darwin" else ""
)


def there(program: str) -> bool:
    """Whether a workspace would find it."""
    return shutil.which(program, path=PLACES) is not None
