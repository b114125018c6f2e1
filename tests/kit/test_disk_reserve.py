"""Reserved space, on a small disk of its own."""

import errno
import os

import pytest

from prism.kit.disk_reserve import NEEDED, HomeDiskFull, Reserve
from prism.kit.http import as_problem
from tests.disks import mounted

MEBI = 2**20


@pytest.fixture
def disk(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root may mount a small disk")
    with mounted(tmp_path, "size=32m"):
        yield tmp_path


def fill(disk, leave=0):
    usage = os.statvfs(disk)
    with (disk / "rest").open("ab") as file:
        os.posix_fallocate(file.fileno(), file.tell(), usage.f_bfree * usage.f_frsize - leave)
        file.seek(0, os.SEEK_END)


def test_reserve_allocates_blocks_and_frees_them_piece_by_piece(disk):
    reserve = Reserve(disk)
    before = reserve.free
    assert reserve.keep()
    assert before - reserve.free == 2 * MEBI, "a sixteenth of a small disk"
    reserve.spend()
    assert before - reserve.free == 2 * MEBI, "no block is freed while there is room"
    for piece in range(1, 2 * MEBI // NEEDED + 1):
        fill(disk)
        assert reserve.free == 0
        reserve.spend()
        assert reserve.free == NEEDED, piece
    fill(disk)
    reserve.spend()
    assert reserve.free == 0, "the whole reserve is spent"


def test_disk_counts_as_full_until_the_whole_reserve_fits_again(disk):
    reserve = Reserve(disk)
    assert not reserve.is_full
    fill(disk)
    assert reserve.is_full
    reserve.spend()
    assert reserve.is_full, "freed blocks do not count as room"
    os.truncate(disk / "rest", (disk / "rest").stat().st_size - NEEDED // 2)
    assert reserve.is_full
    os.truncate(disk / "rest", (disk / "rest").stat().st_size - NEEDED)
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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_during_a_request_becomes_home_disk_full(number):
    problem = as_problem(OSError(number, os.strerror(number)))
    assert isinstance(problem, HomeDiskFull)
    assert "prism clean" in problem.remediation
