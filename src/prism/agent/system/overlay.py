"""A folder that shows a read-only tree with a workspace's own changes on top (overlayfs).

The changes are in `upper`, inside of the folder that the mount covers; overlayfs needs `work`
beside it. Both belong to the workspace's folder, and the tree below is shared. For an ordinary
user bubblewrap mounts the overlay. Root mounts it, over id-mapped mounts of both (Linux 5.19),
before bubblewrap starts. Both use the same format (`userxattr`), so one can continue what the
other began.
"""

import ctypes
import os
import struct
from pathlib import Path

from prism.agent.system.safe_paths import remove_tree

UPPER, WORK = "upper", "work"
MS_NO_SUID, MS_NO_DEVICES = 0x2, 0x4
CAPABILITIES_V3 = 0x20080522


def make_layers(folder: Path) -> None:
    """Make the folders that overlayfs writes to, in an existing folder."""
    for name in (UPPER, WORK):
        (folder / name).mkdir(exist_ok=True)


def bubblewrap_words(lower: str, folder: str) -> list[str]:
    """The arguments with which bubblewrap mounts the overlay."""
    layers = [os.path.join(folder, name) for name in (UPPER, WORK)]
    return ["--overlay-src", lower, "--overlay", *layers, folder]


def mount(lower: str, folder: str, uid: int) -> None:
    """Mount the overlay; needs a mount namespace of this process.

    Both folders are id-mapped mounts in which only `uid` exists, so overlayfs has to make its
    files as that user, but with root's capabilities.
    """
    paths = [lower, *(os.path.join(folder, name) for name in (UPPER, WORK))]
    opened = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in paths]
    # A path may hold `:` or `,`.
    below, upper, work = (f"/proc/self/fd/{descriptor}" for descriptor in opened)
    options = f"userxattr,lowerdir={below},upperdir={upper},workdir={work}"
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        make_files_as(uid)
        flags = MS_NO_SUID | MS_NO_DEVICES
        if libc.mount(b"overlay", os.fsencode(folder), b"overlay", flags, options.encode()):
            raise OSError(number := ctypes.get_errno(), os.strerror(number), folder)
    finally:
        make_files_as(0)
        for descriptor in opened:
            os.close(descriptor)


def make_files_as(uid: int) -> None:
    """Make files as that user, but keep the capabilities that the change would drop."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.setfsgid(uid)
    libc.setfsuid(uid)
    head = ctypes.create_string_buffer(struct.pack("II", CAPABILITIES_V3, 0))
    held = ctypes.create_string_buffer(24)
    if libc.capget(head, held):
        raise OSError(ctypes.get_errno(), "capget")
    _, low, inherited, _, high, inherited_high = struct.unpack("6I", held.raw[:24])
    now = struct.pack("6I", low, low, inherited, high, high, inherited_high)
    if libc.capset(head, ctypes.create_string_buffer(now, 24)):
        raise OSError(ctypes.get_errno(), "capset")


class OverlayTrial:
    """A temporary folder beside a workspace's own, to test an overlay."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "overlay-trial"

    def __enter__(self) -> "OverlayTrial":
        remove_tree(self.path)
        self.path.mkdir()
        make_layers(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        remove_tree(self.path)
