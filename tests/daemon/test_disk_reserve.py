"""Which requests are carried out on a full disk."""

import pytest

from prism.access.rules import TABLE
from prism.daemon.disk_reserve import FREES_SPACE, HomeDisk, frees_space, size_text
from prism.kit.disk_reserve import HomeDiskFull, Reserve
from tests.optional import not_none


class FullReserve(Reserve):
    """The reserve of a full disk."""

    is_full = True


def test_routes_that_free_space_exist():
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
def test_frees_space_contains_stop_terminate_and_delete_routes(route, is_done):
    assert frees_space(route.split()[0], route) is is_done


def test_full_disk_error_names_the_usage_and_the_remedy(tmp_path):
    (tmp_path / "workspaces").mkdir()
    (tmp_path / "workspaces" / "file").write_bytes(b"x" * 2**20)
    with pytest.raises(HomeDiskFull) as full:
        HomeDisk(FullReserve(tmp_path), holds_database=True).refuse()
    assert "workspaces 1.0 MiB" in full.value.details
    assert "`prism clean`" in full.value.remediation
    assert not_none(full.value.data)["taken"]["workspaces"] >= 2**20


def test_full_home_disk_refuses_no_request_with_an_external_database(tmp_path):
    home_disk = HomeDisk(FullReserve(tmp_path), holds_database=False)
    home_disk.refuse()
    assert "disk is full" in home_disk.reasons()[0]


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (2048, "2.0 KiB"), (5 * 2**40, "5.0 TiB")]
)
def test_size_text_uses_binary_units(size, words):
    assert size_text(size) == words
