"""Copies by Prism's own SFTP client, from a workspace that answers what it likes."""

import asyncio
import stat

import pytest
from asyncssh import SFTPAttrs, SFTPError, SFTPName

from prism.cli.sftp_client import TreeCopy


class HostileSftp:
    """An SFTP server whose answers about names and modes are free."""

    def __init__(self, names, mode=0o644):
        self._names, self._mode = names, mode

    async def stat(self, path):
        if path == b"tree":
            return SFTPAttrs(permissions=stat.S_IFDIR | 0o2755, atime=1, mtime=2)
        return SFTPAttrs(permissions=self._mode, atime=3, mtime=4)

    async def scandir(self, path):
        for name in self._names:
            yield SFTPName(name)

    def open(self, path, mode):
        return self

    async def __aenter__(self):
        self._left = [b"text"]
        return self

    async def __aexit__(self, *_):
        pass

    async def read(self, size):
        return self._left.pop() if self._left else b""


def download(sftp, target):
    copy = TreeCopy(sftp, silent=True)
    asyncio.run(copy.download(b"tree", str(target).encode()))


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/b", "", "a\0b"])
def test_download_refuses_what_is_no_file_name(tmp_path, name):
    with pytest.raises(SFTPError, match="is not the name of a file"):
        download(HostileSftp([".", "..", name]), tmp_path / "target")
    assert [*tmp_path.rglob("*")] == [tmp_path / "target"]


def test_download_sets_no_bit_that_lets_others_write_or_run_a_file_as_its_owner(tmp_path):
    download(HostileSftp(["one"], stat.S_IFREG | 0o6777), tmp_path / "target")
    status = (tmp_path / "target" / "one").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o755, 4)
    folder = (tmp_path / "target").stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_mtime) == (0o755, 2)


def test_download_leaves_out_what_is_neither_a_file_nor_a_folder(tmp_path, capsys):
    download(HostileSftp(["a\x1b[2J"], stat.S_IFIFO | 0o644), tmp_path / "target")
    assert [*(tmp_path / "target").iterdir()] == []
    printed = "tree/a?[2J is neither a file nor a folder, and is left out\n"
    assert capsys.readouterr().err == printed
