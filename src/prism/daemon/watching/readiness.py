"""Whether the daemon can serve requests now, and if not, why: for `/readyz`.

Anybody may ask, also often. So the answer is kept for a second, has no names in it, and never
waits for a database that does not answer.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from prism.daemon.database_probe import DatabaseProbe
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.db import CURRENT_REVISION, Database

FRESH_SECONDS = 1.0
SILENT = "the database does not answer"
OTHER_VERSION = "the database is not at the version of this daemon"
NOT_SURVEYED = "the machines are not surveyed yet"
STOPPING = "the daemon is about to stop"


def database_reasons(db: Database, newest: str) -> Sequence[str]:
    """Why the database cannot be used; asks it."""
    try:
        with db.read() as sql:
            revision = sql.execute(CURRENT_REVISION).scalar_one_or_none()
    except DatabaseUnavailable:
        return [SILENT]
    return [] if revision == newest else [OTHER_VERSION]


class ServiceReadiness:
    """Asks at most once in a second, whoever asks how often."""

    def __init__(
        self, database: Callable[[], Sequence[str]], is_surveying: Callable[[], bool]
    ) -> None:
        """`database` asks the database, and may take long."""
        self._probe, self._is_surveying = DatabaseProbe(database), is_surveying
        self._thread = ThreadPoolExecutor(1, "readiness")
        self._answered_at, self._answer = -FRESH_SECONDS, list[str]()
        self._asking: asyncio.Future[Sequence[str]] | None = None
        self.is_leaving = False
        """Whether the daemon was told to stop, and still serves until proxies have noticed."""

    async def reasons(self) -> Sequence[str]:
        """Why the daemon is not ready; empty if it is."""
        if self.is_leaving:
            return [STOPPING]
        if time.monotonic() - self._answered_at >= FRESH_SECONDS:
            if self._asking is None:
                loop = asyncio.get_running_loop()
                self._asking = loop.run_in_executor(self._thread, self._ask)
                self._asking.add_done_callback(self._asked)
            await asyncio.shield(self._asking)
        return self._answer

    def _ask(self) -> Sequence[str]:
        return self._probe.troubles()

    def _asked(self, future: asyncio.Future[Sequence[str]]) -> None:
        self._asking = None
        # The probe's own words say how long it waits, which is not for everybody.
        troubles = [SILENT] if future.exception() else future.result()
        database = [text if text == OTHER_VERSION else SILENT for text in troubles]
        surveying = [NOT_SURVEYED] if self._is_surveying() else []
        self._answer = [*dict.fromkeys(database), *surveying]
        self._answered_at = time.monotonic()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)
