"""What a sandbox shows of this computer and what it hides, in the order of the mounts.

Prism's home and the user's home are private. Either may lie in a folder that is shown: a system
folder (`/opt`) or that of a Python (`--prefix=$HOME`). Then only the parts of it that have to be
reachable are shown. Deeper paths are mounted later, so the deepest entry for a path decides.
"""

import glob
import os
import pwd
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# The files of a Python interpreter, for a folder that also contains private files.
PYTHON_PARTS = (
    *("pyvenv.cfg", "bin/python*", "include/python*", "ssl", "share/zoneinfo"),
    *(f"{lib}/{part}" for lib in ("lib", "lib64") for part in ("python*", "*.so", "*.so.*")),
)
# Every machine needs these folders. A home that contains one of them (`/`, or `/bin` of the user
# `bin`) is therefore never hidden.
VITAL = (
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/bin", "/sbin", "/lib", "/lib64"),
    *("/etc", "/nix"),
)


class Layer(NamedTuple):
    """A path that is shown, or hidden, from this layer on."""

    path: str
    shown: bool


def homes() -> list[str]:
    """The user's homes: from the environment, and from the system."""
    folders = [os.path.expanduser("~")]
    try:
        folders.append(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a uid without an account, as in some containers
        return folders
    return folders


def layers(system: Sequence[str], reachable: Iterable[str], private: Iterable[str]) -> list[Layer]:
    """The layers on top of the system folders; the system folders themselves are shown."""
    owned = sorted({os.path.realpath(folder) for folder in private})
    visible = {part for path in reachable for part in _parts_of(os.path.normpath(path), owned)}
    hideable = [
        folder
        for folder in owned
        if not any(within(os.path.realpath(vital), folder) for vital in VITAL)
    ]
    hidden = {face for folder in hideable for face in faces(folder, [*system, *visible])}
    # A system folder may be a link into a home (`/opt` to `~/opt`); then it is private.
    hidden |= {
        tree
        for tree in system
        if any(within(os.path.realpath(tree), folder) for folder in hideable)
    }
    laid = [Layer(tree, shown=True) for tree in system]
    for path in sorted(visible | hidden):  # a folder before its content
        if _is_seen(path, laid) is not (is_visible := path not in hidden):
            laid.append(Layer(path, is_visible))
    return laid[len(system) :]


def faces(real: str, trees: Iterable[str]) -> list[str]:
    """The paths below these trees at which a folder is visible; the trees may be links."""
    paths = []
    for tree in trees:
        if within(real, behind := os.path.realpath(tree)) and os.path.isdir(real):
            paths.append(os.path.normpath(os.path.join(tree, os.path.relpath(real, behind))))
    return paths


def within(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies below it, by its name."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _parts_of(path: str, owned: Iterable[str]) -> list[str]:
    """The path itself; if it contains something private, only the parts of an interpreter."""
    behind = os.path.realpath(path)
    if not any(within(folder, behind) for folder in owned):
        return [path]
    return [
        match
        for part in PYTHON_PARTS
        for match in glob.glob(os.path.join(glob.escape(path), part))
    ]


def _is_seen(path: str, laid: Sequence[Layer]) -> bool:
    """Whether a path is shown after these layers: the deepest one decides, the last of equals."""
    around = [layer for layer in laid if within(path, layer.path)]
    return bool(around) and max(reversed(around), key=lambda it: len(it.path)).shown
