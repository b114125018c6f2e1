"""`prism move-home`: all of the home, verified, with a way back; or nothing has changed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prism.daemon import home_move
from prism.daemon.home_move import CopyDiffers, HomeInUse, move
from prism.errors import Conflict, Invalid
from prism.providers.local.location import location_of, settle_home
from prism.settings import SettingInvalid, Settings
from tests.disks import mounted
from tests.needs import require
from tests.project.home import Home
from tests.waiting import eventually

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q"),
}


def make_home(folder):
    """A home with one of each kind of file."""
    settle_home(folder, list)
    machine = folder / "workspaces" / ("local-" + "0" * 17)
    machine.mkdir(parents=True)
    (machine / "file").write_bytes(os.urandom(100_000))
    (machine / "hard").hardlink_to(machine / "file")
    (machine / "link").symlink_to("/nowhere")
    (machine / "closed").mkdir(mode=0o500)
    os.mkfifo(machine / "pipe")
    return folder


@pytest.fixture
def home(tmp_path):
    return make_home(tmp_path / "home")


@pytest.fixture
def open_folder():
    """A folder that other users can enter."""
    folder = Path(tempfile.mkdtemp(prefix="prism-move-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def moved(home, dest):
    return move(Settings(home=str(home)), str(dest), NOW)


def listing(folder):
    command = ["find", ".", "-mindepth", "1", "-printf", "%P %y %m %U %G %l\\n"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    [machine] = folder.glob("workspaces/local-*")
    assert (machine / "file").samefile(machine / "hard")
    return sorted(
        line
        for line in lines
        if not line.startswith(("lost+found", "daemon.lock", "state.db.lock"))
    )


def test_moved_home_has_everything_and_the_old_path_leads_there(home, tmp_path):
    identity, before = location_of(home), listing(home)
    answer = moved(home, tmp_path / "disk" / "prism")
    assert listing(home.resolve()) == before
    assert home.readlink() == tmp_path / "disk" / "prism"
    assert settle_home(home.resolve(), list) and location_of(home) == identity
    home.unlink()
    os.rename(answer["kept"], home)
    assert settle_home(home, list) is None, "the way back"
    assert listing(home) == before


def test_failed_copy_changes_nothing(home, tmp_path, monkeypatch):
    def fail(*arguments):
        raise CopyDiffers

    monkeypatch.setattr(home_move, "_require_equal", fail)
    with pytest.raises(CopyDiffers):
        moved(home, tmp_path / "dest")
    assert not home.is_symlink() and os.listdir(tmp_path / "dest") == []


@pytest.mark.parametrize("change", ["content", "missing", "mode", "link"])
def test_comparison_finds_each_difference(home, tmp_path, change):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", home, copy], check=True)
    assert [*home_move._differences(home, copy)] == []
    machine = next(copy.glob("workspaces/local-*"))
    if change == "content":
        with (machine / "file").open("r+b") as file:
            file.seek(50_000)
            file.write(b"other")
    elif change == "missing":
        (machine / "pipe").unlink()
    elif change == "mode":
        (machine / "closed").chmod(0o700)
    else:
        (machine / "link").unlink()
        (machine / "link").symlink_to("/elsewhere")
    assert [*home_move._differences(home, copy)] != []


def test_refusals_change_nothing(home, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for dest, problem in (
        (tmp_path / "full", Conflict),
        (home / "inside", Invalid),
        (tmp_path / 'a"b', SettingInvalid),
        ("host:prism", Invalid),
    ):
        with pytest.raises(problem):
            moved(home, dest)
    monkeypatch.setattr(home_move, "supervisor_pid", lambda folder: 1)
    with pytest.raises(HomeInUse, match="1 workspaces of"):
        moved(home, tmp_path / "dest")
    assert not home.is_symlink() and not (tmp_path / "dest").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_home_that_is_a_mount_point_is_copied_and_gives_up_its_identity(tmp_path):
    folder, dest = tmp_path / "home", tmp_path / "dest"
    folder.mkdir()
    with mounted(folder, "size=64m"):
        make_home(folder)
        identity, before = location_of(folder), listing(folder)
        with pytest.raises(Conflict, match="cannot be renamed") as refusal:
            moved(folder, dest)
        assert f"export PRISM_HOME={dest}" in (refusal.value.remediation or "")
        assert settle_home(dest, list) and location_of(dest) == identity
        assert [line for line in listing(dest) if "home.json" not in line] == [
            line for line in before if "home.json" not in line
        ]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("kind", MAKERS)
def test_home_moves_to_another_disk_and_a_full_one_changes_nothing(open_folder, kind, user):
    require(f"mkfs.{kind}")
    account, image, disk = pwd.getpwnam(user), open_folder / "image", open_folder / "disk"
    home = make_home(open_folder / "home")
    image.touch()
    os.truncate(image, 320 * 2**20)
    subprocess.run([*MAKERS[kind], image], check=True, capture_output=True)
    disk.mkdir()
    with (home / "large").open("wb") as file:
        file.write(b"x" * 400 * 2**20)
    subprocess.run(["chown", "-hR", f"{user}:{account.pw_gid}", open_folder], check=True)
    identity = location_of(home)
    with mounted(disk, "loop", kind, image):
        os.chown(disk, account.pw_uid, account.pw_gid)
        assert in_fork(account, lambda: moved(home, disk)) == "Conflict"
        assert not home.is_symlink() and {*os.listdir(disk)} <= {"lost+found"}
        (home / "large").unlink()
        before = listing(home)
        assert in_fork(account, lambda: moved(home, disk)) == ""
        assert listing(disk) == before
        assert location_of(home) == identity


def in_fork(account, act):
    """Does it as another user, in a fork; the class of the error, if it raises one."""
    read_end, write_end = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            act()
        except Exception as error:  # noqa: BLE001  the other process raises it
            os.write(write_end, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        name = pipe.read()
    os.waitpid(pid, 0)
    return name


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_workspaces_run_after_move_home_and_after_the_way_back(tmp_path):
    home = Home(tmp_path / "home")
    try:
        home.cli_json("launch", "plain-shell", "mine")
        home.cli("daemon", "stop")
        refused = home.cli("move-home", str(tmp_path / "dest"))
        assert refused.returncode and "prism stop --all" in refused.stderr, refused.stderr
        home.cli_json("stop", "mine")
        home.cli("daemon", "stop")
        eventually(lambda: not home.processes())
        done = home.cli("move-home", str(tmp_path / "dest"))
        assert done.returncode == 0 and "rm -r" in done.stderr, done.stderr
        assert home.cli_json("start", "mine")["state"] == "running"
        assert home.cli("exec", "mine", "--", "true").returncode == 0
        home.cli_json("stop", "mine")
        home.cli("daemon", "stop")
        [old_home] = tmp_path.glob("home.before-move-*")
        home.folder.unlink()
        old_home.rename(home.folder)
        shutil.rmtree(tmp_path / "dest")
        assert home.cli_json("start", "mine")["state"] == "running"
        home.cli_json("terminate", "mine", "--yes")
    finally:
        home.cli("daemon", "stop")
        home.clear()
