"""A home on a full disk: what frees space still works, and everything else is refused in words."""

import os

import pytest

from tests.attacks.ordinary import NOBODY, OrdinaryHome, as_ordinary
from tests.disks import fill_disk
from tests.faults.places import disk_for
from tests.project.home import Home
from tests.proofs import record
from tests.waiting import eventually

# Each is the first request after the disk has become full.
FREEING: tuple[tuple[str, ...], ...] = (
    ("stop", "mine"),
    ("volume", "detach", "data"),
    ("volume", "delete", "data", "--yes"),
    ("snapshot", "delete", "before", "--yes"),
    ("hibernate", "other"),
    ("terminate", "other", "--yes"),
    ("terminate", "mine", "--yes"),
    ("project", "delete", "lab", "--yes"),
    ("token", "revoke", "ID"),
    ("clean", "--yes"),
)
REFUSED: tuple[tuple[str, ...], ...] = (
    ("launch", "Plain Shell", "third"),
    ("volume", "create", "more", "--size", "1"),
    ("snapshot", "create", "again", "--volume", "data"),
    ("project", "create", "second"),
)
GROUPS = {"volume", "snapshot", "project", "token"}
FAST = ("ext4", "root")


@pytest.fixture(
    params=[
        pytest.param((disk, user), id=f"{disk}-{user}", marks=marks)
        for disk in ("ext4", "xfs", "btrfs")
        for user in ("root", "user")
        for marks in [[] if (disk, user) == FAST else [pytest.mark.slow]]
    ]
)
def home(request):
    disk, user = request.param
    with disk_for(disk, user) as place:
        if user == "root":
            home = Home(place / "home")
        else:
            home = OrdinaryHome(place / "home")
            os.chown(home.folder, NOBODY, NOBODY)
        yield home
        home.clear()


def refill(home):
    """Let the daemon restore its reserve, and fill the disk again."""
    rest = home.folder.parent / "rest"
    rest.unlink(missing_ok=True)
    eventually(lambda: home.cli_json("daemon", "status")["status"] == "healthy")
    fill_disk(rest, as_ordinary if isinstance(home, OrdinaryHome) else list)


def done(home, *words):
    run = home.cli(*words)
    assert run.returncode == 0, (words, run.stdout, run.stderr)


def prepare(home):
    for name in ("mine", "other"):
        done(home, "launch", "Plain Shell", name)
    done(home, "volume", "create", "data", "--size", "1")
    done(home, "volume", "attach", "data", "mine")
    done(home, "snapshot", "create", "before", "--volume", "data")
    done(home, "project", "create", "lab")
    done(home, "token", "create", "robot")


@pytest.mark.timeout(600)
def test_verbs_that_free_space_work_on_a_full_disk(home, request):
    """For root, ext4 and Btrfs show free blocks that nobody gets."""
    with home.run_daemon():
        prepare(home)
        refill(home)
        assert home.cli_json("daemon", "status")["status"] == "degraded"
        for words in REFUSED:
            refused = home.cli(*words)
            assert (refused.returncode, "disk is full" in refused.stderr) == (1, True), (
                words,
                refused.stderr,
            )
        [token] = home.cli_json("token", "list")
        for words in FREEING:
            refill(home)
            done(home, *(token["id"] if word == "ID" else word for word in words))
        (home.folder.parent / "rest").unlink()
        done(home, "launch", "Plain Shell", "third")
    disk, user = request.node.callspec.params["home"]
    freeing = ", ".join(" ".join(words[: 2 if words[0] in GROUPS else 1]) for words in FREEING)
    record(
        f"Disks that are full or fail, and memory that runs out: full, {disk}, {user}",
        f"each worked as the first request: {freeing}; {len(REFUSED)} that need space were "
        "refused in words",
    )
