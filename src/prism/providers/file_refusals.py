"""What the agent says about files, in the words of the API; for this computer and lab servers."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from prism.errors import AlreadyExists, Problem
from prism.files.model import (
    DiskFull,
    FileEntry,
    FileForbidden,
    FileMissing,
    FileOperationFailed,
    FolderNotEmpty,
    Kind,
    WrongFileKind,
)
from prism.files.plan import offset_mismatch

PROBLEMS: Mapping[str, type[Problem]] = {
    "missing": FileMissing,
    "wrong_kind": WrongFileKind,
    "not_empty": FolderNotEmpty,
    "exists": AlreadyExists,
    "full": DiskFull,
    "forbidden": FileForbidden,
    "failed": FileOperationFailed,
}


def file_problem(
    kind: str, message: str, details: str, remediation: str, received: int
) -> Problem:
    """The problem that a `FileRefusal` of the agent describes."""
    if kind == "offset":
        return offset_mismatch(received)
    problem = PROBLEMS.get(kind, FileOperationFailed)
    return problem(message, details=details, remediation=remediation)


def file_entry(name: str, kind: Kind, size: int | None, modified: int | None) -> FileEntry:
    """An entry of a folder, whose name may be no UTF-8."""
    text = name.encode(errors="surrogateescape").decode(errors="replace")
    when = None
    if modified is not None:
        with suppress(OverflowError, ValueError, OSError):
            when = datetime.fromtimestamp(modified, UTC)
    return FileEntry(name=text, kind=kind, size=size, modified=when, addressable=text == name)
