"""Programs outside of a workspace never follow its symlinks."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prism.agent.system import safe_paths
from prism.agent.system.safe_paths import Directory, remove_tree
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import VolumeSpec
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.local.world import World, page
from tests.waiting import eventually

linux = pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")


@pytest.fixture
def outside_folder(tmp_path):
    """A folder of the host with a file that must not be read or changed."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("secret")
    return folder


@contextlib.contextmanager
def exchanging(folder, first, other):
    """Run a program that exchanges the two names until the block ends."""
    argv = [sys.executable, str(Path(__file__).with_name("exchanging.py")), folder, first, other]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes) as program:
        assert not_none(program.stdout).readline()
        yield
        assert program.poll() is None, "it raced to the end"
        program.communicate()


@pytest.fixture
def machines(tmp_path):
    world = World(tmp_path, tmp_path / "cache")
    yield world
    world.close()


def stop_and_attack(machines, id):
    """Stop a machine; return its home for the attack."""
    machines.compute.stop(id)
    machines.becomes(id, Observed.OFF)
    return machines.root / id / "home"


def test_supervisor_creates_nothing_through_symlinks_of_the_home(machines, outside_folder):
    id = machines.launched(page())
    home = stop_and_attack(machines, id)
    for name in (".local", ".config", ".cache", ".profile"):
        remove_tree(home / name)
    (home / ".local").symlink_to(outside_folder)
    (home / ".config").symlink_to(outside_folder / "missing")
    (home / ".profile").symlink_to(outside_folder / "profile")
    machines.compute.start(id)
    machines.becomes(id, Observed.ON)
    assert os.listdir(outside_folder) == ["file"]
    assert (home / ".cache").is_dir(), "the other folders of the home are created"


def test_volume_is_not_linked_through_a_symlink(machines, outside_folder, tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", machines.root)
    volume = volumes.create(VolumeSpec(key="v", name="data", kind=VolumeKind.EBS, size_gb=1)).id
    id = machines.launched(page())
    home = stop_and_attack(machines, id)
    remove_tree(home / "volumes")
    (home / "volumes").symlink_to(outside_folder)
    volumes.attach(volume, id, "data")
    machines.compute.start(id)
    machines.becomes(id, Observed.ON)
    eventually(lambda: any("~/volumes" in note for note in machines.report(id)["notes"]))
    assert os.listdir(outside_folder) == ["file"]
    (outside_folder / "other").symlink_to(tmp_path / "storage" / "volumes" / volume / "data")
    volumes.detach(volume, id)
    eventually(lambda: not any("~/volumes" in note for note in machines.report(id)["notes"]))
    assert sorted(os.listdir(outside_folder)) == ["file", "other"], (
        "nothing is removed there either"
    )


@linux
@pytest.mark.parametrize("kernel", ["openat2", "walk"])
def test_directory_never_follows_a_folder_that_is_exchanged_for_a_symlink(
    kernel, outside_folder, tmp_path, monkeypatch
):
    if kernel == "walk":
        monkeypatch.setattr(safe_paths, "_KERNEL", [None])
    home = tmp_path / "home"
    (home / "a" / "folder").mkdir(parents=True)
    (home / "a" / "folder" / "file").write_text("own")
    (home / "a" / "link").symlink_to(outside_folder)
    answers = set()
    with Directory.at(home) as root, exchanging(home / "a", "folder", "link"):
        for number in range(3000):
            try:
                with os.fdopen(root.open("a/folder/file", os.O_RDONLY)) as file:
                    answers.add(file.read())
            except OSError:
                answers.add("refused")
            with contextlib.suppress(OSError):
                root.write_new(f"a/folder/new-{number}", b"x")
            with contextlib.suppress(OSError):
                root.make(f"a/folder/made-{number}").close()
            with contextlib.suppress(OSError):
                root.unlink("a/folder/file-2")
    assert answers == {"own", "refused"}
    assert os.listdir(outside_folder) == ["file"]


@linux
@pytest.mark.parametrize("trees", [40, pytest.param(100, marks=pytest.mark.slow)])
def test_remove_tree_never_follows_folders_that_become_symlinks(outside_folder, tmp_path, trees):
    (outside_folder / "deep").mkdir()
    (outside_folder / "deep" / "precious").write_text("kept")
    for number in range(trees):
        tree = tmp_path / f"tree{number}"
        for name in range(20):
            (tree / "a" / f"folder{name}" / "deep").mkdir(parents=True)
        (tree / "a" / "link").symlink_to(outside_folder)
    with exchanging_in_each(tmp_path, trees):
        for number in range(trees):
            with contextlib.suppress(OSError):
                remove_tree(tmp_path / f"tree{number}")
    assert sorted(os.listdir(outside_folder)) == ["deep", "file"]
    assert (outside_folder / "deep" / "precious").read_text() == "kept"


@contextlib.contextmanager
def exchanging_in_each(place, trees):
    """Exchange folders and links in each tree until the block ends."""
    script = f"""
import ctypes, os, select, sys
libc = ctypes.CDLL(None)
while not select.select([0], [], [], 0)[0]:
    for tree in range({trees}):
        for name in (3, 11):
            folder = f"{place}/tree{{tree}}/a/folder{{name}}".encode()
            link = f"{place}/tree{{tree}}/a/link".encode()
            libc.renameat2(-100, folder, -100, link, 2)
    print("turned", flush=True)
"""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as program:
        assert not_none(program.stdout).readline()
        yield
        program.communicate()


@linux
@pytest.mark.parametrize("rounds", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_snapshot_contains_no_file_of_the_host_behind_a_symlink(outside_folder, tmp_path, rounds):
    """During the copy, a folder and a file are exchanged for symlinks to files of the host."""
    home = tmp_path / "home"
    for name in range(40):
        (home / "a" / f"folder{name}").mkdir(parents=True)
        (home / "a" / f"folder{name}" / "file").write_text("own")
    (home / "a" / "link").symlink_to(outside_folder)
    (home / "a" / "folder3" / "link").symlink_to(outside_folder / "file")
    program = Path(safe_paths.__file__).parents[1] / "copies" / "tree_copy.py"
    taken = []
    with (
        exchanging(home / "a", "folder20", "link"),
        exchanging(home / "a" / "folder3", "file", "link"),
    ):
        for number in range(rounds):
            draft = tmp_path / f"draft{number}"
            order = {"source": str(home), "target": str(draft), "manifest": f"{draft}.json"}
            argv = [sys.executable, "-I", "-S", str(program), json.dumps(order)]
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
                taken.append(json.loads(not_none(child.stdout).read()))
    for number in range(rounds):
        for top, folders, files in os.walk(tmp_path / f"draft{number}"):
            for path in (Path(top) / name for name in [*folders, *files]):
                assert path.is_symlink() or not path.is_file() or path.read_text() == "own"
    assert any("failed" not in answer for answer in taken)
    assert os.listdir(outside_folder) == ["file"]
