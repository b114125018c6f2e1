"""Logs of machines in the cloud: consoles, cloud-init's file, journals.

The console comes from AWS, even if the machine is off. The others are read by SSH as root, because
only root can read them all.
"""

import re
import time
from collections.abc import Callable
from shlex import quote
from typing import Any

import msgspec
from msgspec import Struct

from prism.errors import Unavailable
from prism.logs.ports import Kind, LogChunk
from prism.providers.aws.compute.console import Console
from prism.providers.aws.machine.cloudinit.tokens import secret
from prism.providers.aws.machine.service_access import AwsServiceAccess
from prism.providers.aws.ssh.pool import AS_ROOT, SshPool

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")
# cloud-init's output; the setup that it starts (`agent/boot.sh`) appends to it.
SETUP = "/var/log/cloud-init-output.log"
UNIT = "prism-service-"
LOG_CHUNK = 1 << 18
MAX_LINE_LENGTH = 10_000
LINES_PER_READ = 2000  # lines of a journal per read
MARK_LENGTH = 400  # characters of a console by which a follower finds its position again
# Seconds between two reads of a follower: by SSH, of a console, if the machine does not answer.
LOG_POLL_INTERVAL, CONSOLE_EVERY, AWAY_SECONDS = 1.0, 10.0, 5.0
Position = tuple[int, int]  # a file's inode, and how far it was read
NO_POSITION: Position = (0, -1)
LINES_LOST = "(some lines are missing here: they were deleted meanwhile)"
LIKE_A_TOKEN = re.compile(r"(?<![\w:+/-])[A-Za-z0-9_-]{43}(?![\w+/=-])")
CREDENTIALS = re.compile(r"://[^/@\s]+@")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class ReadPosition(Struct, frozen=True):
    """A reader's position, and when it may read next."""

    at: Any
    again_at: float = 0.0


class JournalEntry(Struct, frozen=True):
    """A line of `journalctl -o json`; text that is not UTF-8 is a list of bytes."""

    unit: str | None = msgspec.field(name="_SYSTEMD_UNIT", default=None)
    message: str | list[int] | None = msgspec.field(name="MESSAGE", default=None)
    cursor: str = msgspec.field(name="__CURSOR", default="")


class AwsLogs:
    """Implements `logs.ports.Logs`."""

    def __init__(
        self, console: Console, pool: SshPool, services: AwsServiceAccess, *, setup: str = SETUP
    ) -> None:
        """`setup` is the path of the setup's log; only tests change it."""
        self._console, self._pool, self._services = console, pool, services
        self._file = setup
        self._patterns: dict[str, tuple[tuple[str, ...], re.Pattern[str]]] = {}

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """The last lines."""
        if not INSTANCE_ID.fullmatch(id):
            return LogChunk((), None)
        texts, at = self._readers[kind](id, None, lines)
        return self._chunk(id, texts[-lines:] if lines > 0 else [], at)

    def after(self, id: str, kind: Kind, mark: Any) -> LogChunk:
        """The new lines; reads by SSH at most once a second, a console every 10 seconds."""
        if not INSTANCE_ID.fullmatch(id):
            return LogChunk((), mark)
        if isinstance(mark, ReadPosition) and time.monotonic() < mark.again_at:
            return LogChunk((), mark)
        pause = CONSOLE_EVERY if kind == "console" else LOG_POLL_INTERVAL
        at = mark.at if isinstance(mark, ReadPosition) else None
        try:
            texts, now = self._readers[kind](id, at, LINES_PER_READ)
        except Unavailable:  # the machine may be stopping or starting: the follower waits
            return LogChunk((), ReadPosition(at, time.monotonic() + AWAY_SECONDS))
        # After new lines, the next read may follow at once.
        pause = 0.0 if texts and kind != "console" else pause
        return self._chunk(id, texts, now, time.monotonic() + pause)

    @property
    def _readers(self) -> dict[str, Callable[[str, Any, int], tuple[list[str], Any]]]:
        return {
            "console": self._read_console,
            "cloud-init": self._read_file,
            "application": self._read_journal,
        }

    def _chunk(self, id: str, lines: list[str], at: Any, again_at: float = 0.0) -> LogChunk:
        hidden = self._secrets_pattern(id) if lines else LIKE_A_TOKEN
        return LogChunk(tuple(_redact(line, hidden) for line in lines), ReadPosition(at, again_at))

    # ------------------------------------------------------------ each kind
    def _read_console(self, id: str, at: str | None, lines: int) -> tuple[list[str], str]:
        """Read the console from `at` on, which is the end of the text that was read last."""
        text = self._console.read(id, CONSOLE_EVERY / 2).replace("\r\n", "\n")
        whole = text[: text.rfind("\n") + 1]
        end = whole[-MARK_LENGTH:]
        if at is None:
            return whole.splitlines()[-lines:], end
        position = whole.rfind(at) if at else 0
        if position >= 0:
            return whole[position + len(at) :].splitlines(), end
        return [LINES_LOST, *whole.splitlines()], end

    def _read_file(self, id: str, at: Position | None, lines: int) -> tuple[list[str], Position]:
        """Read the setup's log from `at` on, which has the inode and the offset."""
        inode, offset = at or NO_POSITION
        script = _FILE.format(file=quote(self._file), inode=inode, offset=offset, lines=lines)
        head, _, output = self._run_script(id, script).partition(b"\n")
        now, start, lost = (int(number) for number in (head.split() or (b"0", b"0", b"0")))
        whole = output[: output.rfind(b"\n") + 1]
        if not whole and len(output) >= LOG_CHUNK:
            whole = output
        text = whole.decode(errors="replace").splitlines()
        return [LINES_LOST, *text] if lost else text, (now, start + len(whole))

    def _read_journal(self, id: str, at: str | None, lines: int) -> tuple[list[str], str]:
        """Read the journal from `at` on, which is a cursor."""
        names = sorted(self._services.serving(self._pool.host(id)).get("services", {}))
        if not names:
            return [], at or ""
        units = " ".join(f"--unit {UNIT}{name}.service" for name in names)
        how = f"--after-cursor '{at}'" if at else f"--lines {lines}"
        output = self._run_script(id, _JOURNAL.format(units=units, how=how, most=LINES_PER_READ))
        entries = [
            msgspec.json.decode(line, type=JournalEntry) for line in output.splitlines() if line
        ]
        texts = [_journal_line(entry, label=len(names) > 1) for entry in entries]
        return texts, entries[-1].cursor if entries else at or ""

    def _run_script(self, id: str, script: str) -> bytes:
        result = self._pool.run(id, AS_ROOT + script)
        if result.code:
            raise Unavailable(
                f"The logs of {self._pool.host(id).name} cannot be read there", details=result.err
            )
        return result.out

    def _secrets_pattern(self, id: str) -> re.Pattern[str]:
        """Matches the tokens of the services, or anything like a token if they are unknown."""
        names = self._services.known(id)
        known_names, pattern = self._patterns.get(id, ((), LIKE_A_TOKEN))
        if names and names != known_names:  # another template has other services
            try:
                host = self._pool.host(id)
                key = host.key.read_bytes()
            except (Unavailable, OSError):
                return LIKE_A_TOKEN
            tokens = (re.escape(secret(key, host.workspace, name)) for name in names)
            pattern = re.compile("|".join(tokens))
            self._patterns[id] = names, pattern
        return pattern


_FILE = """\
file={file} from={offset} lost=0
as_root true || exit 9
as_root test -e "$file" || {{ echo 0 0 0; exit 0; }}
set -- $(as_root stat -L -c '%i %s' "$file")
if [ {inode} != 0 ]; then
  if [ {inode} != "$1" ] || [ "$from" -gt "$2" ]; then from=0 lost=1; fi
fi
most=262144
if [ "$from" -lt 0 ]; then
  from=$(( $2 - $(as_root tail -n {lines} "$file" | wc -c) ))
  [ "$from" -ge 0 ] || from=0
  most=16777216
fi
echo "$1 $from $lost"
as_root tail -c +$((from + 1)) "$file" | head -c "$most"
true
"""
_JOURNAL = """\
as_root true || exit 9
as_root journalctl --output json --output-fields MESSAGE,_SYSTEMD_UNIT --no-pager --quiet \\
  {units} {how} | head -n {most}
true
"""


def _journal_line(entry: JournalEntry, *, label: bool) -> str:
    text = entry.message or ""
    if isinstance(text, list):
        text = bytes(text).decode(errors="replace")
    name = (entry.unit or "").removeprefix(UNIT).removesuffix(".service")
    return f"{name}: {text}" if label and name else text


def _redact(line: str, hidden: re.Pattern[str]) -> str:
    line = hidden.sub("***", ESCAPES.sub("", line))
    line = CREDENTIALS.sub("://***@", line)
    return line if len(line) <= MAX_LINE_LENGTH else line[:MAX_LINE_LENGTH] + "…"
