"""Volumes across restarts and kills of real daemons, supervisors and workspaces."""

import hashlib
import random
import signal

import pytest

from tests.project.home import Home
from tests.waiting import eventually

SHELL = "Plain Shell"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def fill(folder, seed):
    rng = random.Random(seed)
    for number in range(30):
        (folder / f"file{number}").write_bytes(rng.randbytes(rng.randrange(100_000)))
    return digest(folder)


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def data(home, name):
    volume = home.cli_json("volume", "show", name)
    id = volume.get("volume_id") or volume["filesystem_id"]
    return home.folder / "storage" / "volumes" / id / "data"


def state(home, name):
    return home.cli_json("volume", "show", name)["state"]


def wait_for_state(home, name, expected):
    eventually(lambda: state(home, name) == expected, 120)


def kill(daemon):
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(120)


def test_volume_data_survives_kills_termination_backup_and_restore(home):
    with home.run_daemon() as daemon:
        home.cli_json("volume", "create", "own", "--size", "10")
        home.cli_json("volume", "create", "all", "--type", "efs")
        for name in ("own", "all"):
            wait_for_state(home, name, "available")
        before = [fill(data(home, name), name) for name in ("own", "all")]
        folders = [data(home, name) for name in ("own", "all")]
        home.cli_json("launch", SHELL, "mine", "--volume", "own", "--volume", "all")
        wait_for_state(home, "own", "in-use")
        [mine] = (home.folder / "workspaces").glob("local-*/home")
        eventually(lambda: len([*(mine / "volumes").glob("*/file0")]) == 2)
        assert [digest((mine / "volumes" / name).resolve()) for name in ("own", "all")] == before
        home.cli_json("volume", "detach", "own", "mine")
        kill(daemon)
    for supervisor in home.machines():
        supervisor.kill()
    eventually(lambda: home.processes() == [])
    assert [digest(folder) for folder in folders] == before
    with home.run_daemon() as daemon:
        wait_for_state(home, "own", "available")
        home.cli_json("volume", "attach", "own", "mine")
        kill(daemon)
    with home.run_daemon():
        wait_for_state(home, "own", "in-use")
        eventually(lambda: home.states() == ["stopped"])  # before that, there is nothing to start
        home.cli_json("start", "mine")
        (mine / "thesis").write_text("precious")
        done = home.cli_json("terminate", "mine", "--backup", "--yes")
        assert done["state"] == "terminated"
        assert (not mine.exists(), [digest(folder) for folder in folders] == before) == (
            True,
            True,
        )
        wait_for_state(home, "own", "available")
        home.cli_json("snapshot", "restore", "mine-backup", "old")
        wait_for_state(home, "old", "available")
        home.cli_json("launch", SHELL, "again", "--volume", "old")
        wait_for_state(home, "old", "in-use")
        places = home.folder / "workspaces"
        [again] = eventually(lambda: [*places.glob("local-*/home/volumes/old/thesis")])
        assert again.read_text() == "precious"
        home.cli_json("terminate", "again", "--yes")
        wait_for_state(home, "old", "available")
        assert home.cli("volume", "delete", "own").returncode == 1, (
            "it cannot ask for confirmation"
        )
        home.cli_json("volume", "delete", "own", "--yes")
        eventually(lambda: not folders[0].exists())
        assert digest(folders[1]) == before[1]
