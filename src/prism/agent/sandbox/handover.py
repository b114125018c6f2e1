"""Changes the owner of trees on the disk, if the file system cannot map ids.

Every entry is opened by its name in an open folder, and no symlink is followed, so a program that
changes the tree meanwhile cannot redirect it. Only files of the daemon's own user change their
owner. The work can stop at any point and start again; finished files are skipped.
"""

import os
import stat

from prism.agent.system.safe_paths import Directory


def hand_over(path: str, uid: int) -> None:
    """Make a uid, and the gid of the same number, the owner of a file or of a whole folder."""
    about = os.stat(path, follow_symlinks=False)
    if stat.S_ISDIR(about.st_mode):
        with Directory.at(path) as root:
            _hand_over(root, uid)
    _give(path, about, uid)


def hand_over_entry(path: str, name: str, uid: int) -> None:
    """The same for one entry, if it exists, of a folder that its user may be changing."""
    with Directory.at(path) as folder:
        if below := _give_entry(folder, name, uid):
            with below:
                _hand_over(below, uid)


def _hand_over(top: Directory, uid: int) -> None:
    """Change the owner of a folder's content, with one descriptor per level."""
    levels = [(top, iter(top.names()))]
    try:
        while levels:
            folder, entries = levels[-1]
            if (name := next(entries, None)) is None:
                levels.pop()
                if levels:
                    folder.close()
            elif below := _give_entry(folder, name, uid):
                levels.append((below, iter(below.names())))
    finally:
        for folder, _ in levels[1:]:
            folder.close()


def _give_entry(folder: Directory, name: str, uid: int) -> Directory | None:
    """Change the owner of one entry; returns it opened if it is a folder."""
    try:
        about = os.stat(name, dir_fd=folder.fileno(), follow_symlinks=False)
        below = folder.folder(name) if stat.S_ISDIR(about.st_mode) else None
        _give(name, about, uid, folder.fileno())
    except (FileNotFoundError, NotADirectoryError):  # it was removed meanwhile
        return None
    return below


def _give(name: str, about: os.stat_result, uid: int, folder: int | None = None) -> None:
    if about.st_uid == os.geteuid():
        os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)
