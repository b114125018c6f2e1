"""A restic repository at a destination: the commands that Prism uses.

restic encrypts, compresses and deduplicates, and writes a copy's own entry last: a copy that was
interrupted at any moment is not listed.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
from msgspec import Struct

from prism.agent.protocol import ArchiveAnswer
from prism.copies.destinations import REPOSITORY, CopyDestination, DestinationKind
from prism.copies.model import CopyLabel, RemoteCopy
from prism.providers.local.restic.failures import (
    LOCKED_EXIT_CODE,
    NO_REPOSITORY,
    NO_SESSION,
    NOT_INSTALLED,
    RepositoryFailed,
    failure_of,
)
from prism.storage.model import StorageFailure

ARCHIVE_CHECK = Path(__file__).parents[3] / "agent" / "copies" / "archive_check.py"
TAG, ABOUT = "prism", "about="
OLDEST = (0, 17)
RESTIC_VARIABLES = (
    *("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "TMPDIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
MAX_ATTEMPTS = 5  # to hear from ssh why there is no session
LOCK_PAUSES = (0.5, 1, 2, 4, 8, 15)  # seconds; a killed restic holds its lock until it is reaped
SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15"
MAX_OUTPUT, MAX_ERRORS = 1 << 26, 1 << 16  # bytes
Progress = Callable[[int, int], object]
"""Called with the percentage and the bytes in total."""


class S3Access(Struct, frozen=True, kw_only=True):
    """Where a bucket is, and the login for it."""

    url: str
    region: str
    environment: Mapping[str, str]


class Added(NamedTuple):
    """A new copy, and how many bytes it added at the destination."""

    id: str
    added_bytes: int
    total_bytes: int


class Repository:
    """The copies at one destination. Methods raise `RepositoryFailed`.

    `started` gets each process, to end it. `pause` waits some seconds before a lock is asked for
    again.
    """

    def __init__(
        self,
        destination: CopyDestination,
        password_file: str = "",
        s3: S3Access | None = None,
        started: Callable[[subprocess.Popen[bytes]], object] = lambda _: None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._destination, self._started, self._pause = destination, started, pause
        self._environment = _environment(s3)
        self._options = ["--repo", _address(destination, s3), "--no-cache"]
        if password_file:
            self._options += ["--password-file", password_file]
        else:
            self._options.append("--insecure-no-password")
        if destination.kind is DestinationKind.SSH:
            self._options += ["--option", f"sftp.args={SSH_OPTIONS}"]
        if s3 is not None:
            self._options += ["--option", f"s3.region={s3.region}"]

    def exists(self) -> bool:
        """Whether there is a repository."""
        try:
            self._run("cat", "config")
        except _ExitedWith as ended:
            if ended.code == NO_REPOSITORY:
                return False
            raise
        return True

    def make(self) -> None:
        """Make an empty repository."""
        self._run("init")

    def repair(self) -> None:
        """Remove locks of processes that have ended, and list what an interrupted copy left."""
        self._run("unlock")
        self._run("repair", "index")

    def unlock(self) -> None:
        """Remove locks of processes that have ended."""
        self._run("unlock")

    def copies(self, *tags: str) -> list[RemoteCopy]:
        """The copies with all of these tags, the oldest first; others' entries are left out."""
        [listed] = self._run("snapshots", "--tag", ",".join((TAG, *tags))) or [[]]
        copies = [copy for entry in listed or [] if (copy := _copy_of(entry))]
        return sorted(copies, key=lambda copy: (copy.label.taken_at, copy.id))

    def add(self, folder: Path, label: CopyLabel, host: str, progress: Progress) -> Added:
        """Copy a snapshot's folder."""
        tags = ",".join([TAG, _key_tag(label.key), *_schedule_tags(label), _about_tag(label)])
        documents = self._run(
            "backup",
            *("--tag", tags, "--host", host, "--group-by", "", "--force"),
            *("data", "manifest.json", "about.json"),
            folder=folder,
            progress=progress,
        )
        summary = next(
            message for message in reversed(documents) if message.get("message_type") == "summary"
        )
        added = summary.get("data_added_packed", summary["data_added"])
        return Added(summary["snapshot_id"], added, summary["total_bytes_processed"])

    def of_key(self, key: str) -> RemoteCopy | None:
        """The copy of the snapshot with this key."""
        return next(iter(self.copies(_key_tag(key))), None)

    def require_whole(self, id: str, manifest: Path) -> None:
        """Read all of a copy at the destination and compare it with a manifest."""
        argv = [sys.executable, "-I", "-S", str(ARCHIVE_CHECK), str(manifest)]
        with self._opened("dump", "--archive", "tar", id, "/") as reading:
            stream = reading.process.stdout
            assert stream is not None
            checking = subprocess.Popen(
                argv, env={"LC_ALL": "C.UTF-8"}, stdin=stream, stdout=subprocess.PIPE
            )
            stream.close()  # the check has it, and nobody else may keep it open
            answer, _ = checking.communicate()
        reading.require_success()
        if checking.returncode:
            raise RepositoryFailed(
                StorageFailure("VERIFICATION_FAILED", "The check of the copy was interrupted")
            )
        if wrong := msgspec.json.decode(answer, type=ArchiveAnswer)["differences"]:
            where = self._destination.text
            message = f"The copy at {where} is not what the manifest says: {'; '.join(wrong)}"
            raise RepositoryFailed(StorageFailure("COPY_DAMAGED", message))

    def require_complete(self) -> None:
        """Check that all parts of all copies are there, without reading the files' contents."""
        self._run("check")

    def restore(self, id: str, target: Path, paths: Sequence[str], progress: Progress) -> None:
        """Write these paths of a copy, and nothing else, into a folder."""
        included = [word for path in paths for word in ("--include", path)]
        self._run("restore", id, "--target", str(target), "--sparse", *included, progress=progress)

    def delete(self, id: str) -> None:
        """Remove a copy, and the data that only it has."""
        self._run("forget", id, "--prune")

    def keep_last(self, schedule: str, count: int) -> frozenset[str]:
        """Remove all but the last copies of a schedule, and the data that only they have."""
        tags = ",".join((TAG, f"schedule={schedule}"))
        keep = ("--keep-last", str(count), "--prune")
        self._run("forget", "--tag", tags, "--group-by", "", *keep)
        return frozenset(copy.id for copy in self.copies(f"schedule={schedule}"))

    def _run(
        self, *words: str, folder: Path | None = None, progress: Progress | None = None
    ) -> list[Any]:
        """The JSON documents that a command printed; statuses become progress.

        It waits some time for the locks of others. One whose process was killed a moment ago
        counts as alive for restic until that process is reaped, which takes longer beside load.
        """
        for seconds in LOCK_PAUSES:
            try:
                return self._run_with_session(*words, folder=folder, progress=progress)
            except _ExitedWith as ended:
                if ended.code != LOCKED_EXIT_CODE:
                    raise
            self._pause(seconds)
            self.unlock()
        return self._run_with_session(*words, folder=folder, progress=progress)

    def _run_with_session(
        self, *words: str, folder: Path | None, progress: Progress | None
    ) -> list[Any]:
        """Run a command; restic may end before it has passed on what ssh said.

        Then it is asked again, because without a session nothing was done.
        """
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return self._run_once(*words, folder=folder, progress=progress)
            except _ExitedWith as ended:
                if ended.failure.code != NO_SESSION:
                    raise
        return self._run_once(*words, folder=folder, progress=progress)

    def _run_once(self, *words: str, folder: Path | None, progress: Progress | None) -> list[Any]:
        documents: list[Any] = []
        with self._opened(*words, folder=folder) as running:
            for line in _lines_of(running):
                try:
                    document = json.loads(line)
                except ValueError:
                    continue
                is_message = isinstance(document, dict)
                if is_message and document.get("message_type") in {"status", "verbose_status"}:
                    if progress is not None:
                        percent = int(float(document.get("percent_done", 0)) * 100)
                        progress(percent, int(document.get("total_bytes", 0)))
                else:
                    documents.append(document)
        running.require_success()
        return documents

    def _opened(self, *words: str, folder: Path | None = None) -> "_Running":
        running = _Running(
            [*_bound(), _program(), "--json", *self._options, *words],
            self._environment,
            folder,
            self._destination,
        )
        self._started(running.process)
        return running


class _ExitedWith(RepositoryFailed):
    """A command of restic has failed."""

    def __init__(self, failure: StorageFailure, code: int) -> None:
        self.code = code
        super().__init__(failure)


class _Running:
    """A running command; leaving the block waits for its end."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None,
        destination: CopyDestination,
    ) -> None:
        self._destination = destination
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        self.process = subprocess.Popen(
            argv,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )

    def __enter__(self) -> "_Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process.wait()
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, end - MAX_ERRORS))
        self._output = self._errors.read().decode(errors="replace")
        self._errors.close()

    def require_success(self) -> None:
        """Raise the failure, if it failed."""
        if code := self.process.returncode:
            raise _ExitedWith(failure_of(code, self._output, self._destination), code)


def _lines_of(running: _Running) -> Iterator[bytes]:
    """The lines of its output, up to a limit; a destination decides how many there are."""
    stream, total = running.process.stdout, 0
    assert stream is not None
    while line := stream.readline(MAX_OUTPUT):
        total += len(line) if len(line) > 2000 else 0  # without the many statuses
        if total > MAX_OUTPUT:
            running.process.kill()
            return
        yield line


def _address(destination: CopyDestination, s3: S3Access | None) -> str:
    """The repository, as restic wants it."""
    if destination.kind is DestinationKind.FOLDER:
        return f"{destination.path}/{REPOSITORY}"
    if destination.kind is DestinationKind.SSH:
        at = (
            destination.host
            if destination.port is None
            else f"{destination.host}:{destination.port}"
        )
        in_home = destination.path.startswith("/~/")
        path = destination.path.removeprefix("/~/") if in_home else destination.path
        return f"sftp://{at}/{path}/{REPOSITORY}"
    assert s3 is not None
    parts = (s3.url.rstrip("/"), destination.bucket, destination.path, REPOSITORY)
    return f"s3:{'/'.join(part for part in parts if part)}"


def _environment(s3: S3Access | None) -> dict[str, str]:
    """Without Prism's secrets; a login of AWS is here, because arguments are public."""
    known = {name: os.environ[name] for name in RESTIC_VARIABLES if name in os.environ}
    return {**known, "LC_ALL": "C.UTF-8", **(s3.environment if s3 else {})}


def _bound() -> list[str]:
    """What ends restic with the daemon, even if the daemon is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _program() -> str:
    """The path of restic; raises if it is missing."""
    if program := shutil.which("restic"):
        return program
    raise RepositoryFailed(NOT_INSTALLED)


def require_restic() -> None:
    """Raise `RepositoryFailed` if restic is missing or too old."""
    output = subprocess.run([_program(), "version"], capture_output=True, text=True, check=False)
    words = output.stdout.split()
    numbers = words[1].split(".")[:2] if len(words) > 1 else []
    version = tuple(int(number) for number in numbers if number.isdigit())
    if version < OLDEST:
        raise RepositoryFailed(
            StorageFailure(
                "RESTIC_TOO_OLD",
                f"restic {'.'.join(map(str, version)) or 'of an unknown version'} is installed, "
                "and Prism needs 0.17 or newer. Update it: `sudo restic self-update`, or put a "
                "newer one in the PATH of the daemon",
            )
        )


def _key_tag(key: str) -> str:
    return f"key={key}"


def _schedule_tags(label: CopyLabel) -> list[str]:
    return [f"schedule={label.schedule}"] if label.schedule else []


def _about_tag(label: CopyLabel) -> str:
    """A label as a tag, which cannot contain commas."""
    return ABOUT + base64.urlsafe_b64encode(msgspec.json.encode(label)).decode()


def _copy_of(entry: Any) -> RemoteCopy | None:
    """An entry of restic's list; None if Prism did not make it, or it cannot be read."""
    try:
        [about] = [tag for tag in entry["tags"] if tag.startswith(ABOUT)]
        label = msgspec.json.decode(
            base64.urlsafe_b64decode(about.removeprefix(ABOUT)), type=CopyLabel
        )
        total = (entry.get("summary") or {}).get("total_bytes_processed")
        copy = {"id": entry["id"], "host": entry["hostname"], "total_bytes": total}
        return msgspec.convert({**copy, "label": label}, RemoteCopy)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
