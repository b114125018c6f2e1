"""A home on a small disk that is filled to the last byte."""

import contextlib
import os
import time

import pytest

from tests.disks import mounted
from tests.project.home import Home
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts a small disk")
PIECE = 2**16


@pytest.fixture
def home(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=160m,mode=700"):
        home = Home(disk / "home")
        yield home
        home.clear()


def fill(home):
    """Writes until no byte is left; returns the file."""
    path = home.folder.parent / "rest"
    piece = PIECE
    with path.open("ab", buffering=0) as file:
        while piece:
            try:
                file.write(b"x" * piece)
            except OSError:
                piece //= 2
    assert free(home) == 0
    return path


def free(home):
    """The number of bytes that can still be written."""
    disk = os.statvfs(home.folder)
    return disk.f_bavail * disk.f_frsize


def check_disk_full_error(done):
    """Checks the error of a command on a full disk."""
    assert done.returncode != 0
    assert "disk is full" in done.stderr.lower(), done.stderr
    assert "prism clean" in done.stderr
    return done.stderr


@pytest.mark.timeout(240)
def test_full_disk_allows_stop_detach_delete_and_terminate_only(home):
    with home.run_daemon() as daemon:
        for name in ("one", "two"):
            assert home.cli_json("launch", "Plain Shell", name)["state"] == "running"
        assert home.cli_json("volume", "create", "data", "--size", "1")["name"] == "data"
        eventually(lambda: home.cli_json("volume", "show", "data")["state"] == "available")
        assert home.cli_json("volume", "attach", "data", "two")["name"] == "data"
        rest = fill(home)

        error = check_disk_full_error(home.cli("launch", "Plain Shell", "three"))
        assert "workspaces" in error, "the error names what uses the space"
        check_disk_full_error(home.cli("volume", "create", "other", "--size", "1"))
        status = home.client.daemon.status()
        assert status.status == "degraded"
        assert any("disk is full" in why.lower() for why in status.reasons)
        assert {line["name"] for line in home.cli_json("list")} == {"one", "two"}, (
            "the refused launch left no workspace"
        )

        assert home.cli_json("stop", "one")["state"] == "stopped"
        fill(home)
        assert home.cli_json("stop", "two")["state"] == "stopped"
        fill(home)
        home.cli_json("volume", "detach", "data")
        eventually(lambda: home.cli_json("volume", "show", "data")["state"] == "available")
        home.cli_json("volume", "delete", "data", "--yes")
        eventually(lambda: "data" not in home.cli("volume", "list").stdout, 120)
        assert home.cli_json("terminate", "one", "--yes")["state"] == "terminated"
        fill(home)
        assert home.cli("daemon", "stop").returncode == 0
        daemon.wait(120)
        assert daemon.returncode == 0
    fill(home)
    with home.run_daemon():
        check_disk_full_error(home.cli("start", "two"))
        rest.unlink()
        assert home.cli_json("start", "two")["state"] == "running", (
            "it starts after the disk has room"
        )
        assert home.client.daemon.status().status == "healthy"
        fill(home)
        assert home.cli_json("terminate", "two", "--yes")["state"] == "terminated", (
            "also on a disk that is full again"
        )
    assert home.processes() == []


def test_clean_reports_and_removes_unused_files(home):
    with home.run_daemon():
        assert home.cli_json("launch", "Plain Shell", "mine")["state"] == "running"
        [machine] = (home.folder / "workspaces").glob("local-*/")
        used, cache = machine / "logs" / "console.log", home.folder / "cache" / "wheels"
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "wheel").write_bytes(b"x" * 3 * 2**20)
        old = machine / "logs" / "setup.log.1"
        old.write_bytes(b"x" * 2**20)
        draft = home.folder / "workspaces" / ".local-0123456789abcdef0-00000000"
        draft.mkdir()
        (draft / "rest").write_bytes(b"x" * 2**20)
        ago = time.time() - 1200  # a running daemon removes it after an hour
        os.utime(draft, (ago, ago))

        would = home.cli_json("clean", "--dry-run")
        sizes = {kind["kind"]: kind["bytes"] for kind in would["kinds"]}
        assert sizes["package cache"] >= 3 * 2**20
        assert sizes["old logs"] == sizes["leftover drafts"] == 2**20
        assert sizes["unused environments"] == 0, "the only environment is in use"
        assert cache.exists() and old.exists() and draft.exists()

        before = free(home)
        did = home.cli_json("clean")
        assert did["freed_bytes"] == would["freed_bytes"] == sum(sizes.values())
        assert free(home) >= before + 5 * 2**20
        assert not cache.exists() and not old.exists() and not draft.exists()
        assert used.exists()
        assert home.cli_json("clean", "--dry-run")["freed_bytes"] == 0
        assert home.cli_json("show", "mine")["state"] == "running"
        assert home.cli_json("terminate", "mine", "--yes")["state"] == "terminated"


@pytest.mark.slow  # `tests/daemon/test_disk_reserve.py` and `test_cleaning.py` have its parts
def test_clean_frees_a_full_disk_on_which_the_daemon_cannot_start(home):
    """The home of an older Prism has no reserve."""
    with home.run_daemon():
        pass
    with contextlib.suppress(FileNotFoundError):
        (home.folder / "reserve").unlink()
    cache = home.folder / "cache" / "wheels"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "wheel").write_bytes(b"x" * 12 * 2**20)
    fill(home)
    check_disk_full_error(home.cli("daemon", "start"))
    done = home.cli_json("clean")
    assert done["freed_bytes"] >= 12 * 2**20
    with home.run_daemon():
        assert home.answers()
