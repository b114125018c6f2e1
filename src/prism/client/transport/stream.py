"""Reads server-sent events, also across a restart of the daemon."""

from __future__ import annotations

import time

from prism.annotations import Any, Generator, Iterable, Iterator
from prism.client.errors import parsed_json
from prism.client.transport.wire import Wire
from prism.errors import Problem, Unavailable

SILENCE_TIMEOUT = 60.0  # seconds without a daemon until a reader gives up
FIRST_RETRY_DELAY, MAX_RETRY_DELAY = 0.1, 3.0


class StreamEvent:
    """One block of a stream: its event type, id and data."""

    __slots__ = ("data", "event", "id")

    def __init__(self) -> None:
        self.event, self.id, self.data = "message", "", list[str]()


def messages(pieces: Iterable[bytes]) -> Iterator[StreamEvent]:
    """The blocks of a `text/event-stream`; a block without data only changes the id."""
    message = StreamEvent()
    for line in lines_of(pieces):
        if not line:
            if message.data or message.id:
                yield message
            message = StreamEvent()
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            message.data.append(value)
        elif field == "event":
            message.event = value
        elif field == "id" and "\0" not in value:
            message.id = value


def events(
    wire: Wire, after: str | int | None = None, patience: float = SILENCE_TIMEOUT
) -> Generator[dict[str, Any]]:
    """Every event after the id `after`, or from now on; reconnects automatically."""
    last, pause = "" if after is None else str(after), FIRST_RETRY_DELAY
    lost: float | None = None  # since when the daemon does not answer
    while True:
        pieces = wire.stream("/events", {"Last-Event-ID": last} if last else {})
        try:
            next(pieces)
            lost = None
            for message in messages(pieces):
                last, pause = message.id or last, FIRST_RETRY_DELAY
                if message.data:
                    yield _event("\n".join(message.data))
        except Unavailable:
            lost = lost or time.monotonic()
            if time.monotonic() - lost >= patience:
                raise
        finally:
            pieces.close()
        time.sleep(pause)
        pause = min(pause * 2, MAX_RETRY_DELAY)


def _event(text: str) -> dict[str, Any]:
    try:
        event: dict[str, Any] = parsed_json(text)
    except ValueError as error:
        raise Problem("The daemon sent an event that is not JSON", details=f"{error}") from error
    return event


def lines_of(pieces: Iterable[bytes]) -> Iterator[str]:
    """The complete lines in a stream of bytes."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").removesuffix("\r")
