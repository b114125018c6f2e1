"""Small important files, stored twice, so that a damaged one can be restored."""

import logging
import threading
from pathlib import Path
from typing import TypeVar

import msgspec

from prism.agent.protocol import replace_file
from prism.errors import Unavailable

log = logging.getLogger(__name__)
Kind = TypeVar("Kind")
_CHANGING = threading.Lock()  # a reader that repairs a file must not undo a change


class BothCopiesUnreadable(Unavailable):
    """Neither copy of a file can be read."""


def write(path: Path, text: bytes) -> None:
    """Replace both copies, one after the other: at every moment, one of them is complete."""
    with _CHANGING:
        replace_file(path, text)
        replace_file(_second(path), text)


def read(path: Path, kind: type[Kind]) -> Kind:
    """Read a file; if it is damaged, read its second copy, and replace the file by that.

    Raises `FileNotFoundError` if both are missing, `BothCopiesUnreadable` if both are damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        with _CHANGING:
            return _read_or_repair(path, kind)


def _read_or_repair(path: Path, kind: type[Kind]) -> Kind:
    try:  # again: another thread may have written or repaired it meanwhile
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        failure = error
    try:
        text = _second(path).read_bytes()
        value = msgspec.json.decode(text, type=kind)
    except (OSError, msgspec.MsgspecError):
        if isinstance(failure, FileNotFoundError):
            raise failure from None
        raise BothCopiesUnreadable(f"{path} cannot be read: {failure}") from failure
    log.warning("%s could not be read (%s); it is mended from its second copy", path, failure)
    try:
        replace_file(path, text)
    except OSError as error:  # the next reader tries again
        log.warning("%s cannot be mended: %s", path, error)
    return value


def remove(path: Path) -> None:
    """Remove both copies, the second first, so that it never restores the removed file."""
    with _CHANGING:
        _second(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _second(path: Path) -> Path:
    return path.with_name(f"{path.name}.copy")
