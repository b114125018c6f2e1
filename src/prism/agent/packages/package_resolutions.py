"""The versions that uv chose for a list of packages; used again for a while by other workspaces.

    cache/resolutions/KEY.json   when they were chosen, and the pins

KEY is a hash of everything that the choice depends on and this computer knows: the packages, the
Python, uv, its settings and the package indexes. What an index has is known only to the index, so
a resolution is used for at most an hour. A workspace that used one that is older than a minute
has the next one made once it runs.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from prism.agent.machine.folder import read, write
from prism.agent.protocol import RESOLUTIONS

UP_TO_DATE, USABLE = 60.0, 3600.0  # seconds
# Their content may change without a change of a variable.
LOCAL_SOURCES = ("UV_FIND_LINKS", "UV_OFFLINE")
SYSTEM_SETTINGS = "/etc/uv/uv.toml"


class Resolution(NamedTuple):
    """Chosen versions, and how many seconds ago they were chosen."""

    pins: str
    age: float

    @property
    def is_usable(self) -> bool:
        """Whether a new workspace may have them."""
        return 0 <= self.age < USABLE

    @property
    def is_up_to_date(self) -> bool:
        """Whether there is no need to choose again soon."""
        return 0 <= self.age < UP_TO_DATE


class Resolutions:
    """The resolutions of one home."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / RESOLUTIONS

    def find(self, key: str) -> Resolution | None:
        """The last resolution, however old."""
        stored = read(self._folder / f"{key}.json")
        pins, at = stored.get("pins"), stored.get("at")
        if not isinstance(pins, str) or not isinstance(at, float):
            return None
        return Resolution(pins, time.time() - at)

    def store(self, key: str, pins: str, at: float) -> None:
        """Store versions that were chosen at that time."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write(self._folder / f"{key}.json", {"at": at, "pins": pins}, durable=False)


def resolution_key(
    packages: Iterable[str],
    python: str,
    uv: str,
    environ: Mapping[str, str],
    settings: Iterable[str] = (),
) -> str | None:
    """The key of a resolution; None if it must not be used again.

    `settings` are files that uv reads.
    """
    from hashlib import sha256  # noqa: PLC0415  cold start: it brings OpenSSL

    if any(environ.get(name) for name in LOCAL_SOURCES):
        return None
    variables = {name: text for name, text in environ.items() if name.startswith("UV_")}
    files = [(path, _version(path)) for path in (uv, *settings, SYSTEM_SETTINGS)]
    about = [[*packages], os.path.realpath(python), sys.version, variables, files]
    return sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _version(path: str) -> tuple[int, int, int] | None:
    """What changes whenever a file is replaced or written."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns
