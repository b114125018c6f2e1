"""Copies on a computer with SSH: a real server of OpenSSH, and the person's own client."""

import os
import shutil
from pathlib import Path

import pytest

from prism.copies.model import CopyState, DestinationAway, DestinationRefused
from tests.needs import find
from tests.optional import not_none
from tests.providers.aws.ssh_machine import Sshd

pytestmark = pytest.mark.needs("restic", "sshd", "ssh")


class Host:
    """A computer with an SSH server, and a client whose settings are not those of the person."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sshd = Sshd(folder / "sshd")
        self.sshd.start()
        self.config, self.known = folder / "config", folder / "known_hosts"
        self.trust()
        self.config.write_text(
            f"Host *\n  IdentityFile {self.sshd.key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.known}\n  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n"
        )
        client = folder / "bin" / "ssh"
        client.parent.mkdir()
        client.write_text(f'#!/bin/sh\nexec {find("ssh")} -F "{self.config}" "$@"\n')
        client.chmod(0o755)
        self.path = f"{client.parent}:{os.environ['PATH']}"

    def trust(self) -> None:
        """Know its present key."""
        self.known.write_text(f"[127.0.0.1]:{self.sshd.port} {self.sshd.host_key}\n")

    def at(self, path: Path | str) -> str:
        """A destination there."""
        return f"ssh://127.0.0.1:{self.sshd.port}{path}"


@pytest.fixture
def host(tmp_path, monkeypatch):
    host = Host(tmp_path / "host-it-is")
    monkeypatch.setenv("PATH", host.path)
    yield host
    host.sshd.stop()


@pytest.fixture(autouse=True)
def folder_of_host(tmp_path):
    (tmp_path / "host-it-is").mkdir()


def test_a_snapshot_is_copied_and_fetched_by_ssh(home, host, make_home, tmp_path):
    (home.data / "file").write_bytes(os.urandom(3_000_000))
    home.take("snapshot_1")
    destination = host.at(tmp_path / "there")
    (tmp_path / "there").mkdir()
    first = home.copied("snapshot_1", destination)
    assert first.verified_at is not None
    assert first.same_disk is None
    (home.data / "more").write_bytes(os.urandom(200_000))
    home.take("snapshot_2")
    second = home.copied("snapshot_2", destination)
    assert not_none(second.added_bytes) < 300_000
    before = (home.data / "file").read_bytes()
    shutil.rmtree(home.folder)
    folder = make_home("other").fetched(destination, second.remote_id)
    assert (folder / "data" / "file").read_bytes() == before


def test_a_flipped_bit_on_the_host_is_noticed(home, host, tmp_path):
    (home.data / "file").write_bytes(os.urandom(2_000_000))
    home.take("snapshot_1")
    (tmp_path / "there").mkdir()
    home.copied("snapshot_1", host.at(tmp_path / "there"))
    files = (tmp_path / "there" / "prism-copies" / "data").rglob("*")
    pack = max((file for file in files if file.is_file()), key=lambda file: file.stat().st_size)
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    content[999_999] ^= 0x10
    pack.write_bytes(content)
    status = home.copy("snapshot_1", host.at(tmp_path / "there"))
    assert (status.state, status.trouble.code) == (CopyState.FAILED, "COPY_DAMAGED")


def test_another_host_key_is_refused_in_words(home, host, tmp_path):
    home.take("snapshot_1")
    (tmp_path / "there").mkdir()
    host.sshd.stop()
    host.sshd.change_key()
    host.sshd.start()
    status = home.copy("snapshot_1", host.at(tmp_path / "there"))
    assert status.trouble.code == "HOST_KEY_CHANGED", status.trouble
    assert "ssh-keygen -R" in status.trouble.message
    assert not any((tmp_path / "there").iterdir())


def test_an_unknown_host_key_is_refused_in_words(home, host, tmp_path):
    home.take("snapshot_1")
    host.known.write_text("")
    status = home.copy("snapshot_1", host.at(tmp_path))
    assert status.trouble.code == "HOST_KEY_UNKNOWN"


def test_a_host_that_refuses_our_key_is_told(home, host, tmp_path):
    home.take("snapshot_1")
    (host.sshd.folder / "authorized").write_text("")
    status = home.copy("snapshot_1", host.at(tmp_path))
    assert status.trouble.code == "SSH_REFUSED", status.trouble
    with pytest.raises(DestinationRefused) as refused:
        home.volumes.copies.listing(host.at(tmp_path), None)
    assert refused.value.code == "SSH_REFUSED"


def test_a_host_that_is_away_can_be_asked_again(home, host, tmp_path):
    home.take("snapshot_1")
    host.sshd.stop()
    status = home.copy("snapshot_1", host.at(tmp_path))
    assert status.trouble.code == "DESTINATION_UNREACHABLE"
    with pytest.raises(DestinationAway):
        home.volumes.copies.listing(host.at(tmp_path), None)


def test_a_folder_that_is_not_there_is_a_disk_that_is_not_mounted(home, host, tmp_path):
    home.take("snapshot_1")
    (tmp_path / "there").mkdir()
    home.copied("snapshot_1", host.at(tmp_path / "there"))
    shutil.rmtree(tmp_path / "there")
    status = home.copy("snapshot_1", host.at(tmp_path / "there"), is_known=True)
    assert status.trouble.code == "DESTINATION_NOT_MOUNTED"
