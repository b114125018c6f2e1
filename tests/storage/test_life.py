"""Volumes through the lives and deaths of real daemons, supervisors and workspaces."""

import hashlib
import random
import signal

import psutil
import pytest

from tests.project.living import Home
from tests.waiting import eventually

SHELL = "Plain Shell"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def fill(folder, seed):
    chance = random.Random(seed)
    for number in range(30):
        (folder / f"file{number}").write_bytes(chance.randbytes(chance.randrange(100_000)))
    return digest(folder)


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def data(home, name):
    volume = home.said("volume", "show", name)
    id = volume.get("volume_id") or volume["filesystem_id"]
    return home.folder / "storage" / "volumes" / id / "data"


def state(home, name):
    return home.said("volume", "show", name)["state"]


def becomes(home, name, expected):
    eventually(lambda: state(home, name) == expected, 120)


def die(daemon):
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(120)


@pytest.mark.timeout(240)
def test_what_volumes_hold_outlives_everything(home):
    with home.living() as daemon:
        home.said("volume", "create", "own", "--size", "10")
        home.said("volume", "create", "all", "--type", "efs")
        for name in ("own", "all"):
            becomes(home, name, "available")
        before = [fill(data(home, name), name) for name in ("own", "all")]
        folders = [data(home, name) for name in ("own", "all")]
        home.said("launch", SHELL, "mine", "--volume", "own", "--volume", "all")
        becomes(home, "own", "in-use")
        [mine] = (home.folder / "workspaces").glob("local-*/home")
        eventually(lambda: len([*(mine / "volumes").glob("*/file0")]) == 2)
        assert [digest((mine / "volumes" / name).resolve()) for name in ("own", "all")] == before
        home.said("volume", "detach", "own", "mine")
        die(daemon)
    for supervisor in home.machines():
        supervisor.kill()
        psutil.wait_procs([supervisor], 10)
    assert [digest(folder) for folder in folders] == before
    with home.living() as daemon:
        becomes(home, "own", "available")
        home.said("volume", "attach", "own", "mine")
        die(daemon)
    with home.living():
        becomes(home, "own", "in-use")
        home.said("start", "mine")
        (mine / "thesis").write_text("precious")
        done = home.said("terminate", "mine", "--backup", "--yes")
        assert done["state"] == "terminated"
        assert (not mine.exists(), [digest(folder) for folder in folders] == before) == (
            True,
            True,
        )
        becomes(home, "own", "available")
        home.said("snapshot", "restore", "mine-backup", "old")
        becomes(home, "old", "available")
        home.said("launch", SHELL, "again", "--volume", "old")
        becomes(home, "old", "in-use")
        places = home.folder / "workspaces"
        [again] = eventually(lambda: [*places.glob("local-*/home/volumes/old/thesis")])
        assert again.read_text() == "precious"
        home.said("terminate", "again", "--yes")
        becomes(home, "old", "available")
        assert home.cli("volume", "delete", "own").returncode == 1, "nobody is there to confirm"
        home.said("volume", "delete", "own", "--yes")
        eventually(lambda: not folders[0].exists())
        assert digest(folders[1]) == before[1]
