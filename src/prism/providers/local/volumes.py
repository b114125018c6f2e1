"""A volume is a folder; a workspace that has it finds it at `~/volumes/NAME`.

`HOME/storage/volumes/ID/data` is what a volume holds, `HOME/storage/snapshots/ID/data` a
snapshot. Beside a machine's folder stands `ID.mounts.json`: the volumes it has, read by its
supervisor. So an attachment may come before its machine and outlive it, and what destroys a
machine's folder has never anything of a volume within its reach.
"""

import os
import re
import secrets
import threading
from collections.abc import Collection, Iterator
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from prism.agent.protocol import FULL, MOUNTS, MachineMounts, Mount
from prism.errors import Unavailable
from prism.kit.clock import WallClock
from prism.providers.local import folder as folders
from prism.providers.local import quota, supervision, two_copies
from prism.providers.local.about import About
from prism.providers.local.checks import MANIFEST_LOST, SnapshotChecks
from prism.providers.local.measuring import FRESH, Measuring
from prism.providers.local.programs import why_not_out
from prism.providers.local.removals import LEFT_BEHIND, Removals
from prism.providers.local.tree_snapshots import SnapshotWork, TreeSnapshots
from prism.providers.local.trees import cleared
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import (
    EVERYTHING,
    Disk,
    Known,
    ProviderSnapshot,
    SnapshotOrder,
    StorageRefused,
    StorageSurvey,
    SurveyPart,
    VolumeOrder,
)

ID = re.compile(r"(vol|fs|snap)-[0-9a-f]{17}")
MACHINE = re.compile(r"local-[0-9a-f]{17}")
GB = 2**30
Kind = TypeVar("Kind", Disk, ProviderSnapshot)
PREFIX = {VolumeKind.EBS: "vol", VolumeKind.EFS: "fs"}


NOTHING: MachineMounts = {"root": "", "volumes": []}


class LocalVolumes:
    """Implements `storage.ports.Volumes`."""

    busy = timedelta(seconds=0.25)
    calm = timedelta(seconds=5)
    patience = timedelta(seconds=1)
    early = True

    def __init__(self, root: Path, machines: Path, *, fresh: float = FRESH) -> None:
        self._volumes = root.absolute() / "volumes"
        self._snapshots = root.absolute() / "snapshots"
        self._machines = machines.absolute()
        self._copies, self._removals = TreeSnapshots(), Removals()
        self._checks = SnapshotChecks(self._snapshots, self._copies)
        self._measuring = Measuring(fresh)
        self._lock = threading.Lock()
        self.unreadable: dict[str, str] = {}
        """What the last survey could not read, by the id of a volume, snapshot or machine."""
        self._sweep()

    def survey(self, parts: Collection[SurveyPart] = EVERYTHING) -> StorageSurvey:
        """Every folder, and every copy that is on its way, whatever was asked for."""
        making = self._copies.state()
        bad: dict[str, str] = {}
        disks = dict(_known(self._volumes, bad))
        copies = dict(_known(self._snapshots, bad))
        sizes = self._measuring.sizes({id: self._volumes / id / "data" for id in disks})
        attached = self._attached(bad)
        found = [
            Disk(
                id=id,
                key=about.key,
                seen=StorageObserved.THERE,
                attached=frozenset(attached.get(id, ())),
                used_bytes=sizes[id],
                known=_known_of(id, about),
            )
            for id, about in disks.items()
        ]
        snapshots = [
            ProviderSnapshot(
                id=id,
                key=about.key,
                seen=StorageObserved.THERE,
                used_bytes=about.used,
                known=_known_of(id, about),
                one_moment=about.one_moment,
                verified=self._checks.result(id),
            )
            for id, about in copies.items()
        ]
        for id in (id for id, about in copies.items() if not about.hashed):
            self._checks.hash(id)
        for id, (key, trouble) in making.items():
            seen = StorageObserved.BROKEN if trouble else StorageObserved.MAKING
            if id.startswith("snap-") and id not in copies:
                snapshots.append(ProviderSnapshot(id=id, key=key, seen=seen, trouble=trouble))
            elif not id.startswith("snap-") and id not in disks:
                found.append(Disk(id=id, key=key, seen=seen, trouble=trouble))
        return self._whole(found, snapshots, bad)

    def _whole(
        self, found: list[Disk], kept: list[ProviderSnapshot], bad: dict[str, str]
    ) -> StorageSurvey:
        """All of that, and what is on its way out."""
        self.unreadable = bad
        disks = [*found, *self._leaving(Disk, self._volumes)]
        copies = [*kept, *self._leaving(ProviderSnapshot, self._snapshots)]
        return StorageSurvey(disks, copies, bad)

    def _leaving(self, kind: type[Kind], place: Path) -> list[Kind]:
        return [
            kind(id=id, key=removal.key, seen=StorageObserved.DELETING, trouble=removal.trouble)
            for id, removal in self._removals.state(place)
        ]

    def create(self, order: VolumeOrder) -> Disk:
        """An empty folder; it appears whole, at once, or not at all."""
        id = volume_id(order.key, order.kind)
        folder = self._volumes / id
        if id in self.unreadable:  # it is there; the caller knows what it should say of itself
            if folder.is_dir():
                two_copies.write(folder / "about.json", msgspec.json.encode(_about(order)))
            return Disk(id=id, key=order.key, seen=StorageObserved.THERE)
        if not folder.exists():
            draft = folder.with_name(f".{id}-{secrets.token_hex(4)}")
            try:
                draft.mkdir(mode=0o700, parents=True)
                self._confine(order, draft / "data")
                (draft / "data").mkdir(mode=0o700, exist_ok=True)
                two_copies.write(draft / "about.json", msgspec.json.encode(_about(order)))
                draft.rename(folder)
                folders.sync(folder.parent)
            except OSError as error:
                cleared(draft)
                if not folder.exists():
                    raise _refused(error) from error
        return Disk(id=id, key=order.key, seen=StorageObserved.THERE)

    def restore(self, order: VolumeOrder, snapshot: str) -> Disk:
        """A folder with what a snapshot holds, once it has been copied."""
        id, source = volume_id(order.key, order.kind), self._snapshots / snapshot / "data"
        if (self._volumes / id).exists():
            return Disk(id=id, key=order.key, seen=StorageObserved.THERE)
        if not ID.fullmatch(snapshot) or not source.is_dir():
            raise StorageRefused(f"There is no snapshot {snapshot} here")
        manifest = source.with_name("manifest.json")
        if not manifest.exists() and self._checks.had_manifest(snapshot):
            raise StorageRefused(f"{MANIFEST_LOST.message}. Its files are in {source}")
        work = SnapshotWork(
            self._volumes / id,
            source,
            _about(order),
            expected=manifest
            if manifest.exists()
            else None,  # one made by an older Prism has none
            prepare=partial(self._confine, order),
        )
        self._copies.begin(work)
        return Disk(id=id, key=order.key, seen=StorageObserved.MAKING)

    def attach(self, id: str, machine: str, name: str) -> None:
        """Note it beside the machine's folder, and tell its supervisor."""
        data = self._volumes / id / "data"
        if not ID.fullmatch(id) or not data.is_dir():
            raise StorageRefused(f"There is no volume {id} here")
        with self._lock:
            bad: dict[str, str] = {}
            now = self._mounts(machine, bad)
            others = [mount for mount in now["volumes"] if mount["id"] != id]
            volume: Mount = {"id": id, "name": name, "path": str(data)}
            self._note(machine, now, [*others, volume], anew=bool(bad))

    def detach(self, id: str, machine: str) -> None:
        """Have the machine's supervisor detach it; raises `StorageRefused` while it is in use."""
        with self._lock:
            bad: dict[str, str] = {}
            now = self._mounts(machine, bad)
            others = [mount for mount in now["volumes"] if mount["id"] != id]
            self._note(machine, now, others, anew=bool(bad))
        leaving = (mount for mount in now.get("leaving", ()) if mount["id"] == id)
        stuck = [mount for mount in leaving if self._reaches(machine, mount)]
        if stuck and (why := why_not_out(self._machines / machine, stuck[0]["path"])):
            raise StorageRefused(why)

    def mounted(self, machine: str) -> list[Mount]:
        """The volumes that are attached to a machine; none where its file cannot be read."""
        return self._mounts(machine, {})["volumes"]

    def delete(self, id: str) -> None:
        """Put it out of reach, which is at once; it is `deleting` until nothing is left."""
        bad: dict[str, str] = {}
        if machines := self._attached(bad).get(id):
            raise StorageRefused(f"It is still attached to {', '.join(sorted(machines))}")
        if bad:  # it may be attached there
            raise StorageRefused(next(iter(bad.values())))
        self._remove(self._volumes, id)

    def snapshot(self, order: SnapshotOrder, source: str) -> ProviderSnapshot:
        """A copy of what a volume's folder, or a machine's home, holds."""
        key, id = order.key, snapshot_id(order.key)
        if (self._snapshots / id).exists():
            about = dict(_known(self._snapshots, {})).get(id)
            used = about.used if about else None
            return ProviderSnapshot(id=id, key=key, seen=StorageObserved.THERE, used_bytes=used)
        if MACHINE.fullmatch(source):
            data = self._machines / source / "home"
        elif ID.fullmatch(source):
            data = self._volumes / source / "data"
        else:
            raise StorageRefused(f"{source} is not on this computer")
        if not data.is_dir():
            raise StorageRefused(f"There is nothing of {source} to copy")
        said, omitted = _about_copy(order, source), f"{self._volumes}/"
        machines = self._running_with(source)
        work = SnapshotWork(self._snapshots / id, data, said, omitted=omitted, machines=machines)
        self._copies.begin(work)
        return ProviderSnapshot(id=id, key=key, seen=StorageObserved.MAKING)

    def verify(self, id: str, token: str) -> None:
        """Restore it into a draft in the background, and compare all of it with its manifest."""
        if not ID.fullmatch(id) or not (self._snapshots / id).is_dir():
            raise StorageRefused(f"There is no snapshot {id} here")
        self._checks.verify(id, token)

    def delete_snapshot(self, id: str) -> None:
        """Put it out of reach, which is at once; it is `deleting` until nothing is left."""
        self._remove(self._snapshots, id)

    def close(self) -> None:
        """Copy no more."""
        self._copies.close()
        self._removals.close()

    def end(self) -> None:
        """Begin no copy any more; one that is ended from now on did not fail."""
        self._copies.end()

    def _confine(self, order: VolumeOrder, data: Path) -> None:
        """Make its folder one of a fixed size, where that can be."""
        if order.size_gb is not None and (how := quota.enforced(data.parent)):
            quota.make(data, order.size_gb * GB, how)

    def _remove(self, place: Path, id: str) -> None:
        if not ID.fullmatch(id):
            return
        self._copies.forget(id)
        self._removals.begin(place, id)

    def _sweep(self) -> None:
        """Remove what a daemon that died has left half made, or half removed."""
        for place in (self._volumes, self._snapshots):
            for name in _names(place):
                if LEFT_BEHIND.fullmatch(name):
                    self._removals.go_on(place / name)

    def _attached(self, bad: dict[str, str]) -> dict[str, set[str]]:
        """The machines of each volume; `bad` takes those whose file says nothing."""
        found: dict[str, set[str]] = {}
        for name in _names(self._machines):
            if name.endswith(MOUNTS) and MACHINE.fullmatch(machine := name[: -len(MOUNTS)]):
                known = self._mounts(machine, bad)
                leaving = known.get("leaving", ())
                parting = (mount for mount in leaving if self._reaches(machine, mount))
                for mount in (*known["volumes"], *parting):
                    found.setdefault(mount["id"], set()).add(machine)
        return found

    def _running_with(self, source: str) -> tuple[Path, ...]:
        """The folders of the machines whose programs may write there at this moment."""
        names = {source} if MACHINE.fullmatch(source) else self._attached({}).get(source, set())
        found = (self._machines / name for name in sorted(names))
        return tuple(
            folder for folder in found if (seen := folders.seen(folder)) and seen["phase"] == "on"
        )

    def _reaches(self, machine: str, mount: Mount) -> bool:
        """Whether programs of a machine that runs can still reach a volume."""
        folder = self._machines / machine
        seen = folders.seen(folder)
        return bool(
            seen and mount["path"] in seen.get("let_in", ()) and folders.holder(str(folder))
        )

    def _mounts(self, machine: str, bad: dict[str, str]) -> MachineMounts:
        """What it has; where its file says nothing, that is attached anew, one by one."""
        path = self._machines / f"{machine}{MOUNTS}"
        try:
            return two_copies.read(path, MachineMounts) if path.exists() else NOTHING
        except FileNotFoundError:
            return NOTHING
        except two_copies.BothCopiesUnreadable as why:
            bad[machine] = why.message
            return NOTHING

    def _note(
        self,
        machine: str,
        before: MachineMounts,
        after: list[Mount],
        *,
        anew: bool = False,
    ) -> None:
        if not MACHINE.fullmatch(machine):
            raise StorageRefused(f"{machine} is not a workspace of this computer")
        kept = {mount["id"] for mount in after}
        left = before.get("leaving", [])
        gone = {mount["id"]: mount for mount in (*left, *before["volumes"])}
        parted = [mount for id, mount in gone.items() if id not in kept]
        leaving = [mount for mount in parted if self._reaches(machine, mount)]
        same = sorted(before["volumes"], key=_by_name) == sorted(after, key=_by_name)
        if not anew and same and leaving == left:
            return
        path = self._machines / f"{machine}{MOUNTS}"
        if after or leaving:
            self._machines.mkdir(mode=0o700, parents=True, exist_ok=True)
            said: MachineMounts = {
                "root": str(self._volumes),
                "volumes": after,
                "leaving": leaving,
            }
            two_copies.write(path, msgspec.json.encode(said))
        else:
            two_copies.remove(path)
        supervision.poke(self._machines / machine)


def volume_id(key: str, kind: VolumeKind) -> str:
    """The id of the volume that this key makes; the same each time."""
    return f"{PREFIX[kind]}-{sha256(key.encode()).hexdigest()[:17]}"


def snapshot_id(key: str) -> str:
    """The id of the snapshot that this key makes; the same each time."""
    return f"snap-{sha256(key.encode()).hexdigest()[:17]}"


def _about(order: VolumeOrder) -> dict[str, Any]:
    said = {
        field: getattr(order, field) for field in Known.__struct_fields__ if hasattr(order, field)
    }
    known = Known(**said, created_at=WallClock().now())
    return {"key": order.key, "name": order.name, "known": known}


def _about_copy(order: SnapshotOrder, source: str) -> dict[str, Any]:
    known = Known(
        name=order.name,
        owner=order.owner,
        project=order.project,
        kind=VolumeKind.EFS if source.startswith("fs-") else VolumeKind.EBS,
        source=order.source,
        source_id=source,
        created_at=WallClock().now(),
    )
    return {"key": order.key, "name": order.name, "known": known}


def _known_of(id: str, about: About) -> Known:
    """What its folder says; of an older one hardly more than the name."""
    kind = VolumeKind.EFS if id.startswith("fs-") else VolumeKind.EBS
    return about.known or Known(name=about.name, kind=kind)


def _by_name(mount: Mount) -> str:
    return mount["name"]


def _known(place: Path, bad: dict[str, str]) -> Iterator[tuple[str, About]]:
    """What each folder says; `bad` takes those that say nothing."""
    for name in _names(place):
        if ID.fullmatch(name):
            try:
                yield name, two_copies.read(place / name / "about.json", About)
            except two_copies.BothCopiesUnreadable as why:
                bad[name] = why.message
            except FileNotFoundError as missing:
                if (place / name).exists():  # else it was moved aside meanwhile
                    bad[name] = f"{missing.filename} is missing"


def _names(place: Path) -> list[str]:
    try:
        return sorted(os.listdir(place))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Unavailable(f"The storage of this machine cannot be read: {error}") from error


def _refused(error: OSError) -> StorageRefused:
    if error.errno in FULL:
        return StorageRefused("There is no space for a volume on this computer")
    return StorageRefused(f"No volume can be made on this machine: {error}")
