"""The files through which the daemon and a supervisor exchange intents and reports."""

import os
import subprocess
import sys
from typing import Any

import pytest

from prism.agent.machine.folder import Folder, read, write
from prism.agent.protocol import supervisor_pid
from tests.disks import mounted
from tests.optional import not_none

HOLD = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f,2); print(1,flush=True); input()"


def test_read_returns_nothing_for_a_missing_or_torn_file(tmp_path):
    assert read(tmp_path / "none") == {}
    for torn in ("", '{"a": 1', "[1]"):
        (tmp_path / "torn").write_text(torn)
        assert read(tmp_path / "torn") == {}


def test_folder_keeps_the_last_intent_when_the_file_is_incomplete(tmp_path):
    folder = Folder(tmp_path)
    assert dict(folder.intent()) == {}
    write(tmp_path / "wanted.json", {"run": 1}, durable=True)
    assert dict(folder.intent()) == {"run": 1}
    (tmp_path / "wanted.json").write_text('{"ru')
    assert dict(folder.intent()) == {"run": 1}
    write(tmp_path / "wanted.json", {"run": 2}, durable=False)
    assert dict(folder.intent()) == {"run": 2}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts a small disk")
def test_report_is_written_on_a_full_disk(tmp_path):
    with mounted(tmp_path, "size=64k"):
        write(tmp_path / "seen.json", {"phase": "starting", "more": "x" * 100}, durable=True)
        with pytest.raises(OSError, match="space"):
            (tmp_path / "rest").write_bytes(b"x" * 10**6)
        write(tmp_path / "seen.json", {"phase": "failed", "why": "y" * 300}, durable=True)
        assert read(tmp_path / "seen.json") == {"phase": "failed", "why": "y" * 300}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts a small disk")
def test_folder_is_emptied_on_a_disk_without_free_inodes(tmp_path):
    with mounted(tmp_path, "nr_inodes=8"):
        folder = Folder(tmp_path)
        assert folder.acquire_lock()
        (folder.home / "below").mkdir(parents=True)
        write(tmp_path / "seen.json", {"phase": "stopping"}, durable=True)
        with pytest.raises(OSError, match="space"):
            for number in range(9):
                (folder.home / str(number)).touch()
        folder.empty()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "seen.json"]
        os.close(folder._lock)


def test_folder_lock_ends_with_its_process(tmp_path):
    assert supervisor_pid(str(tmp_path)) == 0
    (tmp_path / "lock").touch()
    assert supervisor_pid(str(tmp_path)) == 0
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], **pipes) as other:
        assert not_none(other.stdout).readline() == b"1\n"
        assert supervisor_pid(str(tmp_path)) == other.pid
        assert not Folder(tmp_path).acquire_lock()
        other.kill()
        other.wait()
    assert supervisor_pid(str(tmp_path)) == 0


def test_folder_is_not_there_when_its_lock_file_was_replaced(tmp_path):
    folder = Folder(tmp_path)
    assert folder.acquire_lock()
    assert folder.is_present
    (tmp_path / "lock").unlink()
    assert not folder.is_present
    (tmp_path / "lock").touch()
    assert not folder.is_present


def test_folder_token_is_created_once_with_256_bits(tmp_path):
    folder = Folder(tmp_path)
    assert folder.token(make=False) == ""
    token = folder.token()
    assert len(token) == 43
    assert Folder(tmp_path).token() == token
