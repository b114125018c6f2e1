"""Which requests are carried out on a full disk."""

import contextlib
import os

import pytest

from prism.access.rules import API, ROUTES
from prism.daemon.disk_reserve import (
    FREES_SPACE,
    MAX_ATTEMPTS,
    HomeDisk,
    frees_space,
    size_text,
    takes_space,
)
from prism.kit.database.database_faults import DatabaseFull
from prism.kit.database.disk_reserve import HomeDiskFull, Reserve
from prism.kit.routes import HandlerRoutes
from tests.disks import loop_disk
from tests.optional import not_none


class FullReserve(Reserve):
    """The reserve of a full disk."""

    is_full = True


def test_routes_that_free_space_exist():
    assert {*ROUTES} >= FREES_SPACE


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
    routes = HandlerRoutes({}, frozenset([route.replace("{}", API, 1)]))
    assert (frees_space(routes), takes_space(routes)) == (is_done, not is_done)


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


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def disk(tmp_path, request):
    """A small disk."""
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    with loop_disk(tmp_path / "image", place, request.param):
        yield place


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["once", "with a key"])
def test_request_that_the_full_disk_interrupts_is_repeated(disk, make_daemon, http_of, headers):
    """Somebody else takes the freed space before the request has used it."""
    daemon = make_daemon(home=str(disk), database_url=f"sqlite:///{disk / 'state.db'}")
    http = http_of(daemon)
    try:
        assert http.launch("mine", template="Plain Shell").status_code == 201
        daemon.settle()
        daemon.reserve.keep()
        daemon.reserve.make_room = lambda: fill(disk)
        body = {"confirm": "DELETE"}
        answer = http("POST", "/api/v1/instances/mine/terminate", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        daemon.settle()
        assert http("GET", "/api/v1/instances/mine").json()["state"] == "terminated"
        (disk / "rest").unlink()
    finally:
        daemon.close()


def fill(disk):
    with (disk / "rest").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(os.urandom(4096))
    os.sync()


def test_disk_that_stays_full_answers_the_problem(make_daemon, http_of, monkeypatch):
    """Other problems, and the last answer of a full disk, pass."""
    daemon = make_daemon()
    calls = []

    def write(*_):
        calls.append(1)
        raise DatabaseFull

    monkeypatch.setattr(type(daemon.db), "write", write)
    answer = http_of(daemon)("DELETE", "/api/v1/storage/volumes/none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DATABASE_FULL")
    assert len(calls) == MAX_ATTEMPTS
