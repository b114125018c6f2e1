"""Files in the homes of machines, by SFTP through the machine's one SSH connection.

The SFTP server runs as the workspace's user, so it has no more rights than the workspace.
Symlinks are refused nevertheless, as for local workspaces.
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
    WrongFileKind,
)
from prism.files.plan import holds_volumes, offset_mismatch, part_of, split
from prism.files.ports import Scan
from prism.providers.aws.ssh.model import MachineUnreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from asyncssh import SFTPAttrs, SFTPClient, SFTPClientFile

    from prism.providers.aws.ssh.pool import SshPool

FILE_TIMEOUT = 60.0  # seconds for one step; removing a tree takes several
COPY_TIMEOUT = 600.0
FILE, FOLDER, LINK = 1, 2, 3  # SFTP's numbers for the types of files
KINDS: dict[int, Kind] = {FILE: "file", FOLDER: "folder", LINK: "link"}
NO_SPACE, QUOTA = 14, 15  # error codes of newer servers
Result = TypeVar("Result")


class AwsFiles:
    """Implements `files.ports.Files`."""

    asleep = False

    def __init__(self, pool: SshPool) -> None:
        self._pool = pool

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """The entries of a folder, in the order of the disk."""
        return self._run_in_home(id, lambda home: _scan(home, path, limit))

    def open(self, id: str, path: str) -> AwsReading:
        """Open a regular file; pipes and devices are refused without opening them."""
        home = self._enter(id)
        try:
            file, attrs = self._run(_open(home, path), path)
        except BaseException:
            self._close(home)
            raise
        return AwsReading(self, home, file, attrs, path)

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> AwsWriting:
        """Start writing to a part file next to `path`."""
        home = self._enter(id)
        try:
            file = self._run(_begin_part(home, path, offset, replace=replace), path)
        except BaseException:
            self._close(home)
            raise
        return AwsWriting(self, home, file, path, offset, replace=replace)

    def make_folder(self, id: str, path: str) -> None:
        """Make a folder and its parents."""
        self._run_in_home(id, lambda home: _make_folder(home, path))

    def rename(self, id: str, path: str, to: str) -> None:
        """Rename within the home; refuses to replace anything."""
        self._run_in_home(id, lambda home: _rename(home, path, to))

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """Remove a file or folder; of a link, the link itself."""
        self._run_in_home(id, lambda home: _remove(home, path, recursive=recursive))

    def _run_in_home(self, id: str, work: Callable[[Home], Coroutine[Any, Any, Result]]) -> Result:
        home = self._enter(id)
        try:
            return self._run(work(home), "", COPY_TIMEOUT)
        finally:
            self._close(home)

    def _enter(self, id: str) -> Home:
        return self._run(self._open_home(id), "")

    def _run(
        self, work: Coroutine[Any, Any, Result], path: str, seconds: float = FILE_TIMEOUT
    ) -> Result:
        return self._pool.background.run(_in_time(work, path, seconds), seconds + FILE_TIMEOUT)

    def _close(self, home: Home) -> None:
        self._pool.background.start(home.leave())

    async def _open_home(self, id: str) -> Home:
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
    """An SFTP session, and the home in which it starts."""

    def __init__(self, sftp: SFTPClient, home: str, used: Any) -> None:
        self.sftp, self._home, self._used = sftp, home, used

    def at(self, path: str) -> str:
        """The full path of a path below the home."""
        return f"{self._home}/{path}" if path else self._home

    async def about(self, path: str) -> SFTPAttrs:
        """The attributes of an entry; raises if a parent is a link or no folder."""
        parts = path.split("/") if path else []
        for count in range(1, len(parts)):
            above = await self.sftp.lstat(self.at("/".join(parts[:count])))
            if above.type != FOLDER:
                _raise_wrong_kind("/".join(parts[:count]), above)
        return await self.sftp.lstat(self.at(path))

    async def find(self, path: str) -> SFTPAttrs | None:
        """The attributes of an entry; None if it does not exist."""
        import asyncssh  # noqa: PLC0415  cold start: it is there by now

        try:
            return await self.about(path)
        except asyncssh.SFTPNoSuchFile:
            return None

    async def leave(self) -> None:
        """End the session; the SSH connection stays open."""
        self._used.__exit__(None, None, None)
        self.sftp.exit()


class AwsReading:
    """Implements `files.ports.FileReader`."""

    def __init__(
        self, files: AwsFiles, home: Home, file: SFTPClientFile, attrs: SFTPAttrs, path: str
    ) -> None:
        self._files, self._home, self._file, self._path = files, home, file, path
        self.size = int(attrs.size or 0)
        self.tag = f'"{self.size:x}-{int(attrs.mtime or 0):x}"'

    def read(self, offset: int, size: int) -> bytes:
        """At most that many bytes."""
        piece = self._files._run(_as_coroutine(self._file.read(size, offset)), self._path)
        assert isinstance(piece, bytes), "it was opened as binary"
        return piece

    def close(self) -> None:
        """Close it."""
        self._files._close(self._home)


class AwsWriting:
    """Implements `files.ports.FileWriter`."""

    def __init__(
        self,
        files: AwsFiles,
        home: Home,
        file: SFTPClientFile,
        path: str,
        offset: int,
        *,
        replace: bool,
    ) -> None:
        self._files, self._home, self._file, self._path = files, home, file, path
        self._at, self._replace = offset, replace
        above, name = split(path)
        self._part = home.at(f"{above}/{part_of(name)}".lstrip("/"))

    def write(self, piece: bytes) -> None:
        """Append."""
        self._files._run(_as_coroutine(self._file.write(piece, self._at)), self._path)
        self._at += len(piece)

    def finish(self) -> None:
        """Rename the part file to its final name."""
        self._files._run(self._finish(), self._path)

    def close(self, *, discard: bool) -> None:
        """Close the part file; unless it is discarded, an upload can continue it."""
        try:
            if discard:
                self._files._run(_as_coroutine(self._home.sftp.remove(self._part)), self._path)
        except Problem:
            return  # the machine does not answer; the part file stays
        finally:
            self._files._close(self._home)

    async def _finish(self) -> None:
        await self._file.close()
        sftp, target = self._home.sftp, self._home.at(self._path)
        if not self._replace and await self._home.find(self._path) is not None:
            raise AlreadyExists(f"{self._path} already exists")
        await (sftp.posix_rename if self._replace else sftp.rename)(self._part, target)


async def _as_coroutine(work: Awaitable[Result]) -> Result:
    return await work


async def _in_time(work: Coroutine[Any, Any, Result], path: str, seconds: float) -> Result:
    """The result of `work`, within `seconds`; SFTP errors become problems."""
    import asyncssh  # noqa: PLC0415  cold start: 200 ms, only for SSH

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


async def _scan(home: Home, path: str, limit: int) -> Scan:
    if path and (attrs := await home.about(path)).type != FOLDER:
        _raise_wrong_kind(path, attrs)
    entries: list[FileEntry] = []
    async for sftpname in home.sftp.scandir(home.at(path)):
        name = str(sftpname.filename)
        if name in {".", ".."}:
            continue
        if len(entries) == limit:
            return Scan(entries, truncated=True)
        entries.append(_file_entry(name, sftpname.attrs))
    return Scan(entries, truncated=False)


async def _open(home: Home, path: str) -> tuple[SFTPClientFile, SFTPAttrs]:
    attrs = await home.about(path)
    if attrs.type != FILE:
        _raise_wrong_kind(path, attrs)
    file = await home.sftp.open(home.at(path), "rb")
    return file, await file.stat()


async def _begin_part(home: Home, path: str, offset: int, *, replace: bool) -> SFTPClientFile:
    above, name = split(path)
    if above and (attrs := await home.about(above)).type != FOLDER:
        _raise_wrong_kind(above, attrs)
    if (known := await home.find(path)) is not None:
        if known.type == FOLDER:
            _raise_wrong_kind(path, known)
        if not replace:
            raise AlreadyExists(
                f"{path} already exists",
                remediation="Ask to replace it, or use another name",
            )
    part = f"{above}/{part_of(name)}".lstrip("/")
    begun = await home.find(part)
    if offset:
        received = int(begun.size or 0) if begun is not None and begun.type == FILE else 0
        if received != offset:
            raise offset_mismatch(received)
        return await home.sftp.open(home.at(part), "r+b", block_size=-1)
    if begun is not None:
        await home.sftp.remove(home.at(part))
    file = await home.sftp.open(home.at(part), "xb")
    if known is not None and known.type == FILE and known.permissions is not None:
        await home.sftp.chmod(home.at(part), known.permissions & 0o777)
    return file


async def _make_folder(home: Home, path: str) -> None:
    if await home.find(path) is not None:
        raise AlreadyExists(f"{path} already exists")
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        below = "/".join(parts[:count])
        known = await home.find(below)
        if known is None:
            await home.sftp.mkdir(home.at(below))
        elif known.type != FOLDER:
            _raise_wrong_kind(below, known)


async def _rename(home: Home, path: str, to: str) -> None:
    _refuse_volumes(path, await home.about(path))
    if await home.find(to) is not None:
        raise AlreadyExists(f"{to} already exists")
    await home.sftp.rename(home.at(path), home.at(to))


async def _remove(home: Home, path: str, *, recursive: bool) -> None:
    attrs = await home.about(path)
    if attrs.type != FOLDER:
        return await home.sftp.remove(home.at(path))
    if recursive:
        _refuse_volumes(path, attrs)
        return await home.sftp.rmtree(home.at(path))
    async for sftpname in home.sftp.scandir(home.at(path)):
        if str(sftpname.filename) not in {".", ".."}:
            raise FolderNotEmpty(f"The folder is not empty: {path}")
    return await home.sftp.rmdir(home.at(path))


def _refuse_volumes(path: str, attrs: SFTPAttrs) -> None:
    """Raise if it may be a whole volume: SFTP does not distinguish mounts from folders."""
    if attrs.type == FOLDER and holds_volumes(path):
        raise WrongFileKind(
            f"{path} is where volumes are attached, not a folder of the home",
            details="what is removed from a volume is gone for its other workspaces too",
            remediation="Remove single files or folders in it, or take a volume out: "
            "`prism volume detach VOLUME WORKSPACE`",
        )


def _file_entry(name: str, attrs: SFTPAttrs) -> FileEntry:
    display_name = name.encode(errors="surrogateescape").decode(errors="replace")
    kind = KINDS.get(attrs.type, "other")
    when = None if attrs.mtime is None else datetime.fromtimestamp(int(attrs.mtime), UTC)
    return FileEntry(
        name=display_name,
        kind=kind,
        size=attrs.size if kind == "file" else None,
        modified=when,
        addressable=display_name == name,
    )


def _raise_wrong_kind(path: str, attrs: SFTPAttrs) -> NoReturn:
    kind = KINDS.get(attrs.type, "other")
    raise WrongFileKind(
        f"This cannot be done with {path}", details=f"it is a {kind}; Prism does not follow links"
    )
