"""A copy that is not what was read is found before anybody calls it completed."""

import os
from pathlib import Path

import pytest

from prism.agent.copy_check import CopyCheck
from prism.agent.file_copy import StopRequest, TreeCopyFailed
from prism.agent.safe_paths import Directory
from prism.agent.tree_copier import TreeCopier


class NotAsked(StopRequest):
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
        copier = TreeCopier(first, other, NotAsked())
        assert copier.run() is True
        yield copier, target


def check(copier, target):
    done = CopyCheck(copier.root)
    with Directory.at(target) as folder:
        done.run(folder)
    return done


def test_a_copy_is_compared_and_what_it_takes_is_counted_once(finished_copy):
    copier, target = finished_copy
    done = check(copier, target)
    taken = {path.stat().st_ino: path.lstat().st_blocks for path in [target, *target.rglob("*")]}
    assert done.used == 512 * sum(taken.values()), "a hard link takes nothing"
    assert done.is_hashed is True
    clone = [file for file in copier.root.below.values() if file.kind == "file"]
    clone[0].extra = None  # as where the system has copied it unread
    assert check(copier, target).is_hashed is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda at: (at / "same").unlink(), "same is missing in the copy"),
        (lambda at: (at / "folder" / "more").touch(), "more is in the copy and was not read"),
        (lambda at: replaced(at / "folder" / "file", b"y" * 4999), "file is not in the copy"),
        (lambda at: replaced(at / "folder" / "file", b"x" * 5000), "file is not in the copy"),
        (lambda at: relinked(at / "link"), "link is not in the copy"),
        (lambda at: (at / "folder").rename(at / "other"), "folder is missing"),
    ],
    ids=["missing", "added", "shorter", "newer", "link", "renamed"],
)
def test_what_is_different_is_named(finished_copy, change, message):
    copier, target = finished_copy
    change(target)
    with pytest.raises(TreeCopyFailed, match=message):
        check(copier, target)


def replaced(path: Path, content):
    """Another file is put in its place."""
    path.with_name("new").write_bytes(content)
    path.with_name("new").rename(path)


def relinked(path: Path):
    """A link of the same length and time leads elsewhere."""
    at = path.lstat()
    path.unlink()
    path.symlink_to("folder/fily")
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns), follow_symlinks=False)


def test_a_listing_whose_numbers_are_not_those_of_the_files_is_no_failure(finished_copy):
    """Some layered file systems list other numbers than a file has once it is opened."""
    copier, target = finished_copy
    for entry in copier.root.below["folder"].below.values():
        entry.copied_inode += 1
    assert check(copier, target).used > 0
