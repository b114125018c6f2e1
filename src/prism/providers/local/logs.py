"""Logs of local machines: files that their supervisors write, and rotate when full."""

import re
from pathlib import Path
from typing import Any

from prism.agent.machine.log_reader import MachineLogs
from prism.logs.ports import Kind, LogChunk

MACHINE_ID = re.compile(r"local-[0-9a-f]{17}")


class LocalLogs:
    """Implements `logs.ports.Logs`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._logs = MachineLogs(self._folder)

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """The last lines of each file of that kind; the last modified file comes last."""
        texts, mark = self._logs.tail(id, kind, lines)
        return LogChunk(tuple(texts), mark)

    def after(self, id: str, kind: Kind, mark: Any) -> LogChunk:
        """The lines since the mark, also after rotations."""
        texts, now = self._logs.after(id, kind, mark)
        return LogChunk(tuple(texts), now)

    def _folder(self, id: str) -> Path | None:
        path = self._root / id
        return path if MACHINE_ID.fullmatch(id) and path.is_dir() else None
