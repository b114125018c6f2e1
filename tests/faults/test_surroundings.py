"""A read-only disk, any umask, and little memory: the daemon works, or reports why it cannot."""

import contextlib
import os
import resource
import sqlite3
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.errors import Unavailable
from tests.daemons import DAEMON
from tests.needs import find, require
from tests.optional import not_none
from tests.project.home import Home
from tests.waiting import eventually

SHELL = "Plain Shell"
MIB = 2**20


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


@contextlib.contextmanager
def started(home, **how):
    """A daemon with the given options of `Popen`, until the block ends."""
    with (home.folder.parent / "log").open("a") as log:
        process = subprocess.Popen(DAEMON, env=home.environ, stderr=log, **how)
    try:
        eventually(lambda: home.answers() or process.poll() is not None, 120)
        yield process
    finally:
        process.terminate()
        process.wait(120)


def log_of(home):
    return (home.folder.parent / "log").read_text()


# ---------------------------------------------------------------- a disk that is read-only
@pytest.fixture
def disk(tmp_path):
    """A real file system, which may become read-only as a failing disk does."""
    require("mkfs.ext4")
    image, place = tmp_path / "image", tmp_path / "disk"
    image.touch()
    os.truncate(image, 64 * MIB)
    place.mkdir()
    making = [not_none(find("mkfs.ext4")), "-q", str(image)]
    mounting = ["mount", "-o", "loop,errors=remount-ro", str(image), str(place)]
    for command in (making, mounting):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"needs root: no disk can be made: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def remount(disk, options):
    return subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], capture_output=True)


def test_daemon_does_not_start_on_a_read_only_disk(disk):
    assert remount(disk, "ro").returncode == 0
    with pytest.raises(OSError, match="Read-only"):
        (disk / "anything").touch()
    home_of = {**os.environ, "PRISM_HOME": str(disk / "home"), "PRISM_PORT": "0"}
    run = subprocess.run(DAEMON, env=home_of, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert run.stderr.startswith("error: Cannot use")
    assert "Read-only" in run.stderr
    assert "PRISM_HOME" in run.stderr
    assert "Traceback" not in run.stderr


def test_daemon_answers_reads_and_refuses_writes_when_its_disk_turns_read_only(disk):
    home = Home(disk / "home")
    try:
        with started(home):
            client = home.client
            client.projects.create("before")
            failed = remount(disk, "abort")  # as after an error of the disk
            if failed.returncode:
                pytest.skip(f"this kernel does not abort a file system: {failed.stderr}")
            eventually(lambda: not writable(disk))
            with pytest.raises(Unavailable) as refused:
                client.projects.create("during")
            assert refused.value.code.startswith("DATABASE_")
            assert [project.name for project in client.projects.list()] == ["before"], (
                "reads are answered"
            )
            status = client.daemon.status()
            assert status.status == "degraded"
        assert "INTERNAL_ERROR" not in log_of(home)
    finally:
        home.clear()


def writable(disk):
    try:
        (disk / "try").write_text("x")
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- any umask
@pytest.mark.parametrize("umask", [0o000, pytest.param(0o077, marks=pytest.mark.slow)])
def test_daemon_files_are_private_under_any_umask(home, umask):
    with started(home, umask=umask):
        client = home.client
        client.workspaces.launch(SHELL, "mine", wait=60)
        volume = client.volumes.create("data", 1)
        eventually(lambda: client.volumes.get("data").state == "available")
        client.volumes.attach("data", "mine")
        eventually(lambda: client.volumes.get("data").state == "in-use")
        line = f"echo kept > ~/volumes/{volume.name}/file && cat ~/volumes/data/file"
        run = home.cli("exec", "mine", "--", "sh", "-c", line)
        assert (run.returncode, run.stdout) == (0, "kept\n"), run.stderr
        client.workspaces.stop("mine", wait=60)
        client.workspaces.start("mine", wait=60)
        assert client.workspaces.get("mine").state == "running"
        assert [*exposed(home.folder)] == []
        client.workspaces.terminate("mine", wait=60)


def exposed(folder):
    """The paths that another user of this computer could read, change or list."""
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        if stat.S_ISDIR(mode) and mode & 0o001:
            yield from exposed(path)
        elif mode & 0o006:
            yield str(path)


# ---------------------------------------------------------------- little memory
def limited(megabytes):
    """Limits the address space of a process and its children."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes * MIB, megabytes * MIB))


@pytest.mark.parametrize("megabytes", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_daemon_does_not_start_with_too_little_address_space(home, megabytes):
    how = {"env": home.environ, "capture_output": True, "text": True, "timeout": 120}
    run = subprocess.run(DAEMON, preexec_fn=limited(megabytes), **how)
    assert run.returncode == 1
    error, hint = run.stderr.splitlines()
    assert error.startswith("error: The daemon needs 2048 MiB of address space")
    assert "ulimit -v" in hint
    assert list(home.folder.iterdir()) == [], "the daemon created files"


def test_daemon_works_with_the_least_address_space_that_it_accepts(home):
    with started(home, preexec_fn=limited(2048)), ThreadPoolExecutor(32) as people:
        names = [f"p{number}" for number in range(40)]
        created = list(people.map(lambda it: home.client.projects.create(it).name, names))
        assert created == names
        home.client.workspaces.launch(SHELL, "mine", wait=60)
        assert home.client.workspaces.get("mine").state == "running"
        home.client.workspaces.terminate("mine", wait=60)
    with contextlib.closing(sqlite3.connect(home.folder / "state.db")) as sql:
        assert {name for (name,) in sql.execute("SELECT name FROM projects")} == {*names}
    assert "MemoryError" not in log_of(home)


@pytest.mark.slow  # a faster test limits the address space
def test_daemon_and_workspace_run_in_256_mib_of_memory(home, memory_group):
    memory_group.limit(256)
    with (
        started(home, preexec_fn=lambda: memory_group.add(os.getpid())) as daemon,
        ThreadPoolExecutor(32) as people,
    ):
        assert daemon.pid in memory_group.pids()
        names = [f"p{number}" for number in range(100)]
        created = list(people.map(lambda it: home.client.projects.create(it).name, names))
        assert created == names
        home.client.workspaces.launch(SHELL, "mine", wait=120)
        assert home.client.workspaces.get("mine").state == "running"
        home.client.workspaces.terminate("mine", wait=120)
        assert daemon.poll() is None
    assert memory_group.kills() == 0
