"""A home is replaced by a copy of a snapshot once, whole, and also after a crash at any point."""

import json
import os

import pytest

from prism.providers.local.storage import file_replacement
from prism.providers.local.storage.file_replacement import FileReplacements, FilesNotReplaced
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.ports import SnapshotSpec
from tests.waiting import eventually

MACHINE = f"local-{'0' * 17}"


class Crash(BaseException):
    """The daemon dies."""


@pytest.fixture
def folder(tmp_path):
    """A machine's folder."""
    home = tmp_path / "workspaces" / MACHINE / "home"
    home.mkdir(parents=True)
    (home / "note").write_text("before")
    (home / "sub").mkdir(mode=0o750)
    os.symlink("note", home / "sub" / "link")
    return home.parent


@pytest.fixture
def snapshot(folder, tmp_path):
    """The id of a snapshot; the home has changed since."""
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    id = volumes.snapshot(SnapshotSpec(key="snapshot_1"), MACHINE).id
    path = tmp_path / "storage" / "snapshots" / id
    eventually(lambda: path.exists())
    volumes.close()
    (folder / "home" / "note").write_text("after")
    (folder / "home" / "new").touch()
    return id


@pytest.fixture
def replacements(tmp_path):
    of_this_home = FileReplacements(tmp_path / "storage" / "snapshots")
    yield of_this_home
    of_this_home.close()


def names(folder):
    return sorted(path.name for path in (folder / "home").iterdir())


def test_home_is_replaced_once_and_keeps_its_mode(folder, snapshot, replacements):
    (folder / "home").chmod(0o711)
    eventually(lambda: replacements.advance(folder, snapshot, "token"))
    assert ((folder / "home" / "note").read_text(), names(folder)) == ("before", ["note", "sub"])
    assert (folder / "home").stat().st_mode & 0o777 == 0o711
    assert (folder / "home" / "sub").stat().st_mode & 0o777 == 0o750
    assert os.readlink(folder / "home" / "sub" / "link") == "note"
    eventually(lambda: not [*folder.glob("*replacement-*")])
    (folder / "home" / "note").write_text("newer")
    assert replacements.advance(folder, snapshot, "token"), "it was done already"
    assert (folder / "home" / "note").read_text() == "newer"
    eventually(lambda: replacements.advance(folder, snapshot, "another"))
    assert (folder / "home" / "note").read_text() == "before"


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_next_daemon_goes_on_after_a_crash(folder, snapshot, replacements, monkeypatch, renames):
    draft = folder / "replacement-token"
    assert not replacements.advance(folder, snapshot, "token")
    eventually(lambda: draft.exists())
    done: list[object] = []
    rename = type(folder).rename

    def crash(path, target):
        if len(done) == renames:
            raise Crash
        done.append(path)
        return rename(path, target)

    def crash_before_mark(*words, **options):
        raise Crash

    monkeypatch.setattr(type(folder), "rename", crash)
    monkeypatch.setattr(file_replacement, "replace_file", crash_before_mark)
    with pytest.raises(Crash):
        replacements.advance(folder, snapshot, "token")
    monkeypatch.undo()
    again = FileReplacements(folder.parents[1] / "storage" / "snapshots")
    assert again.advance(folder, snapshot, "token")
    assert ((folder / "home" / "note").read_text(), names(folder)) == ("before", ["note", "sub"])
    eventually(lambda: not [*folder.glob("*replacement-*")])


def test_damaged_snapshot_leaves_the_home(folder, snapshot, replacements, tmp_path):
    (tmp_path / "storage" / "snapshots" / snapshot / "data" / "note").write_text("damaged!")

    def refused():
        try:
            assert not replacements.advance(folder, snapshot, "token")
        except FilesNotReplaced as error:
            return str(error)
        return ""

    assert "note" in eventually(refused)
    assert names(folder) == ["new", "note", "sub"]
    assert not [*folder.glob("replacement-*")]


@pytest.mark.parametrize(("id", "token"), [("../x", "t"), ("snap-" + "0" * 17, "t"), ("", "../t")])
def test_unknown_snapshots_and_odd_tokens_are_refused(folder, replacements, id, token):
    with pytest.raises(FilesNotReplaced):
        replacements.advance(folder, id, token)


def test_snapshot_of_an_incomplete_copy_is_begun_anew(folder, snapshot, replacements):
    left = folder / ".replacement-token-abcdef01"
    (left / "data").mkdir(parents=True)
    (left / "about.json").write_text(json.dumps({}))
    eventually(lambda: replacements.advance(folder, snapshot, "token"))
    assert (folder / "home" / "note").read_text() == "before"
    eventually(lambda: not left.exists())
