"""A local machine's folder: the daemon writes specs and intents, and reads reports."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from prism.agent.protocol import (
    IDLE_RULE,
    INTENT,
    OBSERVED,
    SPEC,
    TOKEN_FILE,
    TREE_FILE,
    LocalMachineSpec,
    MachineIntent,
    ObservedMachine,
    PackageTree,
    replace_file,
)
from prism.providers.idle_documents import encoded
from prism.workspaces.idleness import IdleRule

Kind = TypeVar("Kind")
LINUX = sys.platform == "linux"


def read_intent(folder: Path) -> MachineIntent | None:
    """The last intent."""
    return _read(folder / INTENT, MachineIntent)


def read_report(folder: Path) -> ObservedMachine | None:
    """The last report of its supervisor."""
    return _read(folder / OBSERVED, ObservedMachine)


def read_spec(folder: Path) -> LocalMachineSpec | None:
    """Its spec."""
    return _read(folder / SPEC, LocalMachineSpec)


def read_package_tree(folder: Path) -> str | None:
    """The package tree of a machine; None if it has its own packages."""
    record = _read(folder / TREE_FILE, PackageTree)
    return record["tree"] if record else None


def read_token(folder: Path) -> str | None:
    """The secret of its services."""
    try:
        return (folder / TOKEN_FILE).read_text()
    except FileNotFoundError:
        return None


def write_intent(folder: Path, intent: MachineIntent) -> None:
    """Write an intent durably."""
    replace_file(folder / INTENT, msgspec.json.encode(intent))


def write_rule(folder: Path, rule: IdleRule | None, minute: float) -> bool:
    """Write the idle rule; returns whether it has changed."""
    path, settings = folder / IDLE_RULE, encoded(rule, minute)
    known = path.read_bytes() if path.exists() else b"{}"
    if settings == known or not (folder / SPEC).exists():
        return False
    replace_file(path, settings)
    return True


def sync(folder: Path) -> None:
    """Sync the names in a folder to the disk, if its file system supports that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind, strict=False)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
