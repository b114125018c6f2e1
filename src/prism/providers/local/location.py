"""The identity of a home, which names the location of its workspaces and volumes.

`home.json` in the home has the identity, and where the home was at the last start: so a start sees
whether the home was moved, or is a copy of another one that still exists.
"""

import json
import secrets
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import gethostname

import msgspec
from msgspec import Struct

from prism.agent.protocol import replace_file
from prism.errors import Conflict
from prism.profiles.providers import LOCAL

RECORD = "home.json"
MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


class HomeIsCopy(Conflict, code="HOME_IS_COPY"):
    """The home is a copy of another home, which still exists."""


class HomeUnreadable(Conflict, code="HOME_UNREADABLE"):
    """The file with the identity of the home cannot be read."""


class HomeRecord(Struct, frozen=True):
    """The identity of a home; its folder, and the computer, at the last start."""

    id: str
    folder: str
    machine: str

    @property
    def location(self) -> str:
        """The name of the location."""
        return f"{LOCAL}:{self.id}"


def location_of(home: Path) -> str:
    """The location of a home; a new home gets its identity here."""
    return record_of(home).location


def record_of(home: Path) -> HomeRecord:
    """The record of a home; a new home gets one."""
    if (record := read_record(home)) is not None:
        return record
    return write_record(home, secrets.token_hex(16))


def read_record(home: Path) -> HomeRecord | None:
    """The record in a home; None if it has none; raises `HomeUnreadable`."""
    path = home / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=HomeRecord)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise HomeUnreadable(
            f"{path} cannot be read",
            details=f"it has the identity of the home: {error}",
            remediation=f"Move it away (`mv {shlex.quote(str(path))} …`): the next start makes it "
            "anew, and finds the workspaces again",
        ) from error


def write_record(home: Path, id: str) -> HomeRecord:
    """Give a home this identity, with its present folder and computer."""
    record = HomeRecord(id, str(home), machine_of_this())
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(home / RECORD, json.dumps(msgspec.to_builtins(record)).encode())
    return record


def machine_of_this() -> str:
    """The identity of this computer or container."""
    for file in MACHINE_IDS:
        try:
            if identity := file.read_text("ascii").strip():
                return identity
        except (OSError, UnicodeError):
            continue
    return gethostname()


def earlier_location(machine: str, home: Path) -> str:
    """The location of a home in Prism 1, which had no identity of its own."""
    return f"{LOCAL}:{machine}:{home}"


def folder_of_earlier(location: str) -> tuple[str, str] | None:
    """The computer and the folder in the name of an earlier location; None for an identity."""
    machine, colon, folder = location.removeprefix(f"{LOCAL}:").partition(":")
    return (machine, folder) if colon else None


def settle_home(home: Path, earlier: Callable[[], Sequence[str]]) -> str | None:
    """Take a home into use where it is now; returns how it was moved, for people.

    `earlier` has the locations that the database of a home without a record names. Raises
    `HomeIsCopy` if the original still exists.
    """
    record = read_record(home)
    if record is None:
        machine = machine_of_this()
        for location in earlier():
            known = folder_of_earlier(location)
            if known and known[0] == machine and _is_another_home(Path(known[1]), home):
                raise _copy_of(home, known[1])
        record_of(home)
        return None
    moved = _moved(record, home)
    if moved is not None:
        if record.folder != str(home) and _has_identity(Path(record.folder), home, record.id):
            raise _copy_of(home, record.folder)
        write_record(home, record.id)
    return moved


def _moved(record: HomeRecord, home: Path) -> str | None:
    """How a home was moved since its last start; None if it was not."""
    if record.machine != machine_of_this():
        return f"the home was {record.folder} on another computer, and is {home} here"
    if record.folder != str(home):
        return f"the home was {record.folder}, and is {home} now"
    return None


def _has_identity(folder: Path, home: Path, id: str) -> bool:
    """Whether another folder than the home has this identity too."""
    try:
        original = read_record(folder)
        return original is not None and original.id == id and not folder.samefile(home)
    except (OSError, HomeUnreadable):
        return False


def _is_another_home(folder: Path, home: Path) -> bool:
    """Whether a folder holds a database, and is another folder than the home."""
    try:
        return (folder / "state.db").exists() and not folder.samefile(home)
    except OSError:
        return False


def _copy_of(home: Path, original: str) -> HomeIsCopy:
    at, first = shlex.quote(str(home)), shlex.quote(original)
    return HomeIsCopy(
        f"{home} is a copy of {original}, which still exists",
        details="both have the same identity, so each would take the workspaces of the other",
        remediation=f"To use both, give this one an identity of its own: `PRISM_HOME={at} prism "
        f"new-identity`. If the home was moved, rename what was left of it first: "
        f"`mv {first} {first}.old`",
    )
