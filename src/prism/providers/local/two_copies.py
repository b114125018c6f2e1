"""Small files that everything hangs on, kept in two copies: one that is torn is mended."""

import logging
from pathlib import Path
from typing import TypeVar

import msgspec

from prism.agent.protocol import replace_file
from prism.errors import Unavailable

log = logging.getLogger(__name__)
Kind = TypeVar("Kind")


class BothCopiesUnreadable(Unavailable):
    """Neither copy of a file says anything."""


def write(path: Path, text: bytes) -> None:
    """Replace both, one after the other: at every moment one of them is whole."""
    replace_file(path, text)
    replace_file(_second(path), text)


def read(path: Path, kind: type[Kind]) -> Kind:
    """Read a file; if it is bad, its second copy is read and put in its place.

    Raises `FileNotFoundError` if there is neither, `BothCopiesUnreadable` if both are bad.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        bad = error
    try:
        text = _second(path).read_bytes()
        value = msgspec.json.decode(text, type=kind)
    except (OSError, msgspec.MsgspecError):
        if isinstance(bad, FileNotFoundError):
            raise bad from None
        raise BothCopiesUnreadable(f"{path} cannot be read: {bad}") from bad
    log.warning("%s could not be read (%s); it is mended from its second copy", path, bad)
    try:
        replace_file(path, text)
    except OSError as error:  # the next reader tries again
        log.warning("%s cannot be mended: %s", path, error)
    return value


def remove(path: Path) -> None:
    """Remove both; the second goes first, so that it never stands for what was removed."""
    _second(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _second(path: Path) -> Path:
    return path.with_name(f"{path.name}.copy")
