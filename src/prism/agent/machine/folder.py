"""The supervisor's access to its machine's folder.

Besides the files of `protocol.py`, the folder has `home` and `venv`, the disk, and `logs`.
"""

import base64
import fcntl
import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from prism.agent.protocol import (
    DISK_FULL_ERRORS,
    INTENT,
    LOCK,
    OBSERVED,
    REPORTS_SOCKET,
    SPEC,
    TOKEN_FILE,
    LocalMachineSpec,
    MachineIntent,
    ObservedMachine,
    Stamp,
    replace_file,
    socket_address,
    stamp,
)
from prism.agent.system.safe_paths import remove_tree

FICLONE = 0x40049409
KEPT_NAMES = {SPEC, INTENT, OBSERVED, LOCK, "trash"}


class Folder:
    """One machine's folder, as its supervisor uses it."""

    def __init__(self, path: Path, home: Path | None = None) -> None:
        """`home` is the home of Prism, if it is not the folder above that of all machines."""
        self.path, self._prism_home = path, home or path.parents[1]
        self.home, self.venv, self.logs = path / "home", path / "venv", path / "logs"
        self._lock = -1
        self._intent_stamp: Stamp | None = None
        self._intent = cast(MachineIntent, {})

    def acquire_lock(self) -> bool:
        """Lock the folder; returns False if another supervisor has the lock.

        A record lock ends with its process and with the first close of the file by that process,
        so the file is opened once and never again here.
        """
        if self._lock < 0:
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release_lock(self) -> None:
        """Release the lock without closing the file."""
        fcntl.lockf(self._lock, fcntl.LOCK_UN)

    @property
    def is_present(self) -> bool:
        """Whether the folder is still the one that we locked."""
        try:
            return os.path.samestat(os.fstat(self._lock), os.stat(self.path / LOCK))
        except FileNotFoundError:
            return False

    def spec(self) -> LocalMachineSpec:
        """The spec (`SPEC`); empty if it is missing or unreadable."""
        return cast(LocalMachineSpec, read(self.path / SPEC))

    def intent(self) -> MachineIntent:
        """The last readable intent (`INTENT`); empty if there was none yet."""
        path = self.path / INTENT
        if (now := stamp(path)) != self._intent_stamp and (intent := read(path)):
            self._intent, self._intent_stamp = cast(MachineIntent, intent), now
        return self._intent

    def last_report(self) -> ObservedMachine:
        """The report of the last supervisor (`OBSERVED`); empty if it is unreadable."""
        return cast(ObservedMachine, read(self.path / OBSERVED))

    def write_report(self, report: ObservedMachine, durable: bool) -> None:
        """Write a report of the machine."""
        write(self.path / OBSERVED, report, durable)

    def announce_report(self) -> None:
        """Tell the daemon that the report has news; without a daemon, it is read later."""
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
            socket_address(self._prism_home, REPORTS_SOCKET) as address,
        ):
            sender.setblocking(False)
            sender.sendto(os.fsencode(self.path.name), address)

    def token(self, make: bool = True) -> str:
        """The secret of the services, 256 bits; made if missing, or with `make=False` empty."""
        path = self.path / TOKEN_FILE
        if path.exists() and (known := path.read_text()):
            return known
        if not make:
            return ""
        token = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
        draft = path.with_suffix(".new")
        draft.write_text(token)
        draft.rename(path)
        return token

    def empty(self) -> None:
        """Destroy everything but the folder itself and the record that the machine is gone.

        Each entry is renamed before it is removed, so that no half-removed disk is visible. If the
        supervisor dies meanwhile, the next one continues.
        """
        trash = self.path / "trash"
        for name in self._own():
            try:
                trash.mkdir(exist_ok=True)
                remove_tree(trash / name)
                (self.path / name).rename(trash / name)
            except OSError as error:
                if error.errno not in DISK_FULL_ERRORS:
                    raise
                remove_tree(self.path / name)  # a full disk has no room for the other name
        remove_tree(trash)
        (self.path / SPEC).unlink(missing_ok=True)

    def _own(self) -> list[str]:
        return [name for name in os.listdir(self.path) if name not in KEPT_NAMES]


def read(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if the file is missing or incomplete."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write(path: Path, value: Mapping[str, Any], durable: bool) -> None:
    """Replace a JSON file at once; on a full disk, overwrite its present blocks.

    The file contains texts of the workspace. An incomplete character, as in some file names,
    becomes `?`, because otherwise the daemon could not read the file and would consider the
    machine off.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    replace_file(path, text, durable=durable, permissions=0o666)  # limited by the umask


def shares_blocks(path: Path, other: Path) -> bool:
    """Whether the disk can copy a file by sharing its blocks until somebody writes."""
    source, target = path / ".clone", other / ".clone"
    path.mkdir(parents=True, exist_ok=True)
    try:
        source.write_bytes(b"x" * 4096)
        with open(source, "rb") as old, open(target, "wb") as new:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
    except OSError:
        return False
    else:
        return True
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
