"""Homes of local machines, whether they run or not."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from prism.agent.machine.home_files import (
    FileRefusal,
    HomeFolder,
    HomeReading,
    HomeWriting,
)
from prism.agent.protocol import Mount
from prism.files.model import FileMissing, Kind
from prism.files.plan import part_of, split
from prism.files.ports import Scan
from prism.providers.file_refusals import file_entry, file_problem

MACHINE_ID = re.compile(r"local-[0-9a-f]{17}")


class LocalFiles:
    """Implements `files.ports.Files`."""

    asleep = True

    def __init__(
        self, root: Path, mounted: Callable[[str], Sequence[Mount]] = lambda _: ()
    ) -> None:
        """`mounted` returns the volumes that are attached to a machine."""
        self._root, self._mounted = root.absolute(), mounted

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """The entries of a folder, in the order of the disk."""
        with _problems():
            entries, truncated = self._home(id).scan(path, limit)
        file_entries = [
            file_entry(entry.name, cast("Kind", entry.kind), entry.size, entry.modified)
            for entry in entries
        ]
        return Scan(file_entries, truncated)

    def open(self, id: str, path: str) -> HomeReading:
        """A regular file; a pipe or a device is not even opened."""
        with _problems():
            return self._home(id).open(path)

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> "LocalWriting":
        """Write to a part file beside it."""
        part = part_of(split(path)[1])
        with _problems():
            return LocalWriting(self._home(id).begin(path, part, offset, replace=replace))

    def make_folder(self, id: str, path: str) -> None:
        """Each new folder has the owner of the home or the volume."""
        with _problems():
            self._home(id).make_folder(path)

    def rename(self, id: str, path: str, to: str) -> None:
        """Within the home, or within a volume; nothing is replaced."""
        with _problems():
            self._home(id).rename(path, to)

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """Remove a file or folder; of a link, the link itself."""
        with _problems():
            self._home(id).remove(path, recursive=recursive)

    def _home(self, id: str) -> HomeFolder:
        if not MACHINE_ID.fullmatch(id):
            raise FileMissing("The workspace has no home on this machine")
        return HomeFolder(self._root / id / "home", partial(self._mounted, id))


class LocalWriting:
    """Implements `files.ports.FileWriter`."""

    def __init__(self, writing: HomeWriting) -> None:
        self._writing = writing

    def write(self, piece: bytes) -> None:
        """Append."""
        with _problems():
            self._writing.write(piece)

    def finish(self) -> None:
        """Sync it to the disk, then give it its name."""
        with _problems():
            self._writing.finish()

    def close(self, *, discard: bool) -> None:
        """Close it; a part that is not discarded can be continued."""
        self._writing.close(discard=discard)


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except FileRefusal as refused:
        raise file_problem(
            refused.kind, refused.message, refused.details, refused.remediation, refused.received
        ) from refused
