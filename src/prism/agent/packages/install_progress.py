"""The progress of an installation, from the lines that uv prints."""

import re

ANNOUNCED = re.compile(r"Downloading (\S+) \((\d{1,9}(?:\.\d{1,9})?)(KiB|MiB|GiB)\)")
PACKAGE_COUNT = re.compile(r"(Resolved|Prepared|Installed) (\d{1,9}) packages?\b")
MEBIBYTES = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
DOWNLOADED = " Downloaded "
MAX_PACKAGES = 1000  # files; other programs may print such lines too


class InstallProgress:
    """The packages of one installation, as far as uv has printed them.

    uv prints the size of a file from 1 MiB on, at its download, so the total may be larger.
    """

    def __init__(self) -> None:
        self._packages: int | None = None
        self._sizes: dict[str, float] = {}  # in MiB, by file
        self._downloaded: set[str] = set()
        self._step = ""

    def add_line(self, line: str) -> bool:
        """Read one line; whether it changed anything."""
        if match := ANNOUNCED.match(line):
            if len(self._sizes) < MAX_PACKAGES:
                self._sizes[match[1]] = float(match[2]) * MEBIBYTES[match[3]]
            return True
        if line.startswith(DOWNLOADED):
            self._downloaded.add(line.removeprefix(DOWNLOADED).strip())
            self._downloaded &= self._sizes.keys()
            return True
        if match := PACKAGE_COUNT.match(line):
            self._step, self._packages = match[1], int(match[2])
            return True
        return False

    @property
    def stage(self) -> str:
        """The current step, with the known numbers."""
        if self._packages is None:
            return "packages"
        if self._step != "Resolved":
            return f"packages: installing {self._packages}"
        if not self._sizes:
            return f"packages: {self._packages} chosen"
        done, known = self._mebibytes
        return f"packages: {self._packages}, {done:.0f} of at least {known:.0f} MiB downloaded"

    @property
    def percent(self) -> int:
        """The progress of the whole setup."""
        if self._step == "Installed":
            return 80
        done, known = self._mebibytes
        return 20 + int(50 * done / known) if known else 20

    @property
    def _mebibytes(self) -> tuple[float, float]:
        """The downloaded MiB, and the known total."""
        return sum(self._sizes[package] for package in self._downloaded), sum(self._sizes.values())
