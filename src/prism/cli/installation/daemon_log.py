"""Shows the daemon's log, which has one JSON object per line, as text."""

from __future__ import annotations

import json
import os
import time

from prism.annotations import Iterator
from prism.cli.output.time_format import to_the_second

BACKWARD_CHUNK = 65536
LOOK_AGAIN = 0.2  # seconds


def last_lines(path: str, count: int, since: int = 0) -> tuple[list[str], int]:
    """The last lines after an offset, and the offset at their end."""
    try:
        with open(path, "rb") as log:
            start = end = log.seek(0, os.SEEK_END)
            tail = b""
            while start > since and tail.count(b"\n") <= count:
                start = max(since, start - BACKWARD_CHUNK)
                log.seek(start)
                tail = log.read(end - start)
    except FileNotFoundError:
        return [], 0
    return tail.decode(errors="replace").splitlines()[-count:], end


def new_lines(path: str, since: int) -> Iterator[str]:
    """Each line after that offset, as soon as it is written."""
    with open(path, "rb") as log:
        log.seek(since)
        begun = b""
        while True:
            *whole, begun = (begun + log.read()).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
            if os.fstat(log.fileno()).st_size < log.tell():  # `prism clean` has shortened it
                log.seek(0, os.SEEK_END)
            time.sleep(LOOK_AGAIN)


def readable(line: str) -> str:
    """A line as text: time, level, message; lines that are not JSON stay as they are."""
    try:
        record = json.loads(line)
        text = f"{to_the_second(record['at'])}  {record['level']:<7}  {record['message']}"
    except (ValueError, KeyError, TypeError):
        return line
    trace = record.get("trace")
    return f"{text}\n{trace}" if trace else text
