"""Files of workspaces on a lab server, which Prism's program there reads and writes.

No path of the server is used on this computer, and what the server answers is bounded: names are
names, a piece is never longer than requested, and each answer has to come within a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from prism.errors import Problem, Unavailable
from prism.files.model import FileEntry, Kind
from prism.files.plan import LONGEST_NAME, part_of, split
from prism.files.ports import Scan
from prism.providers.file_refusals import file_entry, file_problem
from prism.providers.ssh import commands, shipment
from prism.providers.ssh.framing import HEAD, LONGEST, skip_noise
from prism.providers.ssh.model import NotOnServers, ServerUnreachable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from asyncssh import SSHClientProcess

    from prism.providers.ssh.server import LabServer

STEP_SECONDS, TREE_SECONDS = 60.0, 600.0  # for one answer; removing a tree takes longer
TOGETHER = 4  # files and folders of one server at once; its `MaxSessions` is often 10
TURN_SECONDS = 30.0
READ_AHEAD, MOST_UNANSWERED = 4, 8  # pieces that are requested, and sent, before an answer
MOST_SIZE = (1 << 63) - 1
MOST_WORDS = 1000  # characters of a refusal


class HomeEntryAnswer(Struct, frozen=True, array_like=True):
    """An entry of a folder."""

    name: str
    kind: Kind
    size: Annotated[int, Meta(ge=0, le=MOST_SIZE)] | None
    modified: int | None


class ScanAnswer(Struct, frozen=True):
    """The end of a listing."""

    truncated: bool


class OpenAnswer(Struct, frozen=True):
    """A file that was opened."""

    size: Annotated[int, Meta(ge=0, le=MOST_SIZE)]
    tag: Annotated[str, Meta(pattern=r'^"[0-9a-f-]{1,80}"\Z')]


class RefusalAnswer(Struct, frozen=True):
    """Why a request was refused."""

    kind: str
    message: str
    details: str
    remediation: str
    received: Annotated[int, Meta(ge=0, le=MOST_SIZE)]


class LabFiles:
    """Implements `files.ports.Files`."""

    asleep = True

    def __init__(self, server: LabServer) -> None:
        self._server = server
        self._turns = threading.BoundedSemaphore(TOGETHER)

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """The entries of a folder, in the order of the disk."""
        with self._session() as session:
            scan: Scan = session.run(session.scan(id, path, limit), STEP_SECONDS)
        return scan

    def open(self, id: str, path: str) -> LabReading:
        """A regular file; a pipe or a device is not even opened."""
        session = self._enter()
        try:
            opened = session.ask(OpenAnswer, do="open", id=id, path=path)
        except BaseException:
            session.leave()
            raise
        return LabReading(session, opened)

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> LabWriting:
        """Write to a part file beside it."""
        part = part_of(split(path)[1])
        session = self._enter()
        try:
            session.ask(
                None, do="begin", id=id, path=path, part=part, offset=offset, replace=replace
            )
        except BaseException:
            session.leave()
            raise
        return LabWriting(session)

    def make_folder(self, id: str, path: str) -> None:
        """Make a folder and its parents."""
        self._once(do="folder", id=id, path=path)

    def rename(self, id: str, path: str, to: str) -> None:
        """Rename within the home; nothing is replaced."""
        self._once(do="rename", id=id, path=path, to=to)

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """Remove a file or folder; of a link, the link itself."""
        self._once(TREE_SECONDS, do="remove", id=id, path=path, recursive=recursive)

    def _once(self, seconds: float | None = None, **request: Any) -> None:
        with self._session() as session:
            session.ask(None, seconds, **request)

    @contextlib.contextmanager
    def _session(self) -> Any:
        session = self._enter()
        try:
            yield session
        finally:
            session.leave()

    def _enter(self) -> FileSession:
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise NotOnServers(
                f"Other files of {self._server.name} are being copied",
                details=f"{TOGETHER} at a time, because the sessions of a login are limited",
                remediation="Try again when one of them is there",
            )
        try:
            return FileSession(self._server, self._turns)
        except BaseException:
            self._turns.release()
            raise


class FileSession:
    """One program on the server, which has at most one file open."""

    def __init__(self, server: LabServer, turns: threading.BoundedSemaphore) -> None:
        """Start it; its end gives back a turn."""
        self._server, self._turns = server, turns
        self._used = contextlib.ExitStack()
        self._process = self._start()

    def _start(self) -> SSHClientProcess[bytes]:
        process: SSHClientProcess[bytes] | None = self.run(self._begin(), STEP_SECONDS)
        if process is None:  # another version, which a request ships
            self._server.facts()
            process = self.run(self._begin(), STEP_SECONDS)
        if process is None:
            raise commands.AnswerInvalid("The server did not start Prism's program")
        return process

    def run(self, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
        """The result of `work`; failures of the connection become problems."""
        return self._server.background.run(self._in_time(work, seconds), seconds + STEP_SECONDS)

    def ask(self, kind: Any, seconds: float | None = None, **request: Any) -> Any:
        """The answer to a request."""
        return self.run(self._ask(kind, request), seconds or STEP_SECONDS)

    def leave(self) -> None:
        """End the program; what it has not written stays away."""
        self._turns.release()
        with contextlib.suppress(Unavailable):
            self._server.background.start(self._leave())

    # ------------------------------------------------------------ in the server's loop
    async def scan(self, id: str, path: str, limit: int) -> Scan:
        """The entries of a folder, up to a limit."""
        self.send_request({"do": "scan", "id": id, "path": path, "limit": limit})
        entries: list[FileEntry] = []
        while True:
            kind, body = await self.receive()
            if kind != b"E":
                truncated = self.decoded(kind, body, ScanAnswer).truncated
                return Scan(entries, truncated)
            batch = _strict(body, list[HomeEntryAnswer])
            for entry in batch or (None,):
                if entry is None or len(entries) == limit:
                    raise commands.AnswerInvalid("The server lists more than was requested")
                entries.append(_file_entry(entry))

    def send_request(self, request: dict[str, Any]) -> None:
        """Send a request; its answer is received later."""
        self.send(b"Q", json.dumps(request).encode())

    def send(self, kind: bytes, body: bytes) -> None:
        """Send a message."""
        self._process.stdin.write(HEAD.pack(kind, len(body)) + body)

    async def drain(self) -> None:
        """Wait until the server takes more."""
        await self._process.stdin.drain()

    async def receive(self) -> tuple[bytes, bytes]:
        """The next message."""
        head = await self._process.stdout.readexactly(HEAD.size)
        kind, length = HEAD.unpack(head)
        if length > LONGEST:
            raise commands.AnswerInvalid("The server sent a message that is too long")
        return kind, await self._process.stdout.readexactly(length)

    def decoded(self, kind: bytes, body: bytes, answer: Any) -> Any:
        """The answer in a message; raises what it refuses."""
        if kind == b"F":
            refused = _strict(body, RefusalAnswer)
            raise file_problem(
                refused.kind,
                refused.message[:MOST_WORDS],
                refused.details[:MOST_WORDS],
                refused.remediation[:MOST_WORDS],
                refused.received,
            )
        if kind != b"A":
            raise commands.AnswerInvalid("The server answered another question")
        return _strict(body, answer)

    async def _ask(self, kind: Any, request: dict[str, Any]) -> Any:
        self.send_request(request)
        return self.decoded(*await self.receive(), kind)

    async def _begin(self) -> SSHClientProcess[bytes] | None:
        """Start the program; None if the server does not have it."""
        link, nonce = self._server.link(self._server), secrets.token_hex(16)
        command = commands.run_command(shipment.agent().name, "", nonce, "files")
        self._used.enter_context(link.used())
        process = None
        try:
            process = await self._server.start_process(command)
            if await skip_noise(process.stdout, nonce):
                return process
            await process.wait_closed()
            if process.returncode == commands.NOT_SHIPPED:
                self._used.close()
                return None
            raise commands.AnswerInvalid("The server did not start Prism's program")
        except BaseException:
            self._used.close()
            if process is not None:
                process.close()
            raise

    async def _in_time(self, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
        import asyncssh  # noqa: PLC0415  cold start: 200 ms, only for SSH

        try:
            async with asyncio.timeout(seconds):
                return await work
        except (asyncssh.Error, OSError, TimeoutError, EOFError) as error:
            raise ServerUnreachable(
                f"{self._server.name} ended the connection, or takes too long",
                details=f"{type(error).__name__}: {error}".rstrip(": "),
            ) from error

    async def _leave(self) -> None:
        self._process.close()
        self._used.close()


class LabReading:
    """Implements `files.ports.FileReader`; asks for the next pieces before they are needed."""

    def __init__(self, session: FileSession, opened: OpenAnswer) -> None:
        self._session, self.size, self.tag = session, opened.size, opened.tag
        self._requested: deque[tuple[int, int]] = deque()

    def read(self, offset: int, size: int) -> bytes:
        """At most that many bytes."""
        piece: bytes = self._session.run(self._read(offset, min(size, LONGEST)), STEP_SECONDS)
        return piece

    def close(self) -> None:
        """Close it."""
        self._session.leave()

    async def _read(self, offset: int, size: int) -> bytes:
        while self._requested and self._requested[0] != (offset, size):
            await self._receive()
        after = sum(self._requested[-1]) if self._requested else offset
        while len(self._requested) < READ_AHEAD:
            if self._requested and after >= self.size:
                break
            length = min(size, self.size - after) if self._requested else size
            request = {"do": "read", "offset": after, "size": length}
            self._session.send_request(request)
            self._requested.append((after, length))
            after += length
        return await self._receive()

    async def _receive(self) -> bytes:
        _, most = self._requested.popleft()
        kind, body = await self._session.receive()
        if kind == b"D" and len(body) <= most:
            return body
        self._session.decoded(kind, body, None)
        raise commands.AnswerInvalid("The server answered another question")


class LabWriting:
    """Implements `files.ports.FileWriter`; a piece may fail when the next ones are written."""

    def __init__(self, session: FileSession) -> None:
        self._session = session
        self._unanswered = 0

    def write(self, piece: bytes) -> None:
        """Append."""
        self._session.run(self._write(piece), STEP_SECONDS)

    def finish(self) -> None:
        """Sync it to the disk, then give it its name."""
        self._session.run(self._end("finish"), STEP_SECONDS)

    def close(self, *, discard: bool) -> None:
        """Close it; a part that is not discarded can be continued."""
        try:
            verb = "discard" if discard else None
            self._session.run(self._end(verb), STEP_SECONDS)
        except Problem:
            return  # the server does not answer, or has told why before; the part stays
        finally:
            self._session.leave()

    async def _write(self, piece: bytes) -> None:
        for first in range(0, len(piece), LONGEST):
            self._session.send(b"D", piece[first : first + LONGEST])
            self._unanswered += 1
            await self._session.drain()
            await self._receive(MOST_UNANSWERED)

    async def _receive(self, most: int) -> None:
        """Receive answers, until at most so many are missing."""
        while self._unanswered > most:
            self._unanswered -= 1
            self._session.decoded(*await self._session.receive(), None)

    async def _end(self, verb: str | None) -> None:
        failure: Problem | None = None
        while self._unanswered:
            try:
                await self._receive(0)
            except Problem as problem:
                failure = failure or problem
        if verb is not None and (failure is None or verb == "discard"):
            self._session.send_request({"do": verb})
            self._session.decoded(*await self._session.receive(), None)
        if failure is not None:
            raise failure


def _strict(body: bytes, kind: Any) -> Any:
    """What JSON of the server says, if it is of that kind; names may have surrogates."""
    try:
        return msgspec.convert(json.loads(body), kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise commands.AnswerInvalid(
            "The answer of the server cannot be read", details=str(error)[:MOST_WORDS]
        ) from error


def _file_entry(entry: HomeEntryAnswer) -> FileEntry:
    name = entry.name
    size = len(name.encode(errors="surrogatepass"))
    if not name or "/" in name or "\0" in name or name in {".", ".."} or size > 2 * LONGEST_NAME:
        raise commands.AnswerInvalid("The server lists a name that is none", details=name[:100])
    return file_entry(name, entry.kind, entry.size, entry.modified)
