"""A volume is a folder; a workspace that has it finds it at `~/volumes/NAME`.

`HOME/storage/volumes/ID/data` has the data of a volume, `HOME/storage/snapshots/ID/data` that of a
snapshot. `ID.mounts.json` beside a machine's folder lists its volumes for its supervisor. So an
attachment may exist before and after its machine, and the removal of a machine's folder cannot
reach the data of a volume.
"""

import logging
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
from msgspec.structs import replace

from prism.agent.machine.mounts import linked_volumes
from prism.agent.protocol import (
    DISK_FULL_ERRORS,
    MOUNTS_FILE,
    MachineMounts,
    Mount,
    poke,
    supervisor_pid,
)
from prism.errors import Unavailable
from prism.kit.clock import WallClock
from prism.providers.local import folder as folders
from prism.providers.local.programs import why_still_mounted
from prism.providers.local.restic.access import RepositoryAccess, no_s3
from prism.providers.local.restic.fetching import check_task, receive
from prism.providers.local.restic.worker import SnapshotCopies
from prism.providers.local.storage import mirrored_file, quota
from prism.providers.local.storage.about import About
from prism.providers.local.storage.checks import MANIFEST_LOST, SnapshotChecks
from prism.providers.local.storage.measuring import FRESH, FolderSizes
from prism.providers.local.storage.mounted_folders import storage_folders
from prism.providers.local.storage.removals import LEFT_BEHIND, Removals
from prism.providers.local.storage.tree_snapshots import SnapshotWork, TreeSnapshots
from prism.providers.local.storage.trees import try_remove
from prism.storage.model import SnapshotOrigin, StorageFailure, StorageObserved, VolumeKind
from prism.storage.ports import (
    EVERYTHING,
    Disk,
    ProviderSnapshot,
    SnapshotSpec,
    StorageMetadata,
    StorageRefused,
    StorageSurvey,
    SurveyPart,
    VolumeSpec,
)

log = logging.getLogger(__name__)
STORAGE_ID = re.compile(r"(vol|fs|snap)-[0-9a-f]{17}")
MACHINE = re.compile(r"local-[0-9a-f]{17}")
GB = 2**30
Kind = TypeVar("Kind", Disk, ProviderSnapshot)
ID_PREFIXES = {VolumeKind.EBS: "vol", VolumeKind.EFS: "fs"}


NO_MOUNTS: MachineMounts = {"root": "", "volumes": []}


class LocalVolumes:
    """Implements `storage.ports.Volumes`."""

    busy = timedelta(seconds=0.25)
    calm = timedelta(seconds=5)
    patience = timedelta(seconds=1)
    early = True

    def __init__(
        self,
        root: Path,
        machines: Path,
        *,
        fresh: float = FRESH,
        access: RepositoryAccess | None = None,
    ) -> None:
        self._volumes = root.absolute() / "volumes"
        self._snapshots = root.absolute() / "snapshots"
        self._machines = machines.absolute()
        self._copies, self._removals = TreeSnapshots(), Removals()
        self._checks = SnapshotChecks(self._snapshots, self._copies)
        self._access = access or RepositoryAccess(root.absolute().parent, no_s3)
        self.copies = SnapshotCopies(self._snapshots, self._checks, self._access)
        """The copies of its snapshots at destinations."""
        self._fetched_percent: dict[str, int] = {}
        self._measuring = FolderSizes(fresh)
        self._lock = threading.Lock()
        self.unreadable: dict[str, str] = {}
        """Why the last survey could not read a volume, snapshot or machine, by its id."""
        self.disk = storage_folders(root.absolute(), self._machines)
        """Whether the disks with the volumes and snapshots are there."""
        self._remove_leftovers()

    def folder_ids(self) -> set[str]:
        """The ids of all folders of volumes and snapshots."""
        names = (*_list_names(self._volumes), *_list_names(self._snapshots))
        return {name for name in names if STORAGE_ID.fullmatch(name)}

    def survey(self, parts: Collection[SurveyPart] = EVERYTHING) -> StorageSurvey:
        """Every volume and snapshot, also those being made or deleted; `parts` is ignored."""
        self.disk.require()
        return self._survey()

    def _survey(self) -> StorageSurvey:
        self._remove_obsolete_mounts()
        making = self._copies.state()
        unreadable: dict[str, str] = {}
        disks = dict(_read_abouts(self._volumes, unreadable))
        copies = dict(_read_abouts(self._snapshots, unreadable))
        sizes = self._measuring.sizes({id: self._volumes / id / "data" for id in disks})
        attached = self._holders(unreadable)
        volumes = [
            Disk(
                id=id,
                key=about.key,
                observed=StorageObserved.THERE,
                attached=frozenset(attached.get(id, ())),
                used_bytes=sizes[id],
                known=_known_facts(id, about),
            )
            for id, about in disks.items()
        ]
        snapshots = [
            ProviderSnapshot(
                id=id,
                key=about.key,
                observed=StorageObserved.THERE,
                used_bytes=about.used,
                known=_known_facts(id, about),
                one_moment=about.one_moment,
                verified=self._checks.result(id),
            )
            for id, about in copies.items()
        ]
        for id in (id for id, about in copies.items() if not about.hashed):
            self._checks.hash(id)
        for id, (key, trouble) in making.items():
            if id.startswith("snap-") and id not in copies:
                snapshots.append(self._being_made(id, key, trouble))
            elif not id.startswith("snap-") and id not in disks:
                state = StorageObserved.BROKEN if trouble else StorageObserved.MAKING
                volumes.append(Disk(id=id, key=key, observed=state, trouble=trouble))
        return self._complete_survey(volumes, snapshots, unreadable)

    def _being_made(self, id: str, key: str, trouble: StorageFailure | None) -> ProviderSnapshot:
        state = StorageObserved.BROKEN if trouble else StorageObserved.MAKING
        progress = None if trouble else self._fetched_percent.get(id)
        return ProviderSnapshot(id=id, key=key, observed=state, trouble=trouble, progress=progress)

    def _complete_survey(
        self, volumes: list[Disk], snapshots: list[ProviderSnapshot], unreadable: dict[str, str]
    ) -> StorageSurvey:
        """These volumes and snapshots, and those that are being deleted."""
        self.unreadable = unreadable
        disks = [*volumes, *self._being_deleted(Disk, self._volumes)]
        copies = [*snapshots, *self._being_deleted(ProviderSnapshot, self._snapshots)]
        return StorageSurvey(disks, copies, unreadable)

    def _being_deleted(self, kind: type[Kind], folder: Path) -> list[Kind]:
        return [
            kind(
                id=id, key=removal.key, observed=StorageObserved.DELETING, trouble=removal.trouble
            )
            for id, removal in self._removals.state(folder)
        ]

    def create(self, spec: VolumeSpec) -> Disk:
        """Make an empty folder; it appears complete, or not at all."""
        self.disk.require()
        id = volume_id(spec.key, spec.kind)
        folder = self._volumes / id
        if id in self.unreadable:  # it exists; the spec has the facts for its `about.json`
            if folder.is_dir():
                mirrored_file.write(folder / "about.json", msgspec.json.encode(_about(spec)))
            return Disk(id=id, key=spec.key, observed=StorageObserved.THERE)
        if not folder.exists():
            draft = folder.with_name(f".{id}-{secrets.token_hex(4)}")
            try:
                draft.mkdir(mode=0o700, parents=True)
                self._limit_size(spec, draft / "data")
                (draft / "data").mkdir(mode=0o700, exist_ok=True)
                mirrored_file.write(draft / "about.json", msgspec.json.encode(_about(spec)))
                draft.rename(folder)
                folders.sync(folder.parent)
                self.disk.require()  # from now on it is known that the disk holds something
            except OSError as error:
                try_remove(draft)
                if not folder.exists():
                    raise _refusal_of(error) from error
        return Disk(id=id, key=spec.key, observed=StorageObserved.THERE)

    def restore(self, spec: VolumeSpec, snapshot: str) -> Disk:
        """A folder with the data of a snapshot, which is copied in the background."""
        self.disk.require()
        id, source = volume_id(spec.key, spec.kind), self._snapshots / snapshot / "data"
        if (self._volumes / id).exists():
            return Disk(id=id, key=spec.key, observed=StorageObserved.THERE)
        if not STORAGE_ID.fullmatch(snapshot) or not source.is_dir():
            raise StorageRefused(f"There is no snapshot {snapshot} here")
        manifest = source.with_name("manifest.json")
        if not manifest.exists() and self._checks.had_manifest(snapshot):
            raise StorageRefused(f"{MANIFEST_LOST.message}. Its files are in {source}")
        work = SnapshotWork(
            self._volumes / id,
            source,
            _about(spec),
            # One that was made by an older Prism has no manifest.
            expected=manifest if manifest.exists() else None,
            prepare=partial(self._limit_size, spec),
        )
        self._copies.begin(work)
        return Disk(id=id, key=spec.key, observed=StorageObserved.MAKING)

    def attach(self, id: str, machine: str, name: str) -> None:
        """Write it into the machine's file of mounts, and notify its supervisor."""
        self.disk.require()
        data = self._volumes / id / "data"
        if not STORAGE_ID.fullmatch(id) or not data.is_dir():
            raise StorageRefused(f"There is no volume {id} here")
        self._change_mounts(machine, id, [{"id": id, "name": name, "path": str(data)}])

    def detach(self, id: str, machine: str) -> None:
        """Tell the machine's supervisor to detach; raises `StorageRefused` while in use."""
        before = self._change_mounts(machine, id, [])
        leaving = (mount for mount in before.get("leaving", ()) if mount["id"] == id)
        stuck = [mount for mount in leaving if self._can_reach(machine, mount)]
        if stuck and (why := why_still_mounted(self._machines / machine, stuck[0]["path"])):
            raise StorageRefused(why)

    def mounted(self, machine: str) -> list[Mount]:
        """The volumes that are attached to a machine; none if its file cannot be read."""
        return self._mounts(machine, {})["volumes"]

    def delete(self, id: str) -> None:
        """Rename the folder, so that nothing can use it; then remove it in the background."""
        unreadable: dict[str, str] = {}
        if machines := self._holders(unreadable).get(id):
            raise StorageRefused(f"It is still attached to {', '.join(sorted(machines))}")
        for machine, reason in unreadable.items():
            if id in self._shown_volumes(machine):
                raise StorageRefused(f"It is still in ~/volumes of {machine}, and {reason}")
            log.warning("%s is deleted: %s does not show it, although %s", id, machine, reason)
        self._remove(self._volumes, id)

    def snapshot(self, spec: SnapshotSpec, source: str) -> ProviderSnapshot:
        """A copy of a volume's data, or of a machine's home."""
        self.disk.require()
        key, id = spec.key, snapshot_id(spec.key)
        if (self._snapshots / id).exists():
            about = dict(_read_abouts(self._snapshots, {})).get(id)
            used = about.used if about else None
            return ProviderSnapshot(
                id=id, key=key, observed=StorageObserved.THERE, used_bytes=used
            )
        if MACHINE.fullmatch(source):
            data = self._machines / source / "home"
        elif STORAGE_ID.fullmatch(source):
            data = self._volumes / source / "data"
        else:
            raise StorageRefused(f"{source} is not on this computer")
        if not data.is_dir():
            raise StorageRefused(f"There is nothing of {source} to copy")
        record, omitted = _about_snapshot(spec, source), f"{self._volumes}/"
        machines = self._running_folders(source)
        work = SnapshotWork(self._snapshots / id, data, record, omitted=omitted, machines=machines)
        self._copies.begin(work)
        return ProviderSnapshot(id=id, key=key, observed=StorageObserved.MAKING)

    def fetch(
        self, spec: SnapshotSpec, kind: VolumeKind, origin: SnapshotOrigin
    ) -> ProviderSnapshot:
        """A snapshot from a destination, compared with the manifest that comes with it."""
        self.disk.require()
        key, id = spec.key, snapshot_id(spec.key)
        if (self._snapshots / id).exists():
            return ProviderSnapshot(id=id, key=key, observed=StorageObserved.THERE)
        record = _about_snapshot(spec, f"{ID_PREFIXES[kind]}-")
        record["known"] = replace(record["known"], source_id=None)
        target = self._snapshots / id
        work = SnapshotWork(
            target,
            target,
            record,
            prepare=lambda data: receive(
                data,
                origin,
                self._access,
                partial(self._copies.note_process, id),
                partial(self._fetched_percent.__setitem__, id),
            ),
            task=check_task,
        )
        self._copies.begin(work)
        return ProviderSnapshot(id=id, key=key, observed=StorageObserved.MAKING)

    def verify(self, id: str, token: str) -> None:
        """Restore a snapshot into a draft in the background, and compare all with the manifest."""
        self.disk.require()
        if not STORAGE_ID.fullmatch(id) or not (self._snapshots / id).is_dir():
            raise StorageRefused(f"There is no snapshot {id} here")
        self._checks.verify(id, token)

    def delete_snapshot(self, id: str) -> None:
        """Rename the folder, so that nothing can use it; then remove it in the background."""
        self._remove(self._snapshots, id)

    def close(self) -> None:
        """Stop copies and removals."""
        self.copies.close()
        self._copies.close()
        self._removals.close()

    def end(self) -> None:
        """Start no more copies; one that is stopped from now on has not failed."""
        self.copies.end()
        self._copies.end()

    def _limit_size(self, spec: VolumeSpec, data: Path) -> None:
        """Make its folder with a fixed size, if the file system supports that."""
        if spec.size_gb is not None and (how := quota.enforced(data.parent)):
            quota.make(data, spec.size_gb * GB, how)

    def _remove(self, folder: Path, id: str) -> None:
        if not STORAGE_ID.fullmatch(id):
            return
        self.disk.require()
        self._copies.forget(id)
        self._checks.forget(id)
        self._removals.begin(folder, id)

    def _remove_leftovers(self) -> None:
        """Remove incomplete and half removed folders of a daemon that died."""
        for folder in (self._volumes, self._snapshots):
            for name in _list_names(folder):
                if LEFT_BEHIND.fullmatch(name):
                    self._removals.continue_removal(folder / name)

    def _holders(self, unreadable: dict[str, str]) -> dict[str, set[str]]:
        """The machines of each volume; adds those whose file cannot be read to `unreadable`."""
        attached: dict[str, set[str]] = {}
        for name in _list_names(self._machines):
            if name.endswith(MOUNTS_FILE) and MACHINE.fullmatch(
                machine := name[: -len(MOUNTS_FILE)]
            ):
                known = self._mounts(machine, unreadable)
                leaving = known.get("leaving", ())
                parting = (mount for mount in leaving if self._can_reach(machine, mount))
                for mount in (*known["volumes"], *parting):
                    attached.setdefault(mount["id"], set()).add(machine)
        return attached

    def _remove_obsolete_mounts(self) -> None:
        """Remove the files of mounts that say nothing: of machines that show no volume any more.

        Such a file stays if its machine ended while its volumes were detached, or was damaged.
        """
        for name in _list_names(self._machines):
            if name.endswith(MOUNTS_FILE) and MACHINE.fullmatch(
                machine := name[: -len(MOUNTS_FILE)]
            ):
                with self._lock:
                    unreadable: dict[str, str] = {}
                    known = self._mounts(machine, unreadable)
                    leaving = [m for m in known.get("leaving", ()) if self._can_reach(machine, m)]
                    if known["volumes"] or leaving:
                        continue
                    if unreadable and self._shown_volumes(machine):
                        continue
                    for reason in unreadable.values():
                        log.warning("removed, since its machine shows no volume: %s", reason)
                    mirrored_file.remove(self._machines / name)

    def _shown_volumes(self, machine: str) -> set[str]:
        """The ids of the volumes that a machine can reach or has links to, whatever its file says.

        Its programs can change the links, so they only ever protect a volume.
        """
        folder = self._machines / machine
        report, pid = folders.read_report(folder), supervisor_pid(str(folder))
        let_in = report.get("let_in", ()) if pid and report else ()
        return {Path(path).parent.name for path in let_in} | linked_volumes(folder / "home")

    def _running_folders(self, source: str) -> tuple[Path, ...]:
        """The folders of the machines whose programs may write there now."""
        names = {source} if MACHINE.fullmatch(source) else self._holders({}).get(source, set())
        paths = (self._machines / name for name in sorted(names))
        return tuple(
            folder
            for folder in paths
            if (report := folders.read_report(folder)) and report["phase"] == "on"
        )

    def _can_reach(self, machine: str, mount: Mount) -> bool:
        """Whether programs of a running machine can still reach a volume."""
        folder = self._machines / machine
        report, pid = folders.read_report(folder), supervisor_pid(str(folder))
        return bool(pid and report and mount["path"] in report.get("let_in", ()))

    def _mounts(self, machine: str, unreadable: dict[str, str]) -> MachineMounts:
        """Its volumes; none if its file cannot be read, so that they are attached anew."""
        path = self._machines / f"{machine}{MOUNTS_FILE}"
        try:
            known = mirrored_file.read(path, MachineMounts) if path.exists() else NO_MOUNTS
        except FileNotFoundError:
            return NO_MOUNTS
        except mirrored_file.BothCopiesUnreadable as why:
            unreadable[machine] = (
                f"{why.message}. Attach its volumes again (`prism volume attach`), or terminate it"
            )
            return NO_MOUNTS
        return {
            **known,
            "volumes": [*map(self._here, known["volumes"])],
            "leaving": [*map(self._here, known.get("leaving", ()))],
        }

    def _here(self, mount: Mount) -> Mount:
        """The mount with the path of its volume in this home, which may have been moved."""
        path = str(self._volumes / mount["id"] / "data")
        return {"id": mount["id"], "name": mount["name"], "path": path}

    def _change_mounts(self, machine: str, id: str, new: list[Mount]) -> MachineMounts:
        """Replace a volume in a machine's file of mounts by `new`; the volumes before that."""
        with self._lock:
            unreadable: dict[str, str] = {}
            before = self._mounts(machine, unreadable)
            remaining = [mount for mount in before["volumes"] if mount["id"] != id]
            self._write_mounts(machine, before, [*remaining, *new], anew=bool(unreadable))
            return before

    def _write_mounts(
        self, machine: str, before: MachineMounts, after: list[Mount], *, anew: bool
    ) -> None:
        if not MACHINE.fullmatch(machine):
            raise StorageRefused(f"{machine} is not a workspace of this computer")
        attached_ids = {mount["id"] for mount in after}
        leaving_before = before.get("leaving", [])
        gone = {mount["id"]: mount for mount in (*leaving_before, *before["volumes"])}
        parted = [mount for id, mount in gone.items() if id not in attached_ids]
        leaving = [mount for mount in parted if self._can_reach(machine, mount)]
        same = sorted(before["volumes"], key=_by_name) == sorted(after, key=_by_name)
        if not anew and same and leaving == leaving_before:
            return
        path = self._machines / f"{machine}{MOUNTS_FILE}"
        if after or leaving:
            self._machines.mkdir(mode=0o700, parents=True, exist_ok=True)
            document: MachineMounts = {
                "root": str(self._volumes),
                "beside": os.path.relpath(self._volumes, self._machines),
                "volumes": after,
                "leaving": leaving,
            }
            mirrored_file.write(path, msgspec.json.encode(document))
        else:
            mirrored_file.remove(path)
        poke(self._machines / machine)


def volume_id(key: str, kind: VolumeKind) -> str:
    """The id of the volume with this key; always the same."""
    return f"{ID_PREFIXES[kind]}-{sha256(key.encode()).hexdigest()[:17]}"


def snapshot_id(key: str) -> str:
    """The id of the snapshot with this key; always the same."""
    return f"snap-{sha256(key.encode()).hexdigest()[:17]}"


def _about(spec: VolumeSpec) -> dict[str, Any]:
    fields = {
        field: getattr(spec, field)
        for field in StorageMetadata.__struct_fields__
        if hasattr(spec, field)
    }
    known = StorageMetadata(**fields, created_at=WallClock().now())
    return {"key": spec.key, "name": spec.name, "known": known}


def _about_snapshot(spec: SnapshotSpec, source: str) -> dict[str, Any]:
    known = StorageMetadata(
        name=spec.name,
        owner=spec.owner,
        project=spec.project,
        kind=VolumeKind.EFS if source.startswith("fs-") else VolumeKind.EBS,
        source=spec.source,
        source_id=source,
        created_at=WallClock().now(),
    )
    return {"key": spec.key, "name": spec.name, "known": known}


def _known_facts(id: str, about: About) -> StorageMetadata:
    """The facts in its folder; an older one has only the name."""
    kind = VolumeKind.EFS if id.startswith("fs-") else VolumeKind.EBS
    return about.known or StorageMetadata(name=about.name, kind=kind)


def _by_name(mount: Mount) -> str:
    return mount["name"]


def _read_abouts(folder: Path, unreadable: dict[str, str]) -> Iterator[tuple[str, About]]:
    """The `about.json` of each folder; those that cannot be read are added to `unreadable`."""
    for name in _list_names(folder):
        if STORAGE_ID.fullmatch(name):
            try:
                yield name, mirrored_file.read(folder / name / "about.json", About)
            except mirrored_file.BothCopiesUnreadable as why:
                unreadable[name] = why.message
            except FileNotFoundError as missing:
                if (folder / name).exists():  # else it was moved aside meanwhile
                    unreadable[name] = f"{missing.filename} is missing"


def _list_names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Unavailable(f"The storage of this machine cannot be read: {error}") from error


def _refusal_of(error: OSError) -> StorageRefused:
    if error.errno in DISK_FULL_ERRORS:
        return StorageRefused("There is no space for a volume on this computer")
    return StorageRefused(f"No volume can be made on this machine: {error}")
