"""Copying a tree: its entries, changes during the copy, and the manifest."""

import hashlib
import json
import mmap
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prism.agent.copies import file_copy, manifest, tree_copy
from prism.agent.copies.copy_check import CopyCheck
from prism.agent.copies.file_copy import StopRequest
from prism.agent.copies.tree_copier import TreeCopier
from prism.agent.system.safe_paths import Directory, remove_tree
from tests.agent.system.test_safe_paths import DEEP, nested
from tests.disks import loop_disk, mounted
from tests.waiting import eventually

PROGRAM = Path(tree_copy.__file__)


class NoStopRequest(StopRequest):
    def __init__(self):
        self.requested = False


@pytest.fixture
def copy_order(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "draft").mkdir()
    return {
        "source": str(tmp_path / "source"),
        "target": str(tmp_path / "draft" / "data"),
        "manifest": str(tmp_path / "draft" / "manifest.json"),
        "draft": str(tmp_path / "draft"),
    }


def start(order):
    argv = [sys.executable, "-I", "-S", str(PROGRAM), json.dumps(order)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def run(order):
    with start(order) as process:
        report = process.stdout.read()
        assert process.wait() == 0
    return json.loads(report)


def tree_listing(root):
    """The metadata and content of every entry of a tree that a copy has to preserve."""
    entries = {}
    for top, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(top, name)
            at = os.lstat(path)
            facts: list[object] = [at.st_mode, at.st_uid, at.st_gid, at.st_mtime_ns]
            if os.path.islink(path):
                facts.append(os.readlink(path))
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    facts.append(hashlib.file_digest(file, "sha256").hexdigest())
                facts.append(at.st_nlink)
            entries[os.path.relpath(path, root)] = facts
    return entries


def fill(source):
    (source / "folder" / "deep").mkdir(parents=True)
    (source / "folder" / "deep" / "file").write_text("text")
    (source / "empty").touch()
    (source / "large").write_bytes(os.urandom(1_000_000))
    (source / "link").symlink_to("/etc/passwd")
    os.link(source / "large", source / "folder" / "again")
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as unix_socket:
        unix_socket.bind(os.path.relpath(source / "socket"))
    with open(source / "hole", "wb") as file:
        file.seek(30_000_000)
        file.write(b"end")
    (source / os.fsdecode(b"not-utf8-\xff")).write_text("x")
    (source / "folder" / "locked").write_text("x")
    (source / "folder" / "locked").chmod(0o400)
    (source / "folder").chmod(0o550)
    os.utime(source / "folder", ns=(10**18, 10**18 + 7))


def test_copied_tree_equals_its_source(copy_order):
    source = Path(copy_order["source"])
    fill(source)
    report = run(copy_order)
    assert tree_listing(copy_order["target"]) == tree_listing(source)
    assert (report["one_moment"], report["left_out"]) == (True, [])
    copy = Path(copy_order["target"])
    assert (copy / "hole").stat().st_blocks < 1000
    assert (copy / "large").stat().st_ino == (copy / "folder" / "again").stat().st_ino
    assert 1_000_000 < report["used"] < 3_000_000


def test_manifest_is_private_although_a_copy_has_no_umask(copy_order):
    run(copy_order)
    assert os.stat(copy_order["manifest"]).st_mode & 0o777 == 0o600


def test_copied_file_has_the_extended_attributes_of_its_source(copy_order):
    file = Path(copy_order["source"]) / "file"
    file.write_text("x")
    try:
        os.setxattr(file, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    run(copy_order)
    assert os.getxattr(Path(copy_order["target"]) / "file", "user.note") == b"kept"


def test_copied_folder_attributes_are_not_inherited_by_its_entries(copy_order):
    """Access control lists of `setfacl`, also default ones, are extended attributes."""
    source, target = Path(copy_order["source"]), Path(copy_order["target"])
    (source / "shared" / "below").mkdir(parents=True)
    (source / "shared" / "file").write_text("x")
    # A default ACL: user 12345 may enter folders that are created in this one.
    default = bytes.fromhex(
        "0200000001000700ffffffff020007003930000004000500ffffffff10000700ffffffff20000500ffffffff"
    )
    try:
        os.setxattr(source / "shared", "user.note", b"kept")
        os.setxattr(source, "user.top", b"kept")
        os.setxattr(source / "shared", "system.posix_acl_default", default)
    except OSError:
        pytest.skip("this file system has no such attributes")
    run(copy_order)
    assert os.getxattr(target / "shared", "user.note") == b"kept"
    assert os.getxattr(target, "user.top") == b"kept"
    assert os.getxattr(target / "shared", "system.posix_acl_default") == default
    for inside in ("shared/file", "shared/below"):
        assert os.listxattr(target / inside) == os.listxattr(source / inside) == []


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_copy_fails_when_only_a_part_of_a_file_can_be_read(copy_order, monkeypatch, size):
    """A faulty disk or network may cause this."""
    (Path(copy_order["source"]) / "file").write_bytes(b"x" * size)
    monkeypatch.setattr(file_copy, "HAS_COPY_FILE_RANGE", False)
    read, pread = os.read, os.pread
    monkeypatch.setattr(os, "read", lambda file, count: read(file, count // 2))
    monkeypatch.setattr(
        os, "pread", lambda file, count, at: pread(file, count, at) if not at else b""
    )
    monkeypatch.setattr(file_copy.FileCopier, "_is_cloned", lambda *_: False)
    with pytest.raises(file_copy.TreeCopyFailed, match="file: only a part of it could be read"):
        tree_copy.copy(copy_order, NoStopRequest())


def test_copy_reads_the_file_when_copy_file_range_returns_zero(copy_order, monkeypatch):
    """Some file systems do so because they do not support the call."""
    (Path(copy_order["source"]) / "file").write_bytes(whole := os.urandom(1_000_000))
    monkeypatch.setattr(file_copy.FileCopier, "_is_cloned", lambda *_: False)
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    tree_copy.copy(copy_order, NoStopRequest())
    assert (Path(copy_order["target"]) / "file").read_bytes() == whole


def test_manifest_lists_every_entry_and_gets_missing_hashes_later(copy_order):
    source = Path(copy_order["source"])
    fill(source)
    run(copy_order)
    known = dict(manifest.paths(manifest.load(copy_order["manifest"])))
    assert known.keys() == tree_listing(source).keys()
    assert known["folder/deep/file"].extra == hashlib.sha256(b"text").hexdigest()
    assert (known["hole"].facts.size, known["hole"].extra, known["fifo"].kind) == (
        30_000_003,
        None,
        "fifo",
    )
    again = {"do": "hash", "source": copy_order["target"], "manifest": copy_order["manifest"]}
    assert run(again) == {"hashed": True}
    known = dict(manifest.paths(manifest.load(copy_order["manifest"])))
    assert all(known_name.extra for known_name in known.values() if known_name.kind == "file")


def test_tree_deeper_than_the_longest_path_is_copied(copy_order):
    nested(copy_order["source"], DEEP)
    try:
        assert run(copy_order)["one_moment"] is True
        entries = manifest.entries(manifest.load(copy_order["manifest"]))
        assert sum(1 for _ in entries) == DEEP + 1
    finally:  # pytest cannot: before Python 3.13, `shutil.rmtree` calls itself for each folder
        remove_tree(copy_order["source"])
        remove_tree(copy_order["target"])


def copy_with_changes(order, monkeypatch, change, machines=()):
    """Copy, with a change before each listing of a folder; return whether it is of one moment."""
    source, target = Path(order["source"]), Path(order["target"])
    target.mkdir()
    with Directory.at(source) as first, Directory.at(target) as other:
        copier, real, turns = TreeCopier(first, other, NoStopRequest()), os.scandir, []

        def changing(folder):
            turns.append(folder)
            change(len(turns))
            return real(folder)

        with monkeypatch.context() as patched:
            patched.setattr(os, "scandir", changing)
            one_moment = copier.run(machines)
        CopyCheck(copier.root).run(other)
    return one_moment


def test_entry_that_changes_during_the_copy_is_copied_again(copy_order, monkeypatch):
    source = Path(copy_order["source"])
    fill(source)

    def change(turn):
        if turn == 4:  # in the second pass
            (source / "empty").write_text("no more")
            (source / "new").mkdir()
            (source / "new" / "file").write_text("came")
            (source / "large").unlink()

    assert copy_with_changes(copy_order, monkeypatch, change) is True
    assert tree_listing(copy_order["target"]) == tree_listing(source)


def test_copy_of_a_tree_that_keeps_changing_is_not_of_one_moment(copy_order, monkeypatch):
    source = Path(copy_order["source"])
    fill(source)

    def change(turn):
        (source / "busy").write_text("x" * turn)

    assert copy_with_changes(copy_order, monkeypatch, change) is False
    entries = tree_listing(copy_order["target"])
    assert {"folder/deep/file", "large", "hole", "busy"} <= entries.keys()


@pytest.fixture(params=["ext4", "xfs", "btrfs", "tmpfs"])
def file_system(tmp_path, request):
    """The folder of a tree to be copied, on a file system of that kind."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "mounted"
    place.mkdir()
    if request.param == "tmpfs":
        with mounted(place, "size=32m"):
            yield request.param, place
    else:
        with loop_disk(tmp_path / "image", place, request.param):
            yield request.param, place


def test_write_through_a_mapping_during_the_copy_is_not_missed(
    file_system, copy_order, monkeypatch, tmp_path
):
    """The page was written before: only the first write to it changes the times of the file."""
    kind, place = file_system
    source, machine = place / "source", tmp_path / "machine"
    (source / "folder").mkdir(parents=True)
    machine.mkdir()
    (source / "records").write_bytes(bytes(8192))
    with (source / "records").open("r+b") as file, mmap.mmap(file.fileno(), 8192) as records:
        records[:5] = b"first"
        os.utime(source / "records", ns=(10**18, 10**18))

        def change(turn):
            if turn == 2:  # the first pass has copied the file, and enters the folder
                records[:5] = b"later"

        order = {**copy_order, "source": str(source), "target": str(place / "copy")}
        is_one_moment = copy_with_changes(order, monkeypatch, change, [str(machine)])
        copied = (place / "copy" / "records").read_bytes()
    assert is_one_moment is (kind != "tmpfs"), "tmpfs does not show such writes, so nobody knows"
    if is_one_moment:
        assert copied[:5] == b"later"


def test_tree_without_writers_is_of_one_moment_on_any_file_system(file_system, copy_order):
    _, place = file_system
    fill_small(place / "source")
    order = {**copy_order, "source": str(place / "source")}
    assert run(order)["one_moment"] is True


def fill_small(source):
    source.mkdir()
    (source / "file").write_text("text")


@pytest.mark.parametrize("end", ["stdin", "SIGTERM"])
def test_copy_is_aborted_and_removed_when_the_daemon_ends(copy_order, end):
    for number in range(3000):
        (Path(copy_order["source"]) / f"file{number}").write_text("x")
    process = start(copy_order)
    eventually(lambda: os.path.isdir(copy_order["target"]) and os.listdir(copy_order["target"]))
    if end == "stdin":
        process.stdin.close()
    else:
        process.terminate()
    process.stdout.read()
    code = process.wait(120)
    process.stdout.close()
    process.stdin.close()
    if code == 0:  # the copy was faster
        assert len(os.listdir(copy_order["target"])) == 3000
    else:
        assert (code, os.path.exists(copy_order["draft"])) == (3, False)


def change_copy(copy, how):
    file = copy / "folder" / "deep" / "file"
    if how == "content":
        at = file.stat()
        file.write_text("texT")
        os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    elif how == "missing":
        (copy / "link").unlink()
    elif how == "added":
        (copy / "more").touch()
    elif how == "kind":
        (copy / "empty").unlink()
        (copy / "empty").symlink_to("large")
    elif how == "link":
        at = (copy / "link").lstat()
        (copy / "link").unlink()
        (copy / "link").symlink_to("/etc/shadow")
        times = (at.st_atime_ns, at.st_mtime_ns)
        os.utime(copy / "link", ns=times, follow_symlinks=False)
    else:
        with open(copy / "large", "ab") as file:
            file.write(b"more")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("content", "folder/deep/file has different content"),
        ("missing", "link is missing"),
        ("added", "more has been added"),
        ("kind", "empty has changed: a link instead of a file"),
        ("link", "link has different content"),
        ("size", "large has changed"),
    ],
)
def test_copy_rejects_a_source_that_differs_from_its_manifest(copy_order, tmp_path, how, words):
    fill(Path(copy_order["source"]))
    run(copy_order)
    change_copy(Path(copy_order["target"]), how)
    (tmp_path / "second").mkdir()
    again = {
        "source": copy_order["target"],
        "target": str(tmp_path / "second" / "data"),
        "expected": copy_order["manifest"],
    }
    assert words in run(again)["failed"]


@pytest.mark.parametrize("way", ["changed", "added", "removed", "folder", "older"])
def test_copy_rejects_other_extended_attributes_than_the_manifest_lists(copy_order, tmp_path, way):
    """An access control list is one of them: a restored one may not let others in."""
    source, copied = Path(copy_order["source"]), Path(copy_order["target"])
    (source / "folder").mkdir()
    (source / "file").write_text("x")
    (source / "plain").write_text("x")
    try:
        os.setxattr(source / "file", "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    run(copy_order)
    if way == "removed":
        os.removexattr(copied / "file", "user.note")
    else:
        name = {"added": "plain", "folder": "folder"}.get(way, "file")
        os.setxattr(copied / name, "user.note", b"another")
    if way == "older":
        saved = json.loads(Path(copy_order["manifest"]).read_text())
        saved["version"], saved["entries"] = 1, [row[:9] for row in saved["entries"]]
        Path(copy_order["manifest"]).write_text(json.dumps(saved))
    (tmp_path / "second").mkdir()
    again = {
        "source": copy_order["target"],
        "target": str(tmp_path / "second" / "data"),
        "expected": copy_order["manifest"],
    }
    answer = run(again)
    if way == "older":
        assert "failed" not in answer, "such a manifest says nothing of attributes"
    else:
        assert "different extended attributes" in answer["failed"]


def test_copy_rejects_an_incomplete_manifest(copy_order, tmp_path):
    fill(Path(copy_order["source"]))
    run(copy_order)
    text = Path(copy_order["manifest"]).read_text()
    Path(copy_order["manifest"]).write_text(text[: len(text) // 2])
    again = {
        "source": copy_order["target"],
        "target": str(tmp_path / "x"),
        "expected": copy_order["manifest"],
    }
    assert "failed" in run(again)
