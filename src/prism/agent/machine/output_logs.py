"""The output of programs, in files of limited size, with its end in memory."""

import os
import re
import select
from collections.abc import Callable
from pathlib import Path

MAX_LOG_BYTES, MAX_LOG_FILES, LAST = 5_000_000, 3, 2000
JUPYTER_RECORD = re.compile(r"\[([DIWCE]) \d{4}-\d\d-\d\d [^\]]*\](.*)")


class OutputLog:
    """A file that is rotated when it is full; `last` is the end of the output."""

    def __init__(
        self,
        path: Path,
        on_line: Callable[[str], None] = lambda line: None,
        size: int = MAX_LOG_BYTES,
    ) -> None:
        self._path, self._on_line, self._size = path, on_line, size
        self._last, self._rest = _tail(path), b""

    @property
    def last(self) -> str:
        """The end of the output, in one paragraph."""
        return self._last.decode(errors="replace").strip()

    def write(self, output: bytes) -> None:
        """Write output to the file; on a full disk only to memory."""
        self._last = (self._last + output)[-LAST:]
        *lines, self._rest = (self._rest + output).split(b"\n")
        self._rest = self._rest[-LAST:]
        for line in lines:
            self._on_line(line.decode(errors="replace"))
        try:
            with open(self._path, "ab") as file:
                file.write(output)
                full = file.tell() >= self._size
            if full:
                self._rotate()
        except OSError:
            return

    def _rotate(self) -> None:
        names = [self._path] + [Path(f"{self._path}.{n}") for n in range(1, MAX_LOG_FILES)]
        for older, newer in zip(reversed(names), reversed(names[:-1])):  # noqa: B905  Python 3.9 has no `strict`
            if newer.exists():
                newer.replace(older)


class LineBuffer:
    """Joins pieces of data to lines; raises `ValueError` if a line is too long."""

    def __init__(self, longest: int) -> None:
        self._longest, self._rest = longest, b""

    def add(self, piece: bytes) -> list[bytes]:
        """The lines that are now complete."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if max(map(len, (*lines, self._rest))) > self._longest:
            self._rest = b""
            raise ValueError("a line is too long")
        return lines


class Selector:
    """Waits for the output of all programs at once, for other events, and for signals."""

    def __init__(self, poke: int) -> None:
        self._poke = poke
        self._logs: dict[int, OutputLog] = {}
        self._events: dict[int, Callable[[], bool]] = {}

    def listen(self, pipe: int, log: OutputLog) -> None:
        """Read the output of this program too."""
        self._logs[pipe] = log

    def attend(self, source: int, handler: Callable[[], bool]) -> None:
        """Call `handler` when there is something to read, until it returns False."""
        self._events[source] = handler

    def ignore(self, source: int) -> None:
        """Stop calling the handler of this source."""
        self._events.pop(source, None)

    def wait(self, seconds: float) -> None:
        """Wait for output, events or a signal for at most `seconds`, and handle all of them."""
        ready, _, _ = select.select([self._poke, *self._events, *self._logs], [], [], seconds)
        # A handler may close another source, and a new source may get the same number.
        sources = [(source, self._logs.get(source), self._events.get(source)) for source in ready]
        for source, log, handler in sources:
            if source == self._poke:
                os.read(source, 4096)
            elif log is not None and self._logs.get(source) is log:
                self._read(source)
            elif handler is not None and self._events.get(source) is handler:
                is_over = not handler()
                if is_over and self._events.get(source) is handler:
                    self.ignore(source)

    def drain(self, log: OutputLog) -> None:
        """Read the rest of the output of a program that has ended."""
        for pipe in [source for source, its in self._logs.items() if its is log]:
            while self._read(pipe):
                pass

    def _read(self, pipe: int) -> bool:
        try:
            output = os.read(pipe, 65536)
        except BlockingIOError:
            return False
        if output:
            self._logs[pipe].write(output)
        else:
            del self._logs[pipe]
            os.close(pipe)
        return bool(output)


def _tail(path: Path) -> bytes:
    """The end of the output of earlier programs."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LAST))
            return file.read()
    except OSError:
        return b""


def without_notes(text: str) -> str:
    """The output of a program without what Jupyter logs of itself: it explains no failure.

    A record begins with `[I 2026-01-01 …`: its level, then the time. Lines without it continue
    the record, such as the addresses below "To access the server".
    """
    lines, is_note = list[str](), False
    for line in text.splitlines():
        if record := JUPYTER_RECORD.match(line):
            is_note = record[1] in "DI" or (record[1] == "C" and not record[2].strip())
        elif not line.startswith((" ", "\t")) and line.strip():
            is_note = False
        if not is_note:
            lines.append(line)
    return "\n".join(lines)


def last_words(text: str, secrets: tuple[str, ...] = (), length: int = 600) -> str:
    """The end of a text for people: short, in one line, without secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    line = " ".join(re.sub(r"://[^/@\s]+@", "://***@", text).split())
    return line if len(line) <= length else "…" + line[-length:]
