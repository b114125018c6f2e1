"""The daemon's log: one line of JSON for each message, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime

REFUSAL = "ASGI callable returned without completing handshake."
# Loggers whose messages are long, repeat ours, or contain secrets.
CHATTY = ("uvicorn", "alembic", "botocore", "boto3", "urllib3", "asyncssh")


# Loggers whose messages other users can cause at will, and so fill the disk.
OF_STRANGERS = {
    *(
        "asyncio",
        "uvicorn.error",
        "prism.kit.network.peer_credentials",
        "prism.access.request_lifetime",
    ),
    "prism.providers.local.ssh.gate",
}
MAX_REPEATS, WINDOW = 5, 60.0  # messages of one kind in this many seconds


class RepeatFilter(logging.Filter):
    """Passes a few records of a kind in a minute, and reports later how many were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.name not in OF_STRANGERS:
            return True
        kind = (record.name, str(record.msg).partition("\n")[0])  # then asyncio names its objects
        since, count = self._seen.get(kind, (record.created, 0))
        if record.created - since < WINDOW:
            self._seen[kind] = (since, count + 1)
            return count < MAX_REPEATS
        self._seen[kind] = (record.created, 1)
        if count > MAX_REPEATS:
            record.msg = f"{record.msg} (and {count - MAX_REPEATS} more since the last of these)"
        return True


class JsonLines(logging.Formatter):
    """Formats each record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a traceback is one of its fields."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def begin(level: str) -> None:
    """Start logging, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    # uvicorn logs each refused WebSocket as an error, and any web page could fill the log with
    # that.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != REFUSAL)
