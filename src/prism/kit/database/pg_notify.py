"""Receives what other daemons commit to a shared PostgreSQL, by LISTEN and NOTIFY."""

import logging
import threading

import psycopg

from prism.kit.database.postgres import keepalives, plain
from prism.kit.db import Database
from prism.kit.reconcile import errors_logged

log = logging.getLogger(__name__)
MAX_INTERVAL = 1.0  # seconds that an event of another daemon may stay unnoticed


class CommitListener:
    """A thread that announces every commit in this process; at least once in `MAX_INTERVAL`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._stopped = threading.Event()
        self._url = plain(db.url).render_as_string(hide_password=False)
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def start(self) -> None:
        """Start to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, **keepalives({})) as connection:
                    connection.execute("LISTEN prism")
                    while not self._stopped.is_set():
                        with errors_logged("announce commits"):
                            self._db.look()
                            self._db.announce()  # also after silence: a message may be lost
                        list(connection.notifies(timeout=MAX_INTERVAL, stop_after=1))
            except psycopg.Error as error:
                log.warning("cannot listen to the database: %s", type(error).__name__)
                self._stopped.wait(MAX_INTERVAL)
