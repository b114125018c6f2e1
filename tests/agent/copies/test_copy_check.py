"""A copy that differs from what was read fails before the snapshot is completed."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from prism.agent.copies.copy_check import CopyCheck, hash_files
from prism.agent.copies.file_copy import StopRequest, TreeCopyFailed, TreeCopyStopped
from prism.agent.copies.manifest import ManifestEntry, save
from prism.agent.copies.tree_check import check_tree
from prism.agent.copies.tree_copier import TreeCopier
from prism.agent.system.safe_paths import Directory


class NoStopRequest(StopRequest):
    def __init__(self):
        self.requested = False


@pytest.fixture
def finished_copy(tmp_path):
    """A copier that has made a copy, and where the copy is."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "folder").mkdir(parents=True)
    target.mkdir()
    (source / "folder" / "file").write_bytes(b"x" * 5000)
    os.link(source / "folder" / "file", source / "same")
    (source / "link").symlink_to("folder/file")
    with Directory.at(source) as first, Directory.at(target) as other:
        copier = TreeCopier(first, other, NoStopRequest())
        assert copier.run() is True
        yield copier, target


def check(copier, target):
    done = CopyCheck(copier.root)
    with Directory.at(target) as folder:
        done.run(folder)
    return done


def test_copy_check_counts_hard_linked_files_once_and_reports_hashing(finished_copy):
    copier, target = finished_copy
    done = check(copier, target)
    taken = {path.stat().st_ino: path.lstat().st_blocks for path in [target, *target.rglob("*")]}
    assert done.used == 512 * sum(taken.values()), "a hard link uses no space"
    assert done.is_hashed is True
    clone = [file for file in copier.root.below.values() if file.kind == "file"]
    clone[0].extra = None  # as if the kernel had copied the file without reading it
    assert check(copier, target).is_hashed is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda at: (at / "same").unlink(), "same is missing in the copy"),
        (lambda at: (at / "folder" / "more").touch(), "more is in the copy and was not read"),
        (lambda at: replace(at / "folder" / "file", b"y" * 4999), "file is not in the copy"),
        (lambda at: replace(at / "folder" / "file", b"x" * 5000), "file is not in the copy"),
        (lambda at: relink(at / "link"), "link is not in the copy"),
        (lambda at: (at / "folder").rename(at / "other"), "folder is missing"),
    ],
    ids=["missing", "added", "shorter", "newer", "link", "renamed"],
)
def test_copy_check_names_the_entry_that_differs(finished_copy, change, message):
    copier, target = finished_copy
    change(target)
    with pytest.raises(TreeCopyFailed, match=message):
        check(copier, target)


def replace(path: Path, content):
    """Replace the file by another."""
    path.with_name("new").write_bytes(content)
    path.with_name("new").rename(path)


def relink(path: Path):
    """Replace the link by one of the same length and time to another target."""
    at = path.lstat()
    path.unlink()
    path.symlink_to("folder/fily")
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns), follow_symlinks=False)


def test_copy_check_ignores_inode_numbers_of_listings(finished_copy):
    """Some layered file systems list other inode numbers than an open file has."""
    copier, target = finished_copy
    for entry in copier.root.below["folder"].below.values():
        entry.copied_inode += 1
    assert check(copier, target).used > 0


class EarlyStopRequest(NoStopRequest):
    """It comes after some reads."""

    def __init__(self, reads):
        self.reads = reads

    @property
    def requested(self):  # type: ignore[override]
        self.reads -= 1
        return self.reads < 0


def test_hashing_stops_within_a_file_that_a_workspace_made_endless(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 43)  # takes no space, and hours to hash
    root = ManifestEntry("folder")
    root.below["sparse"] = ManifestEntry("file")
    with Directory.at(tmp_path) as tree, pytest.raises(TreeCopyStopped):
        hash_files(tree, None, root, EarlyStopRequest(10))


def test_hash_is_that_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 700_000)
    root = ManifestEntry("folder")
    root.below["file"] = entry = ManifestEntry("file")
    with Directory.at(tmp_path) as tree:
        hash_files(tree, None, root, NoStopRequest())
    assert entry.extra == sha256(b"x" * 700_000).hexdigest()


def test_comparing_a_received_tree_stops_within_a_file_that_its_maker_made_endless(tmp_path):
    (tree := tmp_path / "data").mkdir()
    with open(tree / "sparse", "wb") as file:
        file.truncate(1 << 43)
    save(str(tmp_path / "manifest.json"), ManifestEntry("folder"))
    with Directory.at(tree) as opened, pytest.raises(TreeCopyStopped):
        check_tree(opened, str(tmp_path / "manifest.json"), EarlyStopRequest(10))
