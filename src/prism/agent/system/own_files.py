"""Changes every file of some trees, without touching a file that is also outside of them.

A workspace without a sandbox may have made hard links to files of others. So a file with several
names is changed only if all of its names are in these trees. Every entry is opened by its name in
an open folder, no symlink is followed, and what is changed is what was opened.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prism.agent.system import syscalls
from prism.agent.system.safe_paths import Directory, FileIdentity, identity

OPENED = os.O_RDONLY if not hasattr(os, "O_PATH") else os.O_PATH


def give(paths: Iterable[str], uid: int, is_taken_from: Callable[[int], bool]) -> None:
    """Make a uid, and the gid of the same number, the owner of what these owners have there."""

    def is_meant(about: os.stat_result) -> bool:
        return about.st_uid != uid and is_taken_from(about.st_uid)

    change_all(paths, is_meant, lambda file: syscalls.change_owner(file, uid))


def change_all(
    paths: Iterable[str],
    is_meant: Callable[[os.stat_result], bool],
    change: Callable[[int], None],
    *,
    is_trusted: bool = False,
) -> None:
    """Call `change` with a descriptor of each entry that is meant; the trees themselves too.

    In a trusted tree, which no workspace can write, a file may have names outside of it.
    """
    trees = list(paths)
    names: Counter[FileIdentity] = Counter()
    for file, about in _files(trees):
        if not is_meant(about):
            continue
        if stat.S_ISREG(about.st_mode) and about.st_nlink > 1 and not is_trusted:
            names[identity(about)] += 1
        else:
            change(file)
    if not names:
        return
    for file, about in _files(trees):
        if is_meant(about) and names.get(identity(about), 0) == about.st_nlink:
            change(file)


def is_file_or_folder(about: os.stat_result) -> bool:
    """Whether an entry is neither a link nor anything special, so that it can have a list."""
    return stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)


def _files(trees: list[str]) -> Iterator[tuple[int, os.stat_result]]:
    """A descriptor of each entry of these trees, which is open for this step only."""
    for path in trees:
        about = os.stat(path, follow_symlinks=False)
        if stat.S_ISDIR(about.st_mode):
            with Directory.at(path) as top:
                yield top.fileno(), os.fstat(top.fileno())
                yield from _below(top)
        else:
            above, name = os.path.split(path)
            with Directory.at(above) as folder:
                yield from _opened(folder, name)


def _below(top: Directory) -> Iterator[tuple[int, os.stat_result]]:
    levels = [(top, iter(top.names()))]
    try:
        while levels:
            folder, entries = levels[-1]
            if (name := next(entries, None)) is None:
                levels.pop()
                if levels:
                    folder.close()
                continue
            is_folder = False
            for file, about in _opened(folder, name):
                is_folder = stat.S_ISDIR(about.st_mode)
                yield file, about
            if is_folder and (below := _entered(folder, name)):
                levels.append((below, iter(below.names())))
    finally:
        for folder, _ in levels[1:]:
            folder.close()


def _opened(folder: Directory, name: str) -> Iterator[tuple[int, os.stat_result]]:
    flags = OPENED | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=folder.fileno())
    except (FileNotFoundError, NotADirectoryError):  # it was removed meanwhile
        return
    try:
        yield file, os.fstat(file)
    finally:
        os.close(file)


def _entered(folder: Directory, name: str) -> Directory | None:
    try:
        return folder.folder(name)
    except OSError:  # it was removed or replaced meanwhile
        return None
