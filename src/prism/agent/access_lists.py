"""Lets one user pass through folders that are closed to others, by POSIX access control lists.

`grant_search` adds an entry that allows a uid to enter a folder, not to list it; `revoke_search`
removes the entry. What others may do does not change: an entry that the mask would make effective
is first reduced to what it allowed before. `share` lets a uid read and write an open file.
"""

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
VERSION = 2
OWNER, USER, OWN_GROUP, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ORDER = {OWNER: 0, USER: 1, OWN_GROUP: 2, GROUP: 3, MASK: 4, OTHER: 5}
NO_ID = 0xFFFFFFFF
READ, WRITE, SEARCH = 4, 2, 1
ENTRY = struct.Struct("<HHI")
HEAD = struct.Struct("<I")
NO_LIST = {errno.ENODATA, errno.EOPNOTSUPP}


class Entry(NamedTuple):
    """One line of a list: whom it is about, and what they may do."""

    tag: int
    permissions: int
    id: int = NO_ID


Entries = tuple[Entry, ...]


def with_user(entries: Entries, uid: int, permissions: int) -> Entries:
    """The list with an entry for a uid; all other users can do what they could before."""
    mask = _permissions(entries, MASK)
    kept = [
        entry if mask is None else entry._replace(permissions=entry.permissions & mask)
        for entry in entries
        if entry.tag in {USER, OWN_GROUP, GROUP} and (entry.tag, entry.id) != (USER, uid)
    ]
    kept.append(Entry(USER, permissions, uid))
    wide = 0
    for entry in kept:
        wide |= entry.permissions
    plain = [entry for entry in entries if entry.tag in {OWNER, OTHER}]
    return _ordered([*plain, *kept, Entry(MASK, wide)])


def without_users(entries: Entries, is_gone: Callable[[int], bool]) -> Entries:
    """The list without the entries of these uids; a list of the three modes has no mask."""
    kept = [entry for entry in entries if not (entry.tag == USER and is_gone(entry.id))]
    if any(entry.tag in {USER, GROUP} for entry in kept):
        return _ordered(kept)
    mask = _permissions(entries, MASK)
    return _ordered(
        entry._replace(permissions=entry.permissions & (7 if mask is None else mask))
        if entry.tag == OWN_GROUP
        else entry
        for entry in kept
        if entry.tag != MASK
    )


def grant_search(path: str, uid: int, is_stale: Callable[[int], bool]) -> None:
    """Let a uid enter a folder; entries of uids that are `is_stale` are removed meanwhile."""
    with _locked(path) as folder:
        before = read(folder)
        kept = without_users(before, lambda known: known != uid and is_stale(known))
        if (after := with_user(kept, uid, SEARCH)) != before:
            _write(folder, ACCESS, after)


def revoke_search(path: str, uid: int) -> None:
    """Remove the entry of a uid, if the folder still exists."""
    with suppress(FileNotFoundError), _locked(path) as folder:
        before = read(folder)
        if (after := without_users(before, lambda known: known == uid)) != before:
            _write(folder, ACCESS, after)


def share(file: int, uid: int, is_stale: Callable[[int], bool]) -> None:
    """Let a uid read and write an open file or folder, and what is made in the folder later."""
    mode = os.fstat(file).st_mode
    is_folder = stat.S_ISDIR(mode)
    wanted = READ | WRITE | (SEARCH if is_folder or mode & stat.S_IXUSR else 0)
    before = read(file)
    kept = without_users(before, lambda known: known != uid and is_stale(known))
    if (after := with_user(kept, uid, wanted)) != before:
        _write(file, ACCESS, after)
    if not is_folder:
        return
    default = _entries(file, DEFAULT) or _of_mode(0o700)
    kept = without_users(default, lambda known: known != uid and is_stale(known))
    if (after := with_user(kept, uid, READ | WRITE | SEARCH)) != default:
        _write(file, DEFAULT, after)


def admits_others(path: str, is_workspace: Callable[[int], bool]) -> bool:
    """Whether others than the owner and uids of workspaces may do anything with a folder."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        entries = read(folder)
    finally:
        os.close(folder)
    mask = _permissions(entries, MASK)
    return any(
        entry.permissions & (7 if mask is None or entry.tag == OTHER else mask)
        for entry in entries
        if entry.tag in {OWN_GROUP, GROUP, OTHER}
        or (entry.tag == USER and not is_workspace(entry.id))
    )


def read(file: int) -> Entries:
    """The list of an open file; if it has none, that of its mode."""
    return _entries(file, ACCESS) or _of_mode(os.fstat(file).st_mode)


def _entries(file: int, name: str) -> Entries:
    try:
        content = os.getxattr(_name_of(file), name)
    except OSError as error:
        if error.errno in NO_LIST:
            return ()
        raise
    return tuple(Entry(*fields) for fields in ENTRY.iter_unpack(content[HEAD.size :]))


def _of_mode(mode: int) -> Entries:
    return (
        Entry(OWNER, mode >> 6 & 7),
        Entry(OWN_GROUP, mode >> 3 & 7),
        Entry(OTHER, mode & 7),
    )


def _write(file: int, name: str, entries: Entries) -> None:
    content = HEAD.pack(VERSION) + b"".join(ENTRY.pack(*entry) for entry in entries)
    os.setxattr(_name_of(file), name, content)


def _name_of(file: int) -> str:
    """A name of an open file that also works for descriptors of `O_PATH`."""
    return f"/proc/self/fd/{file}"


def _permissions(entries: Entries, tag: int) -> int | None:
    return next((entry.permissions for entry in entries if entry.tag == tag), None)


def _ordered(entries: "list[Entry] | Iterator[Entry]") -> Entries:
    return tuple(sorted(entries, key=lambda entry: (ORDER[entry.tag], entry.id)))


@contextmanager
def _locked(path: str) -> Iterator[int]:
    """An open folder, locked against other supervisors that change its list."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)
