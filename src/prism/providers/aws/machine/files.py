"""Homes of machines in the cloud, by SFTP through the one connection to each machine.

The server there acts as the workspace's own user, so nothing is reached that the workspace
itself could not reach. Symlinks are refused all the same, so that a path means the same here
as on a local machine.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from prism.errors import AlreadyExists, Problem
from prism.files.model import (
    DiskFull,
    FileEntry,
    FileForbidden,
    FileMissing,
    FileOperationFailed,
    FolderNotEmpty,
    Kind,
    UploadOffset,
    WrongFileKind,
)
from prism.files.plan import holds_volumes, part_of, split
from prism.files.ports import Scan
from prism.providers.aws.ssh.model import MachineUnreachable
from prism.providers.aws.unavailable import anew

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from asyncssh import SFTPAttrs, SFTPClient, SFTPClientFile

    from prism.providers.aws.ssh.pool import SshPool

PATIENCE = 60.0  # seconds for one step; a tree of files is removed in more
LONG = 600.0
FILE, FOLDER, LINK = 1, 2, 3  # as SFTP numbers kinds of files
KINDS: dict[int, Kind] = {FILE: "file", FOLDER: "folder", LINK: "link"}
NO_SPACE, QUOTA = 14, 15  # what newer servers answer
T = TypeVar("T")


class AwsFiles:
    """Implements `files.ports.Files`."""

    asleep = False

    def __init__(self, pool: SshPool) -> None:
        self._pool = pool

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """What is in a folder, in the order of the disk."""
        return self._done(id, lambda there: _scan(there, path, limit))

    def open(self, id: str, path: str) -> AwsReading:
        """A regular file; a pipe or a device is not even opened."""
        there = self._there(id)
        try:
            file, about = self._run(_opened(there, path), path)
        except BaseException:
            self._close(there)
            raise
        return AwsReading(self, there, file, about, path)

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> AwsWriting:
        """Its part is a file of ours beside it."""
        there = self._there(id)
        try:
            file = self._run(_begun(there, path, offset, replace=replace), path)
        except BaseException:
            self._close(there)
            raise
        return AwsWriting(self, there, file, path, offset, replace=replace)

    def make_folder(self, id: str, path: str) -> None:
        """Make it, and those above it."""
        self._done(id, lambda there: _made(there, path))

    def rename(self, id: str, path: str, to: str) -> None:
        """Within the home; nothing is replaced."""
        self._done(id, lambda there: _renamed(there, path, to))

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """A link is removed, not what it leads to."""
        self._done(id, lambda there: _removed(there, path, recursive=recursive))

    def _done(self, id: str, work: Callable[[Home], Coroutine[Any, Any, T]]) -> T:
        there = self._there(id)
        try:
            return self._run(work(there), "", LONG)
        finally:
            self._close(there)

    def _there(self, id: str) -> Home:
        return self._run(self._entered(id), "")

    def _run(self, work: Coroutine[Any, Any, T], path: str, seconds: float = PATIENCE) -> T:
        return self._pool.background.run(_in_time(work, path, seconds), seconds + PATIENCE)

    def _close(self, there: Home) -> None:
        self._pool.background.start(there.left())

    async def _entered(self, id: str) -> Home:
        loop = asyncio.get_running_loop()
        link = self._pool.link(await loop.run_in_executor(None, self._pool.host, id))
        used = link.used()
        used.__enter__()
        try:
            ssh = await link.connection()
            sftp = await ssh.start_sftp_client(path_errors="surrogateescape")
            return Home(sftp, str(await sftp.realpath(".")), used)
        except BaseException:
            used.__exit__(None, None, None)
            raise


class Home:
    """A session of SFTP, and the home that it begins in."""

    def __init__(self, sftp: SFTPClient, home: str, used: Any) -> None:
        self.sftp, self._home, self._used = sftp, home, used

    def at(self, path: str) -> str:
        """The whole path of one below the home."""
        return f"{self._home}/{path}" if path else self._home

    async def about(self, path: str) -> SFTPAttrs:
        """What is there; raises where a folder on the way is a link or no folder."""
        parts = path.split("/") if path else []
        for count in range(1, len(parts)):
            above = await self.sftp.lstat(self.at("/".join(parts[:count])))
            if above.type != FOLDER:
                _wrong("/".join(parts[:count]), above)
        return await self.sftp.lstat(self.at(path))

    async def find(self, path: str) -> SFTPAttrs | None:
        """The same; none where nothing is there."""
        import asyncssh  # noqa: PLC0415  cold start: it is there by now

        try:
            return await self.about(path)
        except asyncssh.SFTPNoSuchFile:
            return None

    async def left(self) -> None:
        """The session ends; the connection stays for the next one."""
        self._used.__exit__(None, None, None)
        self.sftp.exit()


class AwsReading:
    """Implements `files.ports.FileReader`."""

    def __init__(
        self, files: AwsFiles, there: Home, file: SFTPClientFile, about: SFTPAttrs, path: str
    ) -> None:
        self._files, self._there, self._file, self._path = files, there, file, path
        self.size = int(about.size or 0)
        self.tag = f'"{self.size:x}-{int(about.mtime or 0):x}"'

    def read(self, offset: int, size: int) -> bytes:
        """At most that many bytes."""
        piece = self._files._run(_awaited(self._file.read(size, offset)), self._path)
        assert isinstance(piece, bytes), "it was opened as binary"
        return piece

    def close(self) -> None:
        """Let go of it."""
        self._files._close(self._there)


class AwsWriting:
    """Implements `files.ports.FileWriter`."""

    def __init__(
        self,
        files: AwsFiles,
        there: Home,
        file: SFTPClientFile,
        path: str,
        offset: int,
        *,
        replace: bool,
    ) -> None:
        self._files, self._there, self._file, self._path = files, there, file, path
        self._at, self._replace = offset, replace
        above, name = split(path)
        self._part = there.at(f"{above}/{part_of(name)}".lstrip("/"))

    def write(self, piece: bytes) -> None:
        """Append."""
        self._files._run(_awaited(self._file.write(piece, self._at)), self._path)
        self._at += len(piece)

    def finish(self) -> None:
        """Under its name."""
        self._files._run(self._finished(), self._path)

    def close(self, *, discard: bool) -> None:
        """Let go of it; a part that is not discarded can be continued."""
        try:
            if discard:
                self._files._run(_awaited(self._there.sftp.remove(self._part)), self._path)
        except Problem:
            return  # the machine went away, and its part stays
        finally:
            self._files._close(self._there)

    async def _finished(self) -> None:
        await self._file.close()
        sftp, target = self._there.sftp, self._there.at(self._path)
        if not self._replace and await self._there.find(self._path) is not None:
            raise AlreadyExists(f"There is a {self._path} already")
        await (sftp.posix_rename if self._replace else sftp.rename)(self._part, target)


class FilesAway:
    """Implements `Files` for a place that cannot be asked now: every call raises the reason."""

    asleep = False

    def __init__(self, reason: Problem) -> None:
        self.reason = reason

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """Not now."""
        raise anew(self.reason)

    def open(self, id: str, path: str) -> AwsReading:
        """Not now."""
        raise anew(self.reason)

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> AwsWriting:
        """Not now."""
        raise anew(self.reason)

    def make_folder(self, id: str, path: str) -> None:
        """Not now."""
        raise anew(self.reason)

    def rename(self, id: str, path: str, to: str) -> None:
        """Not now."""
        raise anew(self.reason)

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """Not now."""
        raise anew(self.reason)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _in_time(work: Coroutine[Any, Any, T], path: str, seconds: float) -> T:
    """The answer of the machine, its refusals as problems."""
    import asyncssh  # noqa: PLC0415  cold start: 200 ms that only who goes in pays

    try:
        async with asyncio.timeout(seconds):
            return await work
    except asyncssh.SFTPNoSuchFile as error:
        raise FileMissing(f"There is no such file or folder: {path}".rstrip(": ")) from error
    except asyncssh.SFTPPermissionDenied as error:
        raise FileForbidden(details=error.reason) from error
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as error:
        raise MachineUnreachable(
            "The machine ended the connection", details=error.reason
        ) from error
    except asyncssh.SFTPError as error:
        kind = DiskFull if error.code in {NO_SPACE, QUOTA} else FileOperationFailed
        raise kind(details=error.reason) from error
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise MachineUnreachable(
            "The machine ended the connection, or takes too long",
            details=f"{type(error).__name__}: {error}".rstrip(": "),
        ) from error


async def _scan(there: Home, path: str, limit: int) -> Scan:
    if path and (about := await there.about(path)).type != FOLDER:
        _wrong(path, about)
    found: list[FileEntry] = []
    async for sftpname in there.sftp.scandir(there.at(path)):
        name = str(sftpname.filename)
        if name in {".", ".."}:
            continue
        if len(found) == limit:
            return Scan(found, truncated=True)
        found.append(_entry(name, sftpname.attrs))
    return Scan(found, truncated=False)


async def _opened(there: Home, path: str) -> tuple[SFTPClientFile, SFTPAttrs]:
    about = await there.about(path)
    if about.type != FILE:
        _wrong(path, about)
    file = await there.sftp.open(there.at(path), "rb")
    return file, await file.stat()


async def _begun(there: Home, path: str, offset: int, *, replace: bool) -> SFTPClientFile:
    above, name = split(path)
    if above and (about := await there.about(above)).type != FOLDER:
        _wrong(above, about)
    if (known := await there.find(path)) is not None:
        if known.type == FOLDER:
            _wrong(path, known)
        if not replace:
            raise AlreadyExists(
                f"There is a {path} already",
                remediation="Ask to replace it, or use another name",
            )
    part = f"{above}/{part_of(name)}".lstrip("/")
    begun = await there.find(part)
    if offset:
        received = int(begun.size or 0) if begun is not None and begun.type == FILE else 0
        if received != offset:
            raise UploadOffset(
                details=f"{received} bytes were received",
                remediation="Continue there, or start again at 0",
                data={"received": received},
            )
        return await there.sftp.open(there.at(part), "r+b", block_size=-1)
    if begun is not None:
        await there.sftp.remove(there.at(part))
    file = await there.sftp.open(there.at(part), "xb")
    if known is not None and known.type == FILE and known.permissions is not None:
        await there.sftp.chmod(there.at(part), known.permissions & 0o777)
    return file


async def _made(there: Home, path: str) -> None:
    if await there.find(path) is not None:
        raise AlreadyExists(f"There is a {path} already")
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        below = "/".join(parts[:count])
        known = await there.find(below)
        if known is None:
            await there.sftp.mkdir(there.at(below))
        elif known.type != FOLDER:
            _wrong(below, known)


async def _renamed(there: Home, path: str, to: str) -> None:
    _no_volume(path, await there.about(path))
    if await there.find(to) is not None:
        raise AlreadyExists(f"There is a {to} already")
    await there.sftp.rename(there.at(path), there.at(to))


async def _removed(there: Home, path: str, *, recursive: bool) -> None:
    about = await there.about(path)
    if about.type != FOLDER:
        return await there.sftp.remove(there.at(path))
    if recursive:
        _no_volume(path, about)
        return await there.sftp.rmtree(there.at(path))
    async for sftpname in there.sftp.scandir(there.at(path)):
        if str(sftpname.filename) not in {".", ".."}:
            raise FolderNotEmpty(f"The folder is not empty: {path}")
    return await there.sftp.rmdir(there.at(path))


def _no_volume(path: str, about: SFTPAttrs) -> None:
    """Raise for what may be a volume as a whole: SFTP does not tell mounts from folders."""
    if about.type == FOLDER and holds_volumes(path):
        raise WrongFileKind(
            f"{path} is where volumes are attached, not a folder of the home",
            details="what is removed from a volume is gone, also from its other workspaces",
            remediation="Remove single files or folders in it, or take a volume out: "
            "`prism volume detach VOLUME WORKSPACE`",
        )


def _entry(name: str, about: SFTPAttrs) -> FileEntry:
    shown = name.encode(errors="surrogateescape").decode(errors="replace")
    kind = KINDS.get(about.type, "other")
    when = None if about.mtime is None else datetime.fromtimestamp(int(about.mtime), UTC)
    return FileEntry(
        name=shown,
        kind=kind,
        size=about.size if kind == "file" else None,
        modified=when,
        addressable=shown == name,
    )


def _wrong(path: str, about: SFTPAttrs) -> NoReturn:
    kind = KINDS.get(about.type, "other")
    raise WrongFileKind(
        f"This cannot be done with {path}", details=f"it is a {kind}; Prism follows no link"
    )
