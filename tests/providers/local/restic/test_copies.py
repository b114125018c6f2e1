"""Copies of snapshots with the real restic: whole, incremental, verified, and restored alone."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from prism.copies.destinations import parse
from prism.copies.model import CopyState, DestinationRefused
from prism.providers.local.restic.access import RepositoryAccess, no_s3
from prism.providers.local.restic.failures import RepositoryFailed
from prism.providers.local.restic.repository import LOCK_PAUSES, Repository
from prism.providers.local.storage.volumes import snapshot_id
from prism.storage.model import StorageObserved
from tests.disks import loop_disk
from tests.optional import not_none
from tests.processes import with_words
from tests.providers.local.restic.conftest import TAKEN, CopyingHome
from tests.waiting import eventually

PACKS = "prism-copies/data"


def fill(folder):
    """What a workspace can leave behind to break a copy, or its restore."""
    (folder / "folder").mkdir()
    (folder / "folder" / "file").write_bytes(os.urandom(300_000))
    os.link(folder / "folder" / "file", folder / "again")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../../../../../../tmp")
    (folder / "new\nline").write_text("1")
    Path(os.fsdecode(bytes(folder) + b"/not-utf8-\xff\xfe")).write_text("2")
    (folder / "-rf").write_text("3")
    (folder / "suid").write_text("4")
    (folder / "suid").chmod(0o6755)
    with (folder / "hole").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"in the middle")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        at = os.getcwd()
        os.chdir(folder)
        server.bind("socket")
        os.chdir(at)
    os.setxattr(folder / "folder" / "file", "user.colour", b"\x00red\xff")
    os.setxattr(folder / "folder", "user.of-a-folder", b"yes")
    os.utime(folder / "-rf", ns=(1, 1_234_567_891_234_567_891))
    (folder / "readable").mkdir(mode=0o500)
    os.utime(folder / "folder", ns=(1, 987_654_321_987_654_321))


def facts(folder):
    """Everything about a tree that a restore has to bring back."""
    known = {}
    for top, folders, files in os.walk(os.fsencode(folder)):
        for name in [*folders, *files]:
            path = os.path.join(top, name)
            status = os.lstat(path)
            content: bytes | str | None = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            names = os.listxattr(path, follow_symlinks=False)
            attributes = {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in names
                if not key.startswith("security.")
            }
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            known[os.path.relpath(path, os.fsencode(folder))] = (
                *(status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns),
                *(content, attributes),
            )
    return known


def stored_bytes(disk):
    """Without what restic had begun to write when it was killed; it never reads that."""
    return sum(file.stat().st_size for file in packs(disk) if "-tmp-" not in file.name)


def packs(disk):
    return sorted(file for file in (disk / PACKS).rglob("*") if file.is_file())


def listed(home, disk):
    return [copy.label.name for copy in home.volumes.copies.listing(str(disk), None)]


def test_a_hostile_tree_is_restored_in_another_home_with_only_the_destination(
    home, disk, make_home
):
    fill(home.data)
    before = facts(home.data)
    assert home.take("snapshot_1").one_moment
    status = home.copied("snapshot_1", disk)
    assert status.verified_at is not None
    assert status.same_disk
    shutil.rmtree(home.folder)
    other = make_home("other")
    [copy] = other.volumes.copies.listing(str(disk), None)
    assert (copy.label.name, copy.label.source_name) == ("snapshot-1", "data")
    folder = other.fetched(disk, copy.id)
    after = facts(folder / "data")
    del before[b"socket"]  # no copy has sockets, which are nothing without their program
    assert after == before
    assert (folder / "data" / "hole").stat().st_blocks * 512 < 5_000_000
    assert (folder / "data" / "again").stat().st_nlink == 2
    assert sorted(path.name for path in folder.iterdir()) == [
        *("about.json", "about.json.copy", "data", "manifest.json"),
    ]
    saved = json.loads((folder / "manifest.json").read_bytes())
    assert (saved["hashed"], saved["one_moment"]) == (True, True)


def test_the_second_copy_of_a_changed_snapshot_moves_only_what_changed(home, disk):
    for number in range(20):
        (home.data / f"file{number}").write_bytes(os.urandom(500_000))
    home.take("snapshot_1")
    first = home.copied("snapshot_1", disk)
    assert 10_000_000 < stored_bytes(disk) < 10_500_000
    (home.data / "file7").write_bytes(os.urandom(100_000))
    os.utime(home.data / "file8", ns=(1, 1))
    home.take("snapshot_2")
    before = stored_bytes(disk)
    second = home.copied("snapshot_2", disk)
    moved = stored_bytes(disk) - before
    assert 100_000 < moved < 200_000, "the changed file and the lists"
    assert second.added_bytes == pytest.approx(moved, rel=0.2)
    assert first.added_bytes > 10_000_000
    assert sorted(listed(home, disk)) == ["snapshot-1", "snapshot-2"]


def test_a_change_that_keeps_size_and_time_is_copied(home, disk, make_home):
    (home.data / "sly").write_bytes(b"a" * 400_000)
    os.utime(home.data / "sly", ns=(1, 1))
    home.take("snapshot_1")
    home.copied("snapshot_1", disk)
    (home.data / "sly").write_bytes(b"b" * 400_000)
    os.utime(home.data / "sly", ns=(1, 1))
    home.take("snapshot_2")
    status = home.copied("snapshot_2", disk)
    folder = make_home("other").fetched(disk, status.remote_id)
    assert (folder / "data" / "sly").read_bytes() == b"b" * 400_000


def test_a_copy_that_is_there_is_not_copied_again(home, disk):
    (home.data / "file").write_bytes(os.urandom(400_000))
    home.take("snapshot_1")
    first = home.copied("snapshot_1", disk)
    before = stored_bytes(disk)
    second = home.copied("snapshot_1", disk)
    assert (second.remote_id, second.added_bytes) == (first.remote_id, 0)
    assert second.verified_at is not None
    assert stored_bytes(disk) == before
    assert listed(home, disk) == ["snapshot-1"]


@pytest.mark.parametrize("verify", ["full", "quick"])
def test_a_flipped_bit_at_the_destination_is_noticed(home, disk, make_home, verify):
    (home.data / "file").write_bytes(os.urandom(2_000_000))
    home.take("snapshot_1")
    status = home.copied("snapshot_1", disk)
    pack = max(packs(disk), key=lambda file: file.stat().st_size)
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    content[1_000_000] ^= 1
    pack.write_bytes(content)
    again = home.copy("snapshot_1", disk, verify=verify)
    if verify == "full":
        assert (again.state, again.trouble.code) == (CopyState.FAILED, "COPY_DAMAGED")
    else:
        assert again.verified_at is None, "it says that it did not read everything"
    fetched = make_home("other").fetch(disk, status.remote_id)
    assert fetched.observed is StorageObserved.BROKEN
    assert fetched.trouble.code == "COPY_DAMAGED"


def test_a_missing_part_is_noticed_without_reading_everything(home, disk):
    (home.data / "file").write_bytes(os.urandom(2_000_000))
    home.take("snapshot_1")
    home.copied("snapshot_1", disk)
    max(packs(disk), key=lambda file: file.stat().st_size).unlink()
    again = home.copy("snapshot_1", disk, verify="quick")
    assert (again.state, again.trouble.code) == (CopyState.FAILED, "COPY_DAMAGED")


def test_a_snapshot_that_rotted_here_is_no_verified_copy(home, disk):
    (home.data / "file").write_bytes(b"a" * 1_000_000)
    home.take("snapshot_1")
    folder = home.folder / "storage" / "snapshots" / snapshot_id("snapshot_1")
    home.volumes._checks.complete_hashes(folder.name)
    with (folder / "data" / "file").open("r+b") as file:
        file.seek(500_000)
        file.write(b"b")
    status = home.copy("snapshot_1", disk)
    assert (status.state, status.trouble.code) == (CopyState.FAILED, "COPY_DAMAGED")
    assert "file differs" in status.trouble.message


def test_only_the_last_copies_of_a_schedule_stay(home, disk):
    for number in range(4):
        (home.data / "file").write_bytes(os.urandom(400_000))
        home.take(f"snapshot_{number}")
        order = {"schedule": "schedule_1", "keep": 2, "taken_at": TAKEN + timedelta(days=number)}
        status = home.copied(f"snapshot_{number}", disk, **order)
    home.take("snapshot_9")
    home.copied("snapshot_9", disk, taken_at=TAKEN - timedelta(days=9))
    assert listed(home, disk) == ["snapshot-9", "snapshot-2", "snapshot-3"]
    assert status.remote_id in status.remaining
    assert len(status.remaining) == 2
    assert stored_bytes(disk) < 1_300_000, "what only the removed copies had is removed"


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize("kind", ["plain", "xfs", "btrfs"])
def test_a_copy_is_destroyed_and_the_others_are_whole(home, disk, make_home, tmp_path, kind):
    if kind != "plain" and os.geteuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    with (
        contextlib.nullcontext() if kind == "plain" else loop_disk(tmp_path / "image", disk, kind)
    ):
        (home.data / "same").write_bytes(os.urandom(1_000_000))
        ids = []
        for number in range(3):
            (home.data / "changing").write_bytes(os.urandom(2_000_000))
            home.take(f"snapshot_{number}")
            ids.append(home.copied(f"snapshot_{number}", disk).remote_id)
        before = stored_bytes(disk)
        home.volumes.copies.delete(str(disk), None, ids[1])
        assert before - stored_bytes(disk) > 1_900_000, "its space is free"
        assert sorted(listed(home, disk)) == ["snapshot-0", "snapshot-2"]
        other = make_home("other")
        for number in (0, 2):
            folder = other.fetched(disk, ids[number], key=f"fetched_{number}")
            source = home.folder / "storage" / "snapshots" / snapshot_id(f"snapshot_{number}")
            assert facts(folder / "data") == facts(source / "data")
        with pytest.raises(DestinationRefused):
            home.volumes.copies.delete(str(disk / "elsewhere"), None, ids[0])


def test_a_destination_that_does_not_exist_is_not_made(home, disk):
    home.take("snapshot_1")
    status = home.copy("snapshot_1", disk / "usb")
    assert status.trouble.code == "DESTINATION_NOT_MOUNTED"
    assert "does not exist" in status.trouble.message
    assert not (disk / "usb").exists()


def test_a_disk_that_is_not_mounted_any_more_is_noticed(home, disk):
    home.take("snapshot_1")
    home.copied("snapshot_1", disk)
    shutil.rmtree(disk / "prism-copies")
    status = home.copy("snapshot_1", disk, is_known=True)
    assert status.trouble.code == "DESTINATION_NOT_MOUNTED"
    assert "mounted?" in status.trouble.message
    assert not list(disk.iterdir()), "nothing was written to the folder below the mount point"


def test_a_folder_in_the_home_is_no_destination(home, disk):
    home.take("snapshot_1")
    (home.folder / "copies").mkdir()
    link = disk / "link"
    link.symlink_to(home.folder / "copies")
    for destination in (home.folder / "copies", link):
        status = home.copy("snapshot_1", destination)
        assert status.trouble.code == "DESTINATION_INVALID"
        assert "would be lost with it" in status.trouble.message


def test_without_restic_the_message_says_how_to_install_it(home, disk, monkeypatch, tmp_path):
    home.take("snapshot_1")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    status = home.copy("snapshot_1", disk)
    assert status.trouble.code == "RESTIC_MISSING"
    assert "apt install restic" in status.trouble.message
    with pytest.raises(DestinationRefused) as refused:
        home.volumes.copies.listing(str(disk), None)
    assert refused.value.code == "RESTIC_MISSING"


def test_an_old_restic_is_refused(home, disk, monkeypatch, tmp_path):
    home.take("snapshot_1")
    old = tmp_path / "bin" / "restic"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho restic 0.14.0 compiled with go1.19\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    status = home.copy("snapshot_1", disk)
    assert status.trouble.code == "RESTIC_TOO_OLD"


def test_a_passphrase_protects_the_copies(make_home, disk, tmp_path):
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    home = make_home(access=RepositoryAccess(tmp_path / "home", no_s3, str(secret)))
    home.take("snapshot_1")
    status = home.copied("snapshot_1", disk)
    assert home.fetched(disk, status.remote_id)
    with pytest.raises(DestinationRefused) as refused:
        make_home("other").volumes.copies.listing(str(disk), None)
    assert refused.value.code == "WRONG_PASSPHRASE"
    secret.unlink()
    assert home.copy("snapshot_1", disk).trouble.code == "PASSPHRASE_MISSING"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.needs("mkfs.ext4")
def test_a_full_disk_fails_in_words_and_the_next_try_goes_on(home, tmp_path):
    (home.data / "big").write_bytes(os.urandom(60_000_000))
    home.take("snapshot_1")
    mount = tmp_path / "mount"
    mount.mkdir()
    with loop_disk(tmp_path / "image", mount, "ext4"):
        free = shutil.disk_usage(mount).free
        (mount / "filler").write_bytes(bytes(free - 40_000_000))
        status = home.copy("snapshot_1", mount)
        assert (status.state, status.trouble.code) == (CopyState.FAILED, "DESTINATION_FULL")
        assert status.same_disk is False
        assert listed(home, mount) == []
        (mount / "filler").unlink()
        assert home.copied("snapshot_1", mount, is_repeated=True).verified_at
        assert listed(home, mount) == ["snapshot-1"]


# ------------------------------------------------------------------ interruptions
KILLED = """
    import sys, threading
    from pathlib import Path
    from tests.providers.local.restic.conftest import CopyingHome
    home = CopyingHome(Path(sys.argv[1]))
    home.volumes.copies.begin(home.order("snapshot_1", sys.argv[2]))
    print("begun", flush=True)
    threading.Event().wait()
"""


def kill_during_copy(home, disk, when):
    """A daemon that is killed as soon as `when` holds, and the restic that it started."""
    argv = [sys.executable, "-c", textwrap.dedent(KILLED), str(home.folder), str(disk)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as daemon:
        assert not_none(daemon.stdout).readline() == b"begun\n"
        eventually(when)
        daemon.send_signal(signal.SIGKILL)
    words = f"{disk}/prism-copies"
    eventually(lambda: not with_words(psutil.process_iter(), words))


@pytest.mark.parametrize("moment", ["config", "data/*/*", "index/*", "snapshots/*"])
def test_a_daemon_killed_at_any_step_leaves_no_half_copy(home, disk, make_home, moment):
    for number in range(12):
        (home.data / f"file{number}").write_bytes(os.urandom(8_000_000))
    home.take("snapshot_1")
    home.volumes._checks.complete_hashes(snapshot_id("snapshot_1"))
    repository = disk / "prism-copies"
    kill_during_copy(home, disk, lambda: any(repository.glob(moment)))
    before = stored_bytes(disk) if packs(disk) else 0
    if moment in {"config", "data/*/*"}:
        assert not any((repository / "snapshots").iterdir()), "no half copy is listed"
    for number, copy in enumerate(home.volumes.copies.listing(str(disk), None)):
        folder = make_home(f"early{number}").fetched(disk, copy.id)
        assert facts(folder / "data") == facts(home.data), "what is listed is whole"
    status = home.copied("snapshot_1", disk, is_repeated=True)
    assert listed(home, disk) == ["snapshot-1"]
    assert stored_bytes(disk) < 97_500_000, "what had arrived was not copied again"
    assert status.added_bytes <= 97_000_000 - max(0, before - 35_000_000)
    folder = make_home("other").fetched(disk, status.remote_id)
    assert facts(folder / "data") == facts(home.data)


@pytest.fixture
def killed_restic(home, disk):
    """A restic that was killed and is not reaped yet, and its lock on the copies at `disk`."""
    home.take("snapshot_1")
    home.copied("snapshot_1", disk)
    locks = disk / "prism-copies" / "locks"
    repository = ["--no-cache", "--insecure-no-password", "--repo", str(locks.parent)]
    argv = ["restic", *repository, "backup", "--stdin"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        # Until it has its name, it is a file that restic does not count.
        eventually(lambda: any("-tmp-" not in lock.name for lock in locks.iterdir()))
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process
    assert not any(locks.iterdir())


def test_the_lock_of_a_killed_copy_is_removed_once_its_process_is_reaped(disk, killed_restic):
    paused = []

    def pause(seconds):
        paused.append(seconds)
        if len(paused) == 2:
            killed_restic.wait()

    Repository(parse(str(disk)), pause=pause).repair()
    assert paused == [*LOCK_PAUSES[:2]]


def test_a_lock_that_stays_is_named(disk, killed_restic):
    repository = Repository(parse(str(disk)), pause=lambda _: None)
    with pytest.raises(RepositoryFailed) as refused:
        repository.repair()
    assert refused.value.failure.code == "DESTINATION_LOCKED"
    assert f"by PID {killed_restic.pid} on {socket.gethostname()}" in str(refused.value)
    killed_restic.wait()
    repository.unlock()


# It logs each command. One that makes a copy gives others a second, in which they must not run.
NOTING_RESTIC = """#!/bin/sh
[ "$1" != version ] || exec {restic} "$@"
case $* in
    *" backup "*)
        echo begin >>{log}
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ "$(tail -n 1 {log})" = begin ] && sleep 0.1
        done
        {restic} "$@"; code=$?
        echo end >>{log}
        exit $code ;;
esac
echo other >>{log}
exec {restic} "$@"
"""


def test_copies_to_one_destination_are_made_one_after_the_other(home, disk, monkeypatch, tmp_path):
    log, program = tmp_path / "log", tmp_path / "bin" / "restic"
    program.parent.mkdir()
    program.write_text(NOTING_RESTIC.format(log=log, restic=shutil.which("restic")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    orders = []
    for number in range(2):
        home.take(f"snapshot_{number}")
        orders.append(home.order(f"snapshot_{number}", disk, schedule="schedule_1", keep=1))
    for order in orders:
        home.volumes.copies.begin(order)
    ended = [home.ended(order) for order in orders]
    assert [status.trouble for status in ended] == [None, None]
    words = log.read_text().split()
    begun = [at for at, word in enumerate(words) if word == "begin"]
    assert [words[at + 1] for at in begun] == ["end", "end"], "nothing else ran meanwhile"


def test_a_cancelled_copy_stops_and_is_not_listed(home, disk):
    (home.data / "big").write_bytes(os.urandom(80_000_000))
    home.take("snapshot_1")
    order = home.order("snapshot_1", disk)
    home.volumes.copies.begin(order)
    eventually(lambda: (disk / "prism-copies" / "config").exists())
    home.volumes.copies.forget(order.id)
    eventually(lambda: home.volumes.copies.status(order.id) is None)
    assert listed(home, disk) == []
    assert home.copied("snapshot_1", disk, is_repeated=True)


def test_a_fetch_that_is_killed_leaves_nothing(home, disk, make_home):
    (home.data / "big").write_bytes(os.urandom(50_000_000))
    home.take("snapshot_1")
    status = home.copied("snapshot_1", disk)
    other = make_home("other")
    code = KILLED.replace(
        'home.volumes.copies.begin(home.order("snapshot_1", sys.argv[2]))',
        f'threading.Thread(target=home.fetch, args=(sys.argv[2], "{status.remote_id}")).start()',
    )
    argv = [sys.executable, "-c", textwrap.dedent(code), str(other.folder), str(disk)]
    snapshots = other.folder / "storage" / "snapshots"
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as daemon:
        assert not_none(daemon.stdout).readline() == b"begun\n"
        eventually(lambda: any(snapshots.glob(".*/data/big")))
        daemon.send_signal(signal.SIGKILL)
    assert not any(snapshots.glob("snap-*")), "a half snapshot is never visible"
    eventually(lambda: not with_words(psutil.process_iter(), str(other.folder)))
    again = CopyingHome(other.folder)
    try:
        eventually(lambda: not any(snapshots.glob(".*")))
        assert facts(again.fetched(disk, status.remote_id) / "data") == facts(home.data)
    finally:
        again.volumes.close()
