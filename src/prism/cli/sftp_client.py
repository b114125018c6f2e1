"""A program that is used instead of `scp` where OpenSSH's client is not installed.

    python -P -m prism.cli.sftp_client SETTINGS [-q] -- SOURCE TARGET

SETTINGS is the JSON of `SshSettings`; one of both paths is `HOST:PATH`, with its host. Like
`scp -p -r`, it keeps times and modes, follows links, and copies the content of a folder into a
folder that exists. A copy to this computer never gets a mode that lets others write.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple, cast

from asyncssh import SFTPAttrs, SFTPClient, SFTPError

from prism.cli.ssh_client import SshSettings, connect, run

PIECE_BYTES = 1 << 22  # asyncssh divides it into requests that are sent at once
PERMISSIONS = 0o777  # without the bits that let a program run as the file's owner
OTHERS_WRITE = 0o022


class Copied(NamedTuple):
    """How much is copied."""

    files: int = 0
    bytes: int = 0


class TreeCopy:
    """A copy of one file or folder, in or out; `silent` prints no progress."""

    def __init__(self, sftp: SFTPClient, *, silent: bool) -> None:
        self._sftp, self._silent, self._copied = sftp, silent, Copied()

    async def upload(self, source: bytes, target: bytes) -> None:
        """Copy what is on this computer into the workspace."""
        pending, folders = [(source, target)], []
        while pending:
            local, remote = pending.pop()
            attrs = os.stat(local)
            if stat.S_ISDIR(attrs.st_mode):
                if not await self._sftp.isdir(remote):
                    await self._sftp.mkdir(remote)
                folders.append((local, remote))
                child_names = sorted(os.listdir(local), reverse=True)
                pending += [(os.path.join(local, n), os.path.join(remote, n)) for n in child_names]
            elif stat.S_ISREG(attrs.st_mode):
                await self._upload_file(local, remote)
                await self._set_attributes(local, remote)
            else:
                _say_skipped(local)
        for local, remote in reversed(folders):  # after their content, which changes their times
            await self._set_attributes(local, remote)

    async def download(self, source: bytes, target: bytes) -> None:
        """Copy what is in the workspace to this computer."""
        pending, folders = [(source, target)], []
        while pending:
            remote, local = pending.pop()
            attrs = await self._sftp.stat(remote)
            mode = attrs.permissions or 0
            if stat.S_ISDIR(mode):
                os.makedirs(local, exist_ok=True)
                folders.append((local, attrs))
                child_names = [name async for name in self._names(remote)]
                pending += [(os.path.join(remote, n), os.path.join(local, n)) for n in child_names]
            elif stat.S_ISREG(mode):
                await self._download_file(remote, local)
                _set_local_attributes(local, attrs)
            else:
                _say_skipped(remote)
        for local, attrs in reversed(folders):
            _set_local_attributes(local, attrs)

    async def _names(self, folder: bytes) -> AsyncIterator[bytes]:
        async for entry in self._sftp.scandir(folder):
            name = os.fsencode(entry.filename)
            if name in {b".", b".."}:
                continue
            if not name or b"/" in name or b"\0" in name:
                raise SFTPError(0, f"{name!r} is not the name of a file")
            yield name

    async def _upload_file(self, source: bytes, target: bytes) -> None:
        with open(source, "rb") as file:  # noqa: ASYNC230  nothing else runs in this loop
            async with self._sftp.open(target, "wb") as out:
                while piece := file.read(PIECE_BYTES):
                    await out.write(piece)
                    self._count(len(piece))
        self._count(0, files=1)

    async def _download_file(self, source: bytes, target: bytes) -> None:
        async with self._sftp.open(source, "rb") as file:
            with open(target, "wb") as out:  # noqa: ASYNC230  the same
                while piece := cast("bytes", await file.read(PIECE_BYTES)):
                    out.write(piece)
                    self._count(len(piece))
        self._count(0, files=1)

    async def _set_attributes(self, source: bytes, target: bytes) -> None:
        attrs = os.stat(source)
        times = {"atime": int(attrs.st_atime), "mtime": int(attrs.st_mtime)}
        mode = attrs.st_mode & PERMISSIONS
        await self._sftp.setstat(target, SFTPAttrs(permissions=mode, **times))

    def _count(self, size: int, *, files: int = 0) -> None:
        """Print how much is copied, on one line that is rewritten."""
        self._copied = Copied(self._copied.files + files, self._copied.bytes + size)
        if not self._silent:
            noun = "file" if self._copied.files == 1 else "files"
            progress = f"{self._copied.files} {noun}, {self._copied.bytes / 1e6:,.1f} MB"
            sys.stdout.write(f"\r{progress}")
            sys.stdout.flush()


def _set_local_attributes(path: bytes, attrs: SFTPAttrs) -> None:
    os.chmod(path, (attrs.permissions or 0) & PERMISSIONS & ~OTHERS_WRITE)
    if attrs.atime is not None and attrs.mtime is not None:
        os.utime(path, (attrs.atime, attrs.mtime))


def _say_skipped(path: bytes) -> None:
    name = os.fsdecode(path)
    printable = "".join(c if c.isprintable() else "?" for c in name)
    sys.stderr.write(f"{printable} is neither a file nor a folder, and is left out\n")


async def _copy(settings: SshSettings, source: str, target: str, *, silent: bool) -> int:
    async with await connect(settings) as connection:
        async with connection.start_sftp_client() as sftp:
            copy = TreeCopy(sftp, silent=silent)
            host = settings["host"]
            prefix = f"[{host}]:" if ":" in host else f"{host}:"
            if target.startswith(prefix):
                await copy.upload(os.fsencode(source), os.fsencode(target.removeprefix(prefix)))
            else:
                await copy.download(os.fsencode(source.removeprefix(prefix)), os.fsencode(target))
        if not silent:
            sys.stdout.write("\n")
    return 0


def main(argv: list[str]) -> int:
    """Copy; the exit code."""
    settings, *options, _, source, target = argv
    silent, reach = "-q" in options, json.loads(settings)
    return run(lambda: _copy(reach, source, target, silent=silent))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
