"""A schedule of faults in a home at one place; a program, so that any user can run it.

`python -m tests.faults.cell FOLDER KIND SEED STEPS` prints the counts. `KIND` says what happens
to the home: nothing (plain), it is behind a link (linked), or in the middle of the schedule it is
moved, copied beside the original, or restored elsewhere after the original is gone.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from copy import copy
from pathlib import Path

from tests.faults.checker import Checker, Request
from tests.faults.schedule import Schedule
from tests.faults.site import BUSY, Database, LocalSite
from tests.waiting import eventually

PIECE = 65536
# The faults that do not depend on chance, before and after the home is moved.
FIRST, THEN = ("nothing", "full", "torn"), ("full", "killed")


class HomeDatabase(Database):
    """The SQLite file in a home, on the disk of its volumes."""

    kind = "SQLite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"sqlite:///{folder / 'state.db'}", timeout=120)

    def disturbances(self) -> list[str]:
        """The names of what can happen to it."""
        return ["locked", "emptied", "full"]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the write lock."""
        raw = self.engine.raw_connection()
        try:
            raw.execute("BEGIN IMMEDIATE")
            yield
        finally:
            raw.rollback()
            raw.close()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """The disk of the home is full, to the last byte that this user gets."""
        filler, piece = self.folder.parent / "filler", PIECE
        with filler.open("wb", buffering=0) as file:
            while piece:
                try:
                    file.write(os.urandom(piece))
                except OSError:
                    piece //= 2
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())
        try:
            yield
        finally:
            filler.unlink()
            os.sync()


class PlacedSite(LocalSite):
    """A home with its database in it, which can be moved, copied and restored."""

    shares_disk = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, HomeDatabase(folder / "home"))
        del self.more["PRISM_DATABASE_URL"]  # the database is where the home is

    def at(self, folder: Path) -> "PlacedSite":
        """The home in another folder; no daemon runs there yet."""
        other = copy(self)
        other.home, other.process = self.home.at(folder), None
        other.database = HomeDatabase(folder.resolve())
        return other

    def close(self) -> None:
        super().close()
        self.database.close()


class PlacedHome:
    """A home at a place, the checker of what it must contain, and what happens to it."""

    def __init__(self, folder: Path, seed: int, sites: contextlib.ExitStack) -> None:
        self._folder, self._sites = folder, sites
        self.site = self._opened(PlacedSite(folder))
        self.checker = Checker(self.site)
        self.schedule = Schedule(self.site, self.checker, seed)
        self._originals: list[Checker] = []

    def run(self, kind: str, steps: int) -> Counter[str]:
        """Run half of the schedule, let the home be moved, and run the other half."""
        if kind == "linked":
            real = self._folder / "real"
            self.site.home.folder.rename(real)
            self.site.home.folder.symlink_to(real)
            self.site.database = HomeDatabase(real)
        self.site.start()
        self.schedule.run(steps, FIRST)
        self.checker.wait_until_settled()
        if kind in {"moved", "copied", "restored"}:
            getattr(self, f"_{kind}")()
        else:
            self.site.end()
            self.site.start()
        self.checker.wait_until_settled()
        self.schedule.run(steps, THEN)
        for checker in (self.checker, *self._originals):
            checker.wait_until_settled()
        counts = Counter(self.checker.counts) + Counter(self.schedule.done)
        return counts + Counter(
            machines=len(self.site.machines()), events=len(self.checker.events)
        )

    def _moved(self) -> None:
        self.site.end()
        shutil.move(self.site.home.folder, self._folder / "moved")
        eventually(lambda: not self.site.home.processes(), BUSY)
        self._continue_at(self._folder / "moved")
        self.site.start()

    def _copied(self) -> None:
        self._stop_all()
        self.site.end()
        original, place = self.checker, self._folder / "copied"
        subprocess.run(["cp", "-a", self.site.home.folder, place], check=True)
        self._originals.append(self._copy_of(original))
        original.site.start()
        self._continue_at(place)
        self.site.prism("new-identity")
        self.site.start()

    def _restored(self) -> None:
        self._stop_all()
        self.site.end()
        backup, archive = self._folder / "backup", self._folder / "archive.tar"
        self.site.prism("backup", str(backup))
        home, place = self.site.home.folder, self._folder / "restored"
        without = ["--exclude=./state.db*", "--exclude=./prism.sock", "--exclude=./reserve"]
        subprocess.run(["tar", "-C", home, *without, "-cf", archive, "."], check=True)
        shutil.rmtree(home)
        eventually(lambda: not self.site.home.processes(), BUSY)
        place.mkdir(mode=0o700)
        subprocess.run(["tar", "-C", place, "-xpf", archive], check=True)
        archive.unlink()
        self._continue_at(place)
        self.site.prism("restore", str(backup), "--yes")
        self.site.start()

    def _stop_all(self) -> None:
        for name, state in self.checker.workspaces.items():
            if state == "running":
                path, then = f"/instances/{name}/stop", self.checker.is_now(name, "stopped")
                self.checker.send_until_answered(Request("POST", path, None, then))
        self.checker.wait_until_settled()

    def _continue_at(self, folder: Path) -> None:
        """Go on in another folder, where no workspace runs: frozen ones have lost their memory."""
        self.site = self._opened(self.site.at(folder))
        self.checker.site = self.schedule.site = self.site
        states = self.checker.workspaces
        for name in [name for name, state in states.items() if state != "terminated"]:
            states[name] = "stopped"

    def _copy_of(self, checker: Checker) -> Checker:
        """The checker of the original home, which nobody changes from now on."""
        other = copy(checker)
        other.workspaces, other.snapshots = {**checker.workspaces}, {**checker.snapshots}
        other.volumes = {name: copy(volume) for name, volume in checker.volumes.items()}
        other.projects, other.events = {*checker.projects}, {**checker.events}
        other.counts, other.ids = Counter(checker.counts), {**checker.ids}
        return other

    def _opened(self, site: PlacedSite) -> PlacedSite:
        self._sites.callback(site.close)
        return site


def main(folder: str, kind: str, seed: str, steps: str) -> None:
    with contextlib.ExitStack() as sites:
        placed = PlacedHome(Path(folder), int(seed), sites)
        try:
            counts = placed.run(kind, int(steps))
        except BaseException:
            with contextlib.suppress(OSError):
                sys.stderr.write((placed.site.home.folder / "log").read_text()[-6000:])
            raise
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
