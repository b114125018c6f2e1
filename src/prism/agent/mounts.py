"""The volumes of a machine: links in its home, at `~/volumes/NAME`.

Which they are stands beside the machine's folder, in `ID.mounts.json`, written by the daemon:
it may come before the machine, change while it runs, and outlive it. Only links into the
folder of all volumes are ever made or removed here, so nothing that a person has put there,
and nothing that a volume holds, can be lost.
"""

import os
from pathlib import Path

from prism.agent.folder import Folder, read

Stamp = tuple[int, int] | None


class Mounts:
    """Keeps one machine's links what they should be."""

    def __init__(self, folder: Folder) -> None:
        self._said, self._place = Path(f"{folder.path}.mounts.json"), folder.home / "volumes"
        self._home = folder.home
        self._read: Stamp = None
        self._made = False
        self.trouble = ""
        """Why a link could not be made, for people."""

    def paths(self) -> list[str]:
        """Where the data of its volumes is: what a sandbox has to let in."""
        return [path for path in self._wanted()[1].values() if os.path.isdir(path)]

    def step(self) -> bool:
        """Look whether anything changed, and make it so; whether it did."""
        stamp = _stamp(self._said)
        if (self._made and stamp == self._read) or not self._home.is_dir():
            return False
        root, wanted = self._wanted()
        self.trouble = ""
        try:
            self._remove(root, wanted)
            self._make(wanted)
        except OSError as error:  # a full disk, or a file in the way: its services still run
            self.trouble = f"a volume cannot be shown in ~/volumes: {error}"
        self._made, self._read = True, stamp
        return True

    def _wanted(self) -> tuple[str, dict[str, str]]:
        said = read(self._said)
        root = str(said.get("root", ""))
        named = {str(it["name"]): str(it["path"]) for it in said.get("volumes", ())}
        return root, named

    def _remove(self, root: str, wanted: dict[str, str]) -> None:
        if self._place.is_symlink() or not self._place.is_dir():
            return
        for name in os.listdir(self._place):
            link = self._place / name
            ours = link.is_symlink() and _is_a_volume(os.readlink(link), root)
            if ours and os.readlink(link) != wanted.get(name):
                link.unlink()

    def _make(self, wanted: dict[str, str]) -> None:
        if not wanted:
            return
        self._place.mkdir(exist_ok=True)
        for name, path in wanted.items():
            link = self._place / name
            if not link.is_symlink():
                link.symlink_to(path)  # raises where something else has that name
            elif os.readlink(link) != path:
                self.trouble = f"~/volumes/{name} is a link of somebody else's"


def _is_a_volume(target: str, root: str) -> bool:
    """Whether a link leads to a volume; without a root, by the shape of its path."""
    place, data = Path(target).parent, Path(target).name
    known = str(place.parent) == root if root else place.parent.name == "volumes"
    return data == "data" and known and place.name.startswith(("vol-", "fs-"))


def _stamp(path: Path) -> Stamp:
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return None
    return now.st_mtime_ns, now.st_ino
