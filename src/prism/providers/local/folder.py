"""A local machine's folder, as the daemon uses it: it orders, wants, and reads what is seen."""

import fcntl
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, ValidationError, convert, to_builtins

from prism.agent.protocol import (
    INTENT,
    LOCK,
    OBSERVED,
    ORDER,
    TOKEN,
    MachineIntent,
    ObservedMachine,
    replace_file,
)
from prism.workspaces.idleness import Idleness, IdleRule

Kind = TypeVar("Kind")
TREE = "tree.json"
LINUX = sys.platform == "linux"
# struct flock: type, whence, start, length, pid; and in another order on a Mac.
FLOCK = "hhqqi" if LINUX else "qqihh"


class PackageTree(Struct, frozen=True):
    """Which tree of packages a workspace has (`agent/package_trees.py`)."""

    tree: str


class ServiceOrdered(Struct, frozen=True):
    """The port that a service would have on a machine of its own."""

    port: int


class Named(Struct, frozen=True):
    """The part of an order that says whose it is, and what is to run."""

    key: str
    name: str
    services: dict[str, ServiceOrdered] = {}


class OrderedServices(Struct, frozen=True):
    """The part of an order that says what it serves."""

    services: dict[str, Any] = {}


def wanted(folder: Path) -> MachineIntent | None:
    """What was last wanted of it."""
    return _read(folder / INTENT, MachineIntent)


def seen(folder: Path) -> ObservedMachine | None:
    """What its supervisor said last."""
    return _read(folder / OBSERVED, ObservedMachine)


def idleness(seen: ObservedMachine) -> Idleness | None:
    """What it knows of its idleness; none where a moment in it cannot be one."""
    try:
        return convert(seen.get("idle"), Idleness | None, strict=False)
    except ValidationError:
        return None


def ordered(folder: Path) -> Named | None:
    """Whose it is."""
    return _read(folder / ORDER, Named)


def package_tree(folder: Path) -> str | None:
    """The tree of packages that it shows below its own changes; none where it has its own."""
    known = _read(folder / TREE, PackageTree)
    return known.tree if known else None


def services(folder: Path) -> tuple[str, ...]:
    """The names of its services."""
    known = _read(folder / ORDER, OrderedServices)
    return tuple(known.services) if known else ()


def token(folder: Path) -> str | None:
    """The secret of its services."""
    try:
        return (folder / TOKEN).read_text()
    except FileNotFoundError:
        return None


def want(folder: Path, wish: MachineIntent) -> None:
    """Write a wish down, durably."""
    replace_file(folder / INTENT, msgspec.json.encode(wish))


def judge(folder: Path, rule: IdleRule | None, minute: float) -> bool:
    """Write down what is to be made of idleness; whether that is news."""
    path, said = folder / "idle.json", b"{}"
    if rule is not None:
        until = rule.awake_until.timestamp() if rule.awake_until else None
        fields = to_builtins(rule) | {"seconds": rule.minutes * minute, "awake_until": until}
        said = msgspec.json.encode(fields)
    known = path.read_bytes() if path.exists() else b"{}"
    if said == known or not (folder / ORDER).exists():
        return False
    replace_file(path, said)
    return True


def sync(folder: Path) -> None:
    """Bring the names in a folder to the disk, where its file system can be told to."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def holder(folder: str) -> int:
    """The pid of its living supervisor, or 0: whoever holds the lock of the folder.

    A record lock ends with its process, so nobody can be mistaken for a supervisor that
    died; and looking takes no lock, so no look can stand in another's way.
    """
    try:
        lock = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        answer = fcntl.fcntl(lock, fcntl.F_GETLK, _WHO)
    finally:
        os.close(lock)
    fields = struct.unpack(FLOCK, answer)
    kind, pid = (fields[0], fields[4]) if LINUX else (fields[3], fields[2])
    return 0 if kind == fcntl.F_UNLCK else int(pid)


_ASK = (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0) if LINUX else (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
_WHO = struct.pack(FLOCK, *_ASK)


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind, strict=False)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
