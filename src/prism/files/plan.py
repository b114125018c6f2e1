"""Decisions about paths and parts of files."""

import hashlib
import re

from prism.errors import ValidationFailed
from prism.files.model import UploadOffset

LONGEST_PATH, LONGEST_NAME = 4096, 255  # bytes
VOLUMES = "volumes"  # the folder of a home that attached volumes are in
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})$")
HINT = "Paths begin in the home of the workspace, such as data/input.csv"


def checked(path: str, field: str = "path", *, home: bool = False) -> str:
    """The path without needless slashes; raises if it leads out of the home."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/"):
        why = "must not begin with /"
    elif "\0" in path:
        why = "must not contain NUL"
    elif ".." in parts:
        why = "must not contain .."
    elif not parts and not home:
        why = "must name a file or folder below the home"
    else:
        why = _too_long(parts)
    if why:
        raise ValidationFailed.of((field, why), remediation=HINT)
    return "/".join(parts)


def _too_long(parts: list[str]) -> str:
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "must be text in UTF-8"
    if any(size > LONGEST_NAME for size in sizes):
        return f"has a name of more than {LONGEST_NAME} bytes"
    return "is too long" if sum(sizes) + len(sizes) > LONGEST_PATH else ""


def split(path: str) -> tuple[str, str]:
    """The folder that a path is in, empty for the home, and its name."""
    folder, _, name = path.rpartition("/")
    return folder, name


def holds_volumes(path: str) -> bool:
    """Whether a path is the folder of attached volumes, or a whole volume: `volumes/NAME`."""
    parts = path.split("/")
    return parts[0] == VOLUMES and len(parts) <= 2


def part_of(name: str) -> str:
    """The temporary name of a file until it is complete."""
    return f".prism-part-{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def offset_mismatch(received: int) -> UploadOffset:
    """The problem that an upload does not continue after the bytes that were received."""
    return UploadOffset(
        details=f"{received} bytes were received",
        remediation="Continue there, or start again at 0",
        data={"received": received},
    )


def span(header: str, size: int) -> tuple[int, int] | None:
    """First byte and length of a `Range` header; length 0 beyond the end, None if invalid."""
    if not (match := RANGE.match(header.strip())):
        return None
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    return first, max(0, last - first + 1)


def download_name(path: str) -> str:
    """The value of `Content-Disposition`, with the name percent-encoded."""
    name = path.rpartition("/")[2].encode(errors="replace")
    safe = "".join(
        chr(b) if (chr(b).isalnum() and b < 128) or b in b"-._" else f"%{b:02X}" for b in name
    )
    return f"attachment; filename*=UTF-8''{safe}"
