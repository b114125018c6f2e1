"""The daemon's log: a line of JSON for each thing it has to say, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime

REFUSAL = "ASGI callable returned without completing handshake."
# They say at length what we say in a line, and in detail what nobody may read.
CHATTY = ("uvicorn", "alembic", "botocore", "boto3", "urllib3", "asyncssh")


class JsonLines(logging.Formatter):
    """One record, one line."""

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
    """Log from here on, from that level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    # uvicorn calls it an error that a WebSocket is answered with a refusal; any page could
    # fill the log with it.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != REFUSAL)
