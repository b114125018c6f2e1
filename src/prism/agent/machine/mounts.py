"""The volumes of a machine: links in its home, at `~/volumes/NAME`.

The list of volumes is beside the machine's folder (`MachineMounts`), written by the daemon: it may
exist before the machine and after it, and change while the machine runs. Only links to volumes of
Prism are made or removed here, so neither the user's files nor a volume's data can be lost.

A home may be moved or copied. So the paths of volumes are computed from where the list is now, and
links that lead to volumes where the home was before are replaced.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prism.agent.machine.folder import Folder, read
from prism.agent.protocol import MOUNTS_FILE, Stamp, stamp
from prism.agent.sandbox.bubblewrap import volumes_of
from prism.agent.system.safe_paths import LINK, Directory

LINK_TO_VOLUME = re.compile(r"(?<=/volumes)/(vol|fs)-[0-9a-f]{17}/data$(?!\n)")


class VolumeLinks:
    """Keeps the links of one machine up to date."""

    def __init__(self, folder: Folder) -> None:
        self._file, self._home = Path(f"{folder.path}{MOUNTS_FILE}"), folder.home
        self._read: Stamp | None = None
        self._made = False
        self.trouble = ""
        """Why a link could not be made, for people."""

    def paths(self) -> list[str]:
        """The data folders of the machine's volumes, which a sandbox has to show."""
        return [path for path in self._read_volumes().values() if os.path.isdir(path)]

    def step(self) -> bool:
        """Update the links if the list has changed; returns whether it has."""
        now = stamp(self._file)
        if self._made and now == self._read:
            return False
        try:
            home = Directory.at(self._home)
        except OSError:  # it is not made yet, or was removed
            return False
        volumes = self._read_volumes()
        self.trouble = ""
        with home:
            try:
                self._change(home, volumes)
            except OSError as error:  # a full disk, or a file in the way: its services still run
                self.trouble = f"a volume cannot be shown in ~/volumes: {error}"
        self._made, self._read = True, now
        return True

    def _read_volumes(self) -> dict[str, str]:
        """The data folder of each volume, by name."""
        mounts = read(self._file)
        if not mounts and self._file.exists():  # damaged; the daemon writes it again
            mounts = read(self._file.with_name(f"{self._file.name}.copy"))
        root = volumes_root(self._file, mounts)
        return {
            str(volume["name"]): f"{root}/{volume['id']}/data"
            for volume in mounts.get("volumes", ())
        }

    def _change(self, home: Directory, volumes: dict[str, str]) -> None:
        try:
            folder = home.make("volumes") if volumes else home.folder("volumes")
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in LINK:
                raise
            if volumes:
                self.trouble = "~/volumes is not a folder, so no volume can be shown in it"
            return
        with folder:
            _remove_links(folder, volumes)
            self._make_links(folder, volumes)

    def _make_links(self, folder: Directory, volumes: dict[str, str]) -> None:
        for name, path in volumes.items():
            try:
                folder.symlink(path, name)
            except FileExistsError:
                known = folder.readlink(name)
                if known is None:
                    raise
                if known != path:
                    self.trouble = f"~/volumes/{name} is a link that Prism did not make"


def volumes_root(file: Path, mounts: Mapping[str, Any]) -> str:
    """The folder of all volumes, for the list of volumes in `file`."""
    if beside := mounts.get("beside"):
        return os.path.normpath(file.parent / str(beside))
    known, usual = str(mounts.get("root", "")), volumes_of(file)  # of an older Prism
    return usual if os.path.isdir(usual) else known


def _remove_links(folder: Directory, volumes: dict[str, str]) -> None:
    """Remove our links that are not needed any more."""
    for name in folder.names():
        target = folder.readlink(name)
        if target and LINK_TO_VOLUME.search(target) and target != volumes.get(name):
            folder.unlink(name)


def linked_volumes(home: Path) -> set[str]:
    """The ids of the volumes to which links in the `volumes` of a home lead."""
    try:
        with Directory.at(home) as root, root.folder("volumes") as folder:
            targets = [folder.readlink(name) or "" for name in folder.names()]
    except OSError:  # it has none
        return set()
    return {match[0].split("/")[1] for match in map(LINK_TO_VOLUME.search, targets) if match}


def is_a_volume(target: str, root: str) -> bool:
    """Whether a link leads to a volume in this folder of volumes."""
    match = LINK_TO_VOLUME.search(target)
    return match is not None and target[: match.start()] == root
