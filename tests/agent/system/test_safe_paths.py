"""Paths are resolved beneath a folder, and whole trees are removed."""

import errno
import os
import resource
import subprocess
import sys
from shutil import which

import pytest

from prism.agent.system import safe_paths
from prism.agent.system.safe_paths import Directory, remove_tree
from tests.optional import not_none

DEEP = 1500  # folders with names of 10 characters: four times as long as a path may be


@pytest.fixture(params=["openat2", "walk"])
def root(request, tmp_path, monkeypatch):
    """A folder with some entries, with `openat2` and without it."""
    if request.param == "walk":
        monkeypatch.setattr(safe_paths, "_KERNEL", [None])
    home = tmp_path / "home"
    (home / "a" / "b").mkdir(parents=True)
    (home / "a" / "b" / "file").write_text("text")
    (home / "link").symlink_to("a")
    (home / "up").symlink_to("..")
    (tmp_path / "outside").write_text("secret")
    with Directory.at(home) as directory:
        yield directory


def read(root, path):
    with os.fdopen(root.open(path, os.O_RDONLY)) as file:
        return file.read()


def test_directory_reads_creates_and_deletes_files_beneath_it(root):
    assert read(root, "a/b/file") == read(root, "./a//b/file") == "text"
    root.make("x/y/z").close()
    root.write_new("x/y/z/new", b"content")
    assert read(root, "x/y/z/new") == "content"
    assert root.stat("x/y/z/new").st_size == 7
    root.unlink("x/y/z/new")
    with root.folder("x/y/z") as folder:
        assert folder.names() == []


@pytest.mark.parametrize(
    "path",
    ["link/b/file", "up/outside", "../outside", "a/../../outside", "", "/etc/passwd", "a\0"],
)
def test_directory_rejects_paths_through_symlinks_or_outside(root, path):
    for way in (
        lambda: root.open(path, os.O_RDONLY),
        lambda: root.folder(path),
        lambda: root.make(path),
        lambda: root.stat(path),
        lambda: root.write_new(path, b""),
        lambda: root.unlink(path),
    ):
        with pytest.raises(OSError):
            way()


def test_directory_does_not_follow_a_symlink_at_the_end_of_a_path(root):
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT):
        with pytest.raises(OSError) as raised:
            root.open("a/b/../b/file".replace("a/b/../b/file", "link"), flags)
        assert raised.value.errno in safe_paths.LINK
    with pytest.raises(FileExistsError):
        root.symlink("x", "link")
    with pytest.raises(OSError):
        root.make("link/new")
    assert (root.readlink("link"), root.readlink("a"), root.readlink("none")) == ("a", None, None)


def test_directory_raises_file_not_found_for_a_missing_path(root):
    for path in ("none", "a/none", "none/file"):
        with pytest.raises(FileNotFoundError):
            root.open(path, os.O_RDONLY)


def nested(folder, depth):
    """Create a chain of `depth` nested folders in a folder."""
    current = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("0123456789", dir_fd=current)
        below = os.open("0123456789", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    with open(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=current), "w") as file:
        file.write("deep")
    os.close(current)


def test_remove_tree_removes_a_tree_deeper_than_the_longest_path(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    nested(tree, DEEP)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))  # not one each
    try:
        remove_tree(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not tree.exists()


def test_remove_tree_removes_everything_in_a_tree_and_follows_no_link(tmp_path):
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "file").write_text("kept")
    for name in ("a", "a/b", "locked", "locked/in"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "a" / "file").write_text("x")
    (tree / "a" / "out").symlink_to(outside)
    os.link(outside / "file", tree / "hard")
    os.mkfifo(tree / "a" / "fifo")
    (tree / "locked" / "in" / "file").write_text("x")
    (tree / "locked" / "in").chmod(0)
    (tree / "locked").chmod(0o500)
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()
    assert ((outside / "file").read_text(), (outside / "deep").is_dir()) == ("kept", True)
    (tmp_path / "link").symlink_to(outside)
    remove_tree(tmp_path / "link")
    assert (outside.is_dir(), os.path.lexists(tmp_path / "link")) == (True, False)


@pytest.mark.skipif(which("chattr") is None, reason="needs chattr, of e2fsprogs")
@pytest.mark.parametrize("flag", ["+i", "+a"])
def test_remove_tree_removes_files_with_the_immutable_or_append_only_attribute(tmp_path, flag):
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder" / "file").write_text("x")
    for path in (tree / "folder" / "file", tree / "folder"):
        done = subprocess.run(["chattr", flag, path], capture_output=True, check=False)
        if done.returncode:
            remove_tree(tree)
            pytest.skip("this user or file system has no such attribute")
    with pytest.raises(PermissionError):
        os.unlink(tree / "folder" / "file")
    remove_tree(tree)
    assert not tree.exists()


WRITER = """
import os, sys
os.chdir(sys.argv[1])
number = 0
print("begun", flush=True)
while True:
    number += 1
    try:
        open(f"file{number}", "w").close()
    except FileNotFoundError:
        break
print(number)
"""


def test_remove_tree_raises_until_a_tree_that_is_written_to_is_gone(tmp_path):
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    argv = [sys.executable, "-c", WRITER, tree / "a"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert not_none(writer.stdout).readline() == "begun\n"
        removed = False
        while not removed:
            try:
                remove_tree(tree)
            except OSError as error:
                assert error.errno == errno.ENOTEMPTY, error
                assert os.path.isdir(tree), "an error was raised although the tree is gone"
            else:
                removed = True
        assert int(not_none(writer.stdout).read()) > 0
    assert not tree.exists()


MOUNTED = """
import sys
from prism.agent.system.safe_paths import Directory, remove_tree
tree, how = sys.argv[1:]
try:
    if how == "tree":
        remove_tree(tree)
    else:
        with Directory.at(tree) as folder:
            folder.remove("a")
except OSError as error:
    print(error.strerror, error.filename)
"""


@pytest.mark.parametrize("how", ["tree", "folder"])
@pytest.mark.parametrize("mount", ["mount -t tmpfs none", "mount --bind {elsewhere}"])
def test_remove_tree_refuses_a_tree_with_a_mount_and_keeps_the_mounted_files(tmp_path, mount, how):
    """A mounted disk or `sshfs` does not belong to the workspace, like the target of a link."""
    tree, elsewhere = tmp_path / "tree", tmp_path / "elsewhere"
    at = tree / "a" / "b" / "there"
    at.mkdir(parents=True)
    elsewhere.mkdir()
    program = f"""
        {mount.format(elsewhere=elsewhere)} {at} || exit 77
        echo kept >{at}/data && mkdir {at}/sub && echo kept >{at}/sub/data
        {sys.executable} -c "$1" {tree} {how}
        cat {at}/data {at}/sub/data
        umount {at}
        {sys.executable} -c "$1" {tree} {how}
    """
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", program, "sh", MOUNTED]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"needs mounts: {done.stderr.strip()}")
    assert done.stdout.splitlines() == [
        "something is mounted there, which has to be unmounted there",
        "kept",
        "kept",
    ], done.stderr
    assert not (tree / "a").exists(), "once it is unmounted the rest goes"
