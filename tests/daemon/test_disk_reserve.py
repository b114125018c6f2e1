"""What is done on a full disk, and what is refused."""

import pytest

from prism.access.rules import TABLE
from prism.daemon.disk_reserve import FREES_SPACE, HomeDisk, frees_space, size_text
from prism.kit.disk_reserve import HomeDiskFull, Reserve
from tests.optional import not_none


class Full(Reserve):
    """Of a disk that has no byte left."""

    is_full = True


def test_what_frees_space_is_named_as_the_routes_are():
    assert {*TABLE} >= FREES_SPACE


@pytest.mark.parametrize(
    ("route", "is_done"),
    [
        ("POST {}/instances/{name}/stop", True),
        ("POST {}/instances/{name}/terminate", True),
        ("DELETE {}/storage/volumes/{name}", True),
        ("DELETE {}/tokens/{id}", True),
        ("POST {}/instances/launch", False),
        ("POST {}/instances/{name}/start", False),
        ("POST {}/snapshots", False),
    ],
)
def test_which_routes_are_done_however_full_it_is(route, is_done):
    assert frees_space(route.split()[0], route) is is_done


def test_it_is_refused_with_what_takes_the_space_and_what_frees_it(tmp_path):
    (tmp_path / "workspaces").mkdir()
    (tmp_path / "workspaces" / "file").write_bytes(b"x" * 2**20)
    with pytest.raises(HomeDiskFull) as full:
        HomeDisk(Full(tmp_path), is_everything=True).refuse()
    assert "workspaces 1.0 MiB" in full.value.details
    assert "`prism clean`" in full.value.remediation
    assert not_none(full.value.data)["taken"]["workspaces"] >= 2**20


def test_with_a_database_elsewhere_nothing_is_refused_for_the_disk_of_the_home(tmp_path):
    room = HomeDisk(Full(tmp_path), is_everything=False)
    room.refuse()
    assert "disk is full" in room.reasons()[0]


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (2048, "2.0 KiB"), (5 * 2**40, "5.0 TiB")]
)
def test_sizes_are_for_people(size, words):
    assert size_text(size) == words
