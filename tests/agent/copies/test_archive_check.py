"""Archives of a snapshot are compared with its manifest, without restic."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from prism.agent.copies import archive_check
from prism.agent.copies.manifest import NONE_BELOW, load

PROGRAM = archive_check.__file__


@pytest.fixture
def snapshot(tmp_path):
    """A folder with a tree and its manifest."""
    data = tmp_path / "data"
    (data / "folder").mkdir(parents=True)
    (data / "folder" / "file").write_bytes(b"content")
    (data / "link").symlink_to("/etc/passwd")
    Path(os.fsdecode(bytes(data) + b"/\xff\n")).write_bytes(b"odd")
    os.mkfifo(data / "pipe")
    entries = []

    def note(path, depth):
        status = path.lstat()
        is_file, is_link = path.is_file() and not path.is_symlink(), path.is_symlink()
        kind = "link" if is_link else "file" if is_file else "folder" if path.is_dir() else "fifo"
        extra = os.readlink(path) if is_link else None
        if is_file:
            extra = hashlib.sha256(path.read_bytes()).hexdigest()
        size = status.st_size if is_file else 0
        name = path.name if depth else ""
        facts = (status.st_mode & 0o7777, status.st_uid, status.st_gid, size, status.st_mtime_ns)
        entries.append([depth, name, kind, *facts, extra])
        for child in sorted(path.iterdir()) if kind == "folder" else ():
            note(child, depth + 1)

    note(data, 0)
    manifest = {"version": 2, "hashed": True, "entries": entries}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def archive_of(folder):
    """What restic makes of it: without pipes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("data", "manifest.json"):
            archive.add(folder / name, name, filter=lambda it: None if it.isfifo() else it)
    return content.getvalue()


def compared(archive, folder):
    manifest = str(folder / "manifest.json")
    return archive_check.compare(io.BytesIO(archive), manifest)


def test_what_is_equal_has_no_differences(snapshot):
    assert compared(archive_of(snapshot), snapshot) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: (data / "folder" / "file").write_bytes(b"CONTENT"), "folder/file differs"),
        (lambda data: (data / "folder" / "file").chmod(0o4755), "folder/file differs"),
        (lambda data: (data / "folder" / "file").unlink(), "folder/file is missing"),
        (lambda data: (data / "folder").chmod(0o700), "folder differs"),
        (lambda data: (data / "new").write_bytes(b""), "new was added"),
        (
            lambda data: [(data / "link").unlink(), (data / "link").symlink_to("/etc/shadow")],
            "link differs",
        ),
    ],
)
def test_each_difference_is_named(snapshot, change, message):
    (snapshot / "data" / "folder").chmod(0o755)
    change(snapshot / "data")
    assert message in compared(archive_of(snapshot), snapshot)


def test_another_manifest_is_a_difference(snapshot):
    archive = archive_of(snapshot)
    manifest = json.loads((snapshot / "manifest.json").read_text())
    (snapshot / "manifest.json").write_text(json.dumps(manifest | {"one_moment": True}))
    assert compared(archive, snapshot) == ["its manifest differs or is missing"]


@pytest.mark.parametrize("length", [0, 100, 700, 2600])
def test_a_torn_archive_is_a_difference(snapshot, length):
    torn = archive_of(snapshot)[:length]
    argv = [sys.executable, "-I", "-S", PROGRAM, str(snapshot / "manifest.json")]
    done = subprocess.run(argv, input=torn, capture_output=True)
    assert json.loads(done.stdout)["differences"], done.stderr


@pytest.mark.parametrize(
    "entries",
    [
        [[1, "a", "folder", 0, 0, 0, 0, 0, None]],
        [[0, "", "folder", 0, 0, 0, 0, 0, None], [2, "a", "folder", 0, 0, 0, 0, 0, None]],
        [[0, "", "folder", 0, 0, 0, 0, 0, None], [-1, "a", "folder", 0, 0, 0, 0, 0, None]],
        [[0, "", "file", 0, 0, 0, 0, 0, None], [1, "a", "file", 0, 0, 0, 0, 0, None]],
    ],
)
def test_a_manifest_in_which_an_entry_has_no_folder_is_refused(tmp_path, entries):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"version": 2, "entries": entries}))
    with pytest.raises(ValueError, match="no folder"):  # and no folder contains itself
        load(str(manifest))
    assert not NONE_BELOW
