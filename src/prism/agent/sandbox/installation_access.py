"""Lets workspaces of root read an installation that only its owner can read (umask 077).

This is for what no mount can give them: a file system that cannot map ids, and a workspace without
a sandbox. Every file that others cannot read gets an entry for one group in its access control
list; workspaces that need it are in that group, and nobody else is.
"""

import os
import shlex
import stat

from prism.agent.system import access_lists, own_files
from prism.agent.system.own_files import is_file_or_folder


def let_group_read(path: str, gid: int) -> None:
    """Let a group read a whole installation; begins again if it was interrupted or updated."""
    own_files.change_all(
        [path],
        lambda about: is_file_or_folder(about) and not can_be_read_by_all(about.st_mode),
        lambda file: access_lists.let_read(file, gid),
        is_trusted=True,
    )


def unreadable(path: str) -> str:
    """What to say of an installation that stays unreadable for others."""
    return (
        f"{path} can be read by its owner alone; make it readable by all: "
        f"chmod -R a+rX {shlex.quote(path)}"
    )


def is_readable_by_all(path: str) -> bool:
    """Whether any user may read a file or list a folder."""
    return can_be_read_by_all(os.stat(path).st_mode)


def can_be_read_by_all(mode: int) -> bool:
    """Whether a file or folder with this mode can be read by any user."""
    return bool(mode & stat.S_IROTH) and (not stat.S_ISDIR(mode) or bool(mode & stat.S_IXOTH))
