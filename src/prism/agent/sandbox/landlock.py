"""Which files a workspace may reach, as rules for the kernel's Landlock: a wall behind the others.

Landlock (`init.py` asks for it) refuses every path that no rule allows, whatever mounts and modes
say. So it also holds without a sandbox. A rule allows a whole tree: what is hidden
in a tree is left out by naming the parts around it. Programs cannot remove rules or add any, so
the folder of all volumes is allowed as a whole, and made: a volume may be attached later.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from prism.agent.protocol import FileRules
from prism.agent.sandbox.bubblewrap import (
    SYSTEM_FOLDERS,
    TIME_ZONE,
    own_folders,
    targets_of,
    volumes_of,
)
from prism.agent.sandbox.sandbox_layers import homes, layers, within

READABLE_TREES = ("/sys", "/run", "/var/cache/fontconfig", "/var/lib")
DEVICES = ("/dev", "/proc")
TEMPORARY = ("/tmp", "/var/tmp")
LASTING = "/var/tmp"  # no reboot empties it
NAME_FILES = ("/etc/resolv.conf", "/etc/hosts", TIME_ZONE)  # often symlinks to elsewhere


def file_rules(folder: Path, reachable: Iterable[str], *, sandboxed: bool) -> FileRules:
    """The trees that programs of a machine may read, and those that they may change.

    In a sandbox, the mounts have hidden already what is private; without one, Prism's home and the
    user's are left out here.
    """
    own = [*own_folders(folder), folder / "tmp", targets_of(folder)]
    change = [*map(str, own), volumes_of(folder), *DEVICES]
    if sandboxed:
        return {"read": ["/"], "change": [*change, *TEMPORARY]}
    Path(volumes_of(folder)).mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = [os.path.realpath(path) for path in (str(folder.parent.parent), *homes())]
    needed = [*map(os.path.realpath, NAME_FILES), *reachable]
    visible = [layer.path for layer in layers(SYSTEM_FOLDERS, needed, hidden) if layer.shown]
    read = [part for tree in (*SYSTEM_FOLDERS, *READABLE_TREES) for part in _around(tree, hidden)]
    # Without a sandbox these are the computer's own: what is left there outlives the workspace.
    emptied = [tree for tree in TEMPORARY if tree != LASTING]
    change += [tree for tree in emptied if _around(tree, hidden) == [tree]]
    return {"read": [*read, *visible], "change": change}


def _around(tree: str, hidden: Sequence[str]) -> list[str]:
    """The tree; or if something hidden is in it, its parts around that."""
    real = os.path.realpath(tree)
    if any(within(real, folder) and folder != "/" for folder in hidden):
        return []
    if not any(within(folder, real) for folder in hidden):
        return [tree]
    try:
        names = sorted(os.listdir(real))
    except OSError:
        return []
    return [part for name in names for part in _around(os.path.join(real, name), hidden)]
