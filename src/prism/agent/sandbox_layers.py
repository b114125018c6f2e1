"""What a sandbox shows of this computer and what it hides, in the order in which it is laid.

Private are Prism's home and the user's. Either may lie within a folder that is shown, of the
system (`/opt`) or of a Python (`--prefix=$HOME`): then nothing of it is to be seen but what
has to be reachable. What lies deeper is laid later, so the deepest word about a path counts.
"""

import glob
import os
import pwd
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# What an interpreter is made of, where not all that lies beside it may be seen.
PARTS = (
    *("pyvenv.cfg", "bin/python*", "include/python*", "ssl", "share/zoneinfo"),
    *(f"{lib}/{part}" for lib in ("lib", "lib64") for part in ("python*", "*.so", "*.so.*")),
)
# No machine runs without these. A home that holds one (`/`, or `/bin` of the user bin) is the
# system's own and nobody's to hide.
VITAL = (
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/bin", "/sbin", "/lib", "/lib64"),
    *("/etc", "/nix"),
)


class Layer(NamedTuple):
    """A path that is seen there from this layer on, or not seen any more."""

    path: str
    shown: bool


def homes() -> list[str]:
    """The user's: as the environment says, and as the system says."""
    folders = [os.path.expanduser("~")]
    try:
        folders.append(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a uid without a name, as containers have it
        return folders
    return folders


def layers(system: Sequence[str], reachable: Iterable[str], private: Iterable[str]) -> list[Layer]:
    """What comes on top of the trees of the system, which are shown."""
    owned = sorted({os.path.realpath(folder) for folder in private})
    visible = {part for path in reachable for part in _parts_of(os.path.normpath(path), owned)}
    hideable = [
        folder
        for folder in owned
        if not any(within(os.path.realpath(vital), folder) for vital in VITAL)
    ]
    hidden = {face for folder in hideable for face in faces(folder, [*system, *visible])}
    # A tree of the system may be a link into a home (`/opt` to `~/opt`), and is private then.
    hidden |= {
        tree
        for tree in system
        if any(within(os.path.realpath(tree), folder) for folder in hideable)
    }
    laid = [Layer(tree, shown=True) for tree in system]
    for path in sorted(visible | hidden):  # the wider before what lies within
        if _is_seen(path, laid) is not (is_visible := path not in hidden):
            laid.append(Layer(path, is_visible))
    return laid[len(system) :]


def faces(real: str, trees: Iterable[str]) -> list[str]:
    """Where a folder is seen that lies within these trees, which may be links themselves."""
    paths = []
    for tree in trees:
        if within(real, behind := os.path.realpath(tree)) and os.path.isdir(real):
            paths.append(os.path.normpath(os.path.join(tree, os.path.relpath(real, behind))))
    return paths


def within(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies below it, by its name."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _parts_of(path: str, owned: Iterable[str]) -> list[str]:
    """A path that has to be reachable; only its parts where something private lies within."""
    behind = os.path.realpath(path)
    if not any(within(folder, behind) for folder in owned):
        return [path]
    return [match for part in PARTS for match in glob.glob(os.path.join(glob.escape(path), part))]


def _is_seen(path: str, laid: Sequence[Layer]) -> bool:
    """Whether it is seen after these layers: the deepest around it says so, the last of equals."""
    around = [layer for layer in laid if within(path, layer.path)]
    return bool(around) and max(reversed(around), key=lambda it: len(it.path)).shown
