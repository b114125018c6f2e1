"""A destination that somebody else wrote: nothing leaves the draft, and nothing false is kept."""

import base64
import json
import os
import shutil

import msgspec
import pytest

from prism.copies.destinations import parse
from prism.providers.local.restic.failures import RepositoryFailed
from prism.providers.local.restic.repository import Repository
from prism.providers.local.storage.volumes import snapshot_id
from prism.storage.model import StorageObserved
from tests.providers.local.restic.conftest import TAKEN


@pytest.fixture
def forged(home, disk, tmp_path):
    """Stores a snapshot's folder after `change` was called with it; the id of the copy."""

    def forge(change):
        (home.data / "file").write_text("content")
        home.take("snapshot_1")
        home.volumes._checks.complete_hashes(snapshot_id("snapshot_1"))
        folder = tmp_path / "forged"
        source = home.folder / "storage" / "snapshots" / snapshot_id("snapshot_1")
        shutil.copytree(source, folder, symlinks=True)
        os.utime(folder / "data" / "file", ns=(1, (source / "data" / "file").stat().st_mtime_ns))
        os.utime(folder / "data", ns=(1, (source / "data").stat().st_mtime_ns))
        change(folder)
        repository = Repository(parse(str(disk)))
        repository.make()
        label = home.order("snapshot_1", disk).label
        return repository.add(folder, label, "evil", lambda *_: None).id

    return forge


def entries_changed(change):
    """Changes the entries of a manifest."""

    def apply(folder):
        manifest = json.loads((folder / "manifest.json").read_bytes())
        change(manifest["entries"])
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return apply


def replaced_by_link(name, target):
    def apply(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(target)

    return apply


def with_device(folder):
    os.mknod(folder / "data" / "null", 0o20666, os.makedev(1, 3))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["entries"].append([1, "null", "device", 0o666, 0, 0, 0, 0, None, {}])
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_what_was_not_changed_is_fetched(forged, make_home, disk):
    remote = forged(lambda _: None)
    folder = make_home("other").fetched(disk, remote)
    assert (folder / "data" / "file").read_text() == "content"


def added(folder):
    (folder / "data" / "added").write_text("x")
    (folder / "data" / "link").symlink_to("/etc")


CHANGES = {
    "content": lambda folder: (folder / "data" / "file").write_text("CONTENT"),
    "an added file": added,
    "a missing file": lambda folder: (folder / "data" / "file").unlink(),
    "a mode": lambda folder: (folder / "data" / "file").chmod(0o4777),
    "a path in a name": entries_changed(
        lambda entries: entries.append(
            [1, "../../../../escaped", "file", 0o644, 0, 0, 1, 0, "0" * 64, {}]
        )
    ),
    "a depth": entries_changed(
        lambda entries: entries.append([10**9, "x", "file", 0o644, 0, 0, 1, 0, None, {}])
    ),
    "a huge number": entries_changed(lambda entries: entries[1].__setitem__(6, 10**30)),
    "a wrong type": entries_changed(lambda entries: entries[1].__setitem__(1, ["x"])),
    "an attribute": entries_changed(lambda entries: entries[1].append({"user.x": "no hex"})),
    "no entries": entries_changed(list.clear),
    "no JSON": lambda folder: (folder / "manifest.json").write_bytes(b"\x00\xff"),
    "deep JSON": lambda folder: (folder / "manifest.json").write_text("[" * 200_000),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "a manifest elsewhere": replaced_by_link("manifest.json", "/etc/hostname"),
    "data elsewhere": replaced_by_link("data", "/etc"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_differs_from_its_manifest_is_not_kept(forged, make_home, disk, tmp_path, change):
    try:
        remote = forged(change)
    except RepositoryFailed as error:  # restic's own refusal of a folder without a manifest
        assert "manifest.json" in str(error)
        return
    other = make_home("other")
    before = sorted(path.name for path in tmp_path.iterdir())
    copy = other.fetch(disk, remote)
    assert copy.observed is StorageObserved.BROKEN
    assert copy.trouble.code in {"COPY_FAILED", "COPY_DAMAGED"}, copy.trouble
    assert not any((other.folder / "storage" / "snapshots").iterdir()), "the draft is removed"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices")
def test_a_device_is_not_kept_though_its_manifest_lists_it(forged, make_home, disk):
    remote = forged(with_device)
    copy = make_home("other").fetch(disk, remote)
    assert copy.observed is StorageObserved.BROKEN
    assert "device" in copy.trouble.message


def test_only_data_and_manifest_are_taken(forged, make_home, disk, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    repository_id = forged(
        lambda folder: [
            (folder / "about.json").unlink(),
            (folder / "about.json").symlink_to(outside),
        ]
    )
    folder = make_home("other").fetched(disk, repository_id)
    assert outside.read_text() == "mine"
    assert not (folder / "about.json").is_symlink()


@pytest.mark.parametrize(
    "label",
    [
        b"no base64",
        base64.urlsafe_b64encode(b"{}"),
        base64.urlsafe_b64encode(json.dumps({"name": "../../x"}).encode()),
    ],
)
def test_an_entry_that_is_not_ours_is_not_listed(home, disk, tmp_path, label):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    repository = Repository(parse(str(disk)))
    repository.make()
    tags = f"prism,about={label.decode()}"
    repository._run("backup", "--tag", tags, ".", folder=tmp_path / "folder")
    assert home.volumes.copies.listing(str(disk), None) == []


def test_a_hostile_name_in_a_label_is_not_listed(home, disk, tmp_path):
    repository = Repository(parse(str(disk)))
    repository.make()
    home.take("snapshot_1")
    folder = home.folder / "storage" / "snapshots" / snapshot_id("snapshot_1")
    for name in ("../../x", "x\ny", "-rf", ""):
        label = home.order(name or "e", disk, taken_at=TAKEN).label
        document = msgspec.to_builtins(label) | {"name": name}
        about = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
        repository._run("backup", "--tag", f"prism,about={about}", "data", folder=folder)
    assert home.volumes.copies.listing(str(disk), None) == []


def test_a_time_without_a_zone_is_not_listed_and_hides_nothing(home, disk):
    home.take("snapshot_1")
    home.copied("snapshot_1", disk)
    document = msgspec.to_builtins(home.order("other", disk).label)
    document["taken_at"] = "2026-01-02T03:04:05"
    about = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
    folder = home.folder / "storage" / "snapshots" / snapshot_id("snapshot_1")
    repository = Repository(parse(str(disk)))
    repository._run("backup", "--tag", f"prism,about={about}", "data", folder=folder)
    [copy] = home.volumes.copies.listing(str(disk), None)
    assert copy.label.key == "snapshot_1"
