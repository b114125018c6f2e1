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

ACCESS, DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
ACL_VERSION = 2
OWNER, USER_TAG, OWN_GROUP, GROUP_TAG, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ORDER = {OWNER: 0, USER_TAG: 1, OWN_GROUP: 2, GROUP_TAG: 3, MASK: 4, OTHER: 5}
NO_ID = 0xFFFFFFFF
READ_PERMISSION, WRITE_PERMISSION, SEARCH = 4, 2, 1
ACL_ENTRY = struct.Struct("<HHI")
ACL_HEADER = struct.Struct("<I")
NO_LIST = {errno.ENODATA, errno.EOPNOTSUPP}


class AccessEntry(NamedTuple):
    """One line of a list: whom it is about, and what they may do."""

    tag: int
    permissions: int
    id: int = NO_ID


AccessEntries = tuple[AccessEntry, ...]


def with_user(entries: AccessEntries, uid: int, permissions: int) -> AccessEntries:
    """The list with an entry for a uid; all other users can do what they could before."""
    return _with(entries, AccessEntry(USER_TAG, permissions, uid))


def _with(entries: AccessEntries, new: AccessEntry) -> AccessEntries:
    """The list with this entry instead of an older one for the same user or group."""
    mask = _permissions(entries, MASK)
    remaining = [
        entry if mask is None else entry._replace(permissions=entry.permissions & mask)
        for entry in entries
        if entry.tag in {USER_TAG, OWN_GROUP, GROUP_TAG}
        and (entry.tag, entry.id) != (new.tag, new.id)
    ]
    remaining.append(new)
    wide = 0
    for entry in remaining:
        wide |= entry.permissions
    plain = [entry for entry in entries if entry.tag in {OWNER, OTHER}]
    return _ordered([*plain, *remaining, AccessEntry(MASK, wide)])


def without_users(entries: AccessEntries, is_gone: Callable[[int], bool]) -> AccessEntries:
    """The list without the entries of these uids; a list of the three modes has no mask."""
    remaining = [entry for entry in entries if not (entry.tag == USER_TAG and is_gone(entry.id))]
    if any(entry.tag in {USER_TAG, GROUP_TAG} for entry in remaining):
        return _ordered(remaining)
    mask = _permissions(entries, MASK)
    return _ordered(
        entry._replace(permissions=entry.permissions & (7 if mask is None else mask))
        if entry.tag == OWN_GROUP
        else entry
        for entry in remaining
        if entry.tag != MASK
    )


def grant_search(path: str, uid: int, is_stale: Callable[[int], bool]) -> None:
    """Let a uid enter a folder; entries of uids that are `is_stale` are removed meanwhile."""
    with _locked(path) as folder:
        before = read(folder)
        remaining = without_users(before, lambda known: known != uid and is_stale(known))
        if (after := with_user(remaining, uid, SEARCH)) != before:
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
    permissions = (
        READ_PERMISSION | WRITE_PERMISSION | (SEARCH if is_folder or mode & stat.S_IXUSR else 0)
    )
    before = read(file)
    remaining = without_users(before, lambda known: known != uid and is_stale(known))
    if (after := with_user(remaining, uid, permissions)) != before:
        _write(file, ACCESS, after)
    if not is_folder:
        return
    default = _entries(file, DEFAULT_ACL) or _of_mode(0o700)
    remaining = without_users(default, lambda known: known != uid and is_stale(known))
    if (
        after := with_user(remaining, uid, READ_PERMISSION | WRITE_PERMISSION | SEARCH)
    ) != default:
        _write(file, DEFAULT_ACL, after)


def let_read(file: int, gid: int) -> None:
    """Let a group read an open file or folder, and run a program that its owner can run."""
    mode = os.fstat(file).st_mode
    runs = SEARCH if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0
    before = read(file)
    if (after := _with(before, AccessEntry(GROUP_TAG, READ_PERMISSION | runs, gid))) != before:
        _write(file, ACCESS, after)


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
        if entry.tag in {OWN_GROUP, GROUP_TAG, OTHER}
        or (entry.tag == USER_TAG and not is_workspace(entry.id))
    )


def read(file: int) -> AccessEntries:
    """The list of an open file; if it has none, that of its mode."""
    return _entries(file, ACCESS) or _of_mode(os.fstat(file).st_mode)


def _entries(file: int, name: str) -> AccessEntries:
    try:
        content = os.getxattr(_name_of(file), name)
    except OSError as error:
        if error.errno in NO_LIST:
            return ()
        raise
    return tuple(
        AccessEntry(*fields) for fields in ACL_ENTRY.iter_unpack(content[ACL_HEADER.size :])
    )


def _of_mode(mode: int) -> AccessEntries:
    return (
        AccessEntry(OWNER, mode >> 6 & 7),
        AccessEntry(OWN_GROUP, mode >> 3 & 7),
        AccessEntry(OTHER, mode & 7),
    )


def _write(file: int, name: str, entries: AccessEntries) -> None:
    content = ACL_HEADER.pack(ACL_VERSION) + b"".join(ACL_ENTRY.pack(*entry) for entry in entries)
    os.setxattr(_name_of(file), name, content)


def _name_of(file: int) -> str:
    """A name of an open file that also works for descriptors of `O_PATH`."""
    return f"/proc/self/fd/{file}"


def _permissions(entries: AccessEntries, tag: int) -> int | None:
    return next((entry.permissions for entry in entries if entry.tag == tag), None)


def _ordered(entries: "list[AccessEntry] | Iterator[AccessEntry]") -> AccessEntries:
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
