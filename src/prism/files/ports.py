"""What files need from a provider.

A path is relative to the home of the machine, has no `..` and is not empty, except that the
home itself is the empty path. A provider follows no symlink. It raises the problems of
`model.py`, and `Unavailable` where the machine does not answer.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from prism.files.model import FileEntry


class Scan(Struct, frozen=True):
    """The entries of a folder up to a limit, and whether there are more."""

    entries: Sequence[FileEntry]
    truncated: bool


class FileReader(Protocol):
    """An open file; `size` and `tag` are from the time when it was opened."""

    size: int
    tag: str

    def read(self, offset: int, size: int) -> bytes:
        """At most that many bytes; none at the end."""

    def close(self) -> None:
        """Close the file."""


class FileWriter(Protocol):
    """A file that is written under a temporary name beside its target."""

    def write(self, piece: bytes) -> None:
        """Append a piece to the file."""

    def finish(self) -> None:
        """Give the file its name."""

    def close(self, *, discard: bool) -> None:
        """Close it; unless discarded, the part stays, so that an upload can continue."""


class Files(Protocol):
    """Access to the homes of a provider's machines."""

    asleep: bool
    """Whether homes can be reached while their machines are not running."""

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """The entries of a folder."""

    def open(self, id: str, path: str) -> FileReader:
        """A regular file."""

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> FileWriter:
        """Write a file from an offset; `UploadOffset` if the received part ends elsewhere."""

    def make_folder(self, id: str, path: str) -> None:
        """Make a folder and its parents."""

    def rename(self, id: str, path: str, to: str) -> None:
        """Rename it; raises `AlreadyExists` if the target exists."""

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """Remove a file or link, an empty folder, or a whole tree."""
