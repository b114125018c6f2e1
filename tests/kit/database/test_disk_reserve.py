"""Reserved space, on a small disk of its own."""

import contextlib
import errno
import os
import sqlite3

import pytest

from prism.kit.database.disk_reserve import NEEDED, HomeDiskFull, Reserve
from prism.kit.database.no_copy_on_write import keep_index_in_place
from prism.kit.http import as_problem
from tests.disks import loop_disk, mounted

MEBI = 2**20


@pytest.fixture
def disk(tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    with mounted(tmp_path, "size=32m"):
        yield tmp_path


@pytest.fixture(params=["tmpfs", "ext4", "xfs", "btrfs"])
def any_disk(tmp_path, request):
    """File systems that count free space each in its own way."""
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    if request.param == "tmpfs":
        with mounted(place, "size=32m"):
            yield place
    else:
        with loop_disk(tmp_path / "image", place, request.param):
            yield place


def fill(disk):
    """Write until nothing more fits."""
    with (disk / "rest").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while usage := os.statvfs(disk).f_bavail // 2:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), usage * 4096)
    with (disk / "rest").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(os.urandom(4096))


def release(disk, size):
    os.truncate(disk / "rest", (disk / "rest").stat().st_size - size)


def test_reserve_allocates_blocks_and_frees_them_piece_by_piece(disk):
    reserve = Reserve(disk)
    before = reserve.free
    assert reserve.keep()
    assert before - reserve.free == 2 * MEBI, "a sixteenth of a small disk"
    reserve.make_room()
    assert before - reserve.free == 2 * MEBI, "no block is freed while there is room"
    for piece in range(1, 2 * MEBI // NEEDED + 1):
        fill(disk)
        assert reserve.free == 0
        reserve.make_room()
        assert reserve.free == NEEDED, piece
    fill(disk)
    reserve.make_room()
    assert reserve.free == 0, "the whole reserve is spent"


def test_disk_counts_as_full_until_the_whole_reserve_fits_again(disk):
    reserve = Reserve(disk)
    assert not reserve.is_full
    fill(disk)
    assert reserve.is_full
    reserve.spend()
    assert reserve.is_full, "freed blocks do not count as room"
    release(disk, NEEDED // 2)
    assert reserve.is_full
    release(disk, NEEDED)
    assert not reserve.is_full
    assert (disk / "reserve").stat().st_blocks * 512 == 2 * MEBI


def test_reserve_is_given_up_at_start_only_on_a_full_disk(disk):
    reserve = Reserve(disk)
    reserve.keep()
    reserve.give_up()
    assert (disk / "reserve").exists()
    fill(disk)
    reserve.give_up()
    assert reserve.free == 2 * MEBI


def test_a_full_disk_is_found_full_and_each_piece_lets_the_database_write(any_disk):
    """For root, ext4 shows free blocks that it gives to nobody; Btrfs frees whole extents only."""
    reserve = Reserve(any_disk)
    assert reserve.keep()
    path = str(any_disk / "state.db")
    keep_index_in_place(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE notes (text)")
        assert not reserve.is_full
        fill(any_disk)
        os.sync()
        assert reserve.is_full
        with pytest.raises(sqlite3.OperationalError, match="full"):
            while True:
                database.execute("INSERT INTO notes VALUES (randomblob(20000))")
        for _ in range(3):
            reserve.make_room()
            database.execute("INSERT INTO notes VALUES (randomblob(20000))")
            database.execute("PRAGMA wal_checkpoint")
        assert reserve.is_full, "it is until the reserve is complete again"
        os.unlink(any_disk / "rest")
        os.sync()
        assert not reserve.is_full


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_during_a_request_becomes_home_disk_full(number):
    problem = as_problem(OSError(number, os.strerror(number)))
    assert isinstance(problem, HomeDiskFull)
    assert "prism clean" in problem.remediation
