"""The shelves: folders of YAML files, one a template."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prism.templates.stock import File

BUILT_IN = Path(__file__).parent / "shelf"
ENDINGS = (".yml", ".yaml")
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of templates; it need not be there."""

    folder: Path
    builtin: bool = False

    def stamp(self) -> Stamp:
        """What changes whenever a file comes, goes or is written; cheap."""
        seen = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(ENDINGS) and not entry.name.startswith("."):
                        seen.append(_seen(entry))
        except OSError:
            return ()
        return tuple(sorted(seen))

    def files(self) -> list[File]:
        """Every file, as it is now."""
        return [self._file(name) for name, *_ in self.stamp()]

    def _file(self, name: str) -> File:
        path = self.folder / name
        try:
            return File(str(path), self.builtin, path.read_bytes())
        except OSError as error:
            return File(str(path), self.builtin, error=f"cannot be read: {error.strerror}")


def shelves(own: Path | None = None) -> Sequence[Shelf]:
    """The built-in shelf, then the person's own."""
    built_in = Shelf(BUILT_IN, builtin=True)
    return (built_in, Shelf(own)) if own else (built_in,)


def _seen(entry: "os.DirEntry[str]") -> tuple[str, int, int, int]:
    try:
        facts = entry.stat()
    except OSError:  # a link to nowhere, or gone meanwhile
        return entry.name, 0, 0, 0
    return entry.name, facts.st_mtime_ns, facts.st_size, facts.st_ino
