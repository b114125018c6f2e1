"""Template folders: folders of YAML files, one template each."""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prism.templates.document import MAX_DOCUMENT_BYTES
from prism.templates.registry import TemplateFile

BUILT_IN = Path(__file__).parent / "library"
ENDINGS = (".yml", ".yaml")
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TemplateFolder:
    """A folder of templates, which may be missing."""

    folder: Path
    builtin: bool = False

    def stamp(self) -> Stamp:
        """A value that changes when a file is added, removed or written; cheap to read."""
        seen = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(ENDINGS) and not entry.name.startswith("."):
                        seen.append(_stamp(entry))
        except OSError:
            return ()
        return tuple(sorted(seen))

    def files(self) -> list[TemplateFile]:
        """All files, read now."""
        return [self._file(name) for name, *_ in self.stamp()]

    def _file(self, name: str) -> TemplateFile:
        path = self.folder / name
        try:
            return TemplateFile(str(path), self.builtin, _content(path))
        except OSError as error:
            return TemplateFile(str(path), self.builtin, error=f"cannot be read: {error.strerror}")


def _content(path: Path) -> bytes:
    """The bytes of a file, or its beginning if it is too large for a template; raises `OSError`.

    A folder of a stranger may have pipes and devices, which would never end, and links to files
    that people who see the templates may not see.
    """
    if not path.resolve(strict=True).is_relative_to(path.parent.resolve()):
        raise OSError(
            errno.EXDEV, "it is a link that leads out of the folder of templates; copy the file"
        )
    _require_regular(path.stat().st_mode)
    with open(path, "rb", opener=_open_at_once) as file:
        _require_regular(os.fstat(file.fileno()).st_mode)
        return file.read(MAX_DOCUMENT_BYTES + 1)


def _require_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file")


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for another program, as a pipe would."""
    return os.open(path, flags | os.O_NONBLOCK)


def template_folders(own: Path | None = None) -> Sequence[TemplateFolder]:
    """The built-in folder, then your own."""
    built_in = TemplateFolder(BUILT_IN, builtin=True)
    return (built_in, TemplateFolder(own)) if own else (built_in,)


def _stamp(entry: "os.DirEntry[str]") -> tuple[str, int, int, int]:
    try:
        facts = entry.stat()
    except OSError:  # a link to nowhere, or gone meanwhile
        return entry.name, 0, 0, 0
    return entry.name, facts.st_mtime_ns, facts.st_size, facts.st_ino
