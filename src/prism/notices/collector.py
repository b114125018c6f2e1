"""Finds out what people should know: from events, and from what will happen.

Every change is an event in the transaction that it is about, and events stay for a week. So the
collector only has to remember up to which event it has read, in the transaction that writes the
notices: a daemon that is killed reads the same events again, and loses none.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from prism.kit import journal
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.events import RecordedEvent
from prism.notices import store
from prism.notices.plan import Draft, draft_of, ended_for_owners, expired
from prism.notices.watch import NoticeWatch
from prism.notices.writer import NoticeWriter
from prism.workspaces import store as workspaces

EVENTS_READ = "events"  # the name of the progress
NOTICES_KEPT_FOR = timedelta(days=90)
MAX_UNSTORED = 5000  # events without a notice, until the progress is stored


class NoticeCollector:
    """Turns events and what the watch sees into notices."""

    def __init__(
        self, db: Database, clock: Clock, writer: NoticeWriter, watch: NoticeWatch
    ) -> None:
        self._db, self._clock, self._writer, self._watch = db, clock, writer, watch
        self._read = 0  # the last event that was read; stored with the next notice

    def collect(self) -> None:
        """Write notices about everything that happened since the last time."""
        while self._collect_page():
            pass
        self._watch.look()

    def prune(self, tx: Tx, now: datetime) -> None:
        """Delete old notices."""
        store.prune(tx, now - NOTICES_KEPT_FOR)

    def _collect_page(self) -> bool:
        """Read some events; False if there are no more."""
        with self._db.read() as sql:
            stored = int(store.progress_of(sql, EVENTS_READ) or 0)
            page = journal.after(sql, max(self._read, stored))
        if not page:
            return False
        last = page[-1].id
        if any(draft_of(event) or _may_have_expired(event) for event in page):
            with self._db.write() as tx:
                # Another daemon may have read them meanwhile.
                done = int(store.progress_of(tx.sql, EVENTS_READ) or 0)
                self._write(tx, [event for event in page if event.id > done])
                store.set_progress(tx, EVENTS_READ, str(max(last, done)))
        elif last - stored > MAX_UNSTORED:
            with self._db.write() as tx:
                store.set_progress(tx, EVENTS_READ, str(last))
        self._read = last
        return True

    def _write(self, tx: Tx, page: Sequence[RecordedEvent]) -> None:
        for event in page:
            drafts = [draft_of(event), ended_for_owners(event), self._expiry_of(tx, event)]
            self._writer.tell(tx, [draft for draft in drafts if draft is not None], event.actor)

    def _expiry_of(self, tx: Tx, event: RecordedEvent) -> Draft | None:
        if not _may_have_expired(event):
            return None
        rows = workspaces.by_ids(tx.sql, [event.data["workspace"]])
        return expired(event, rows[0].expires_at, rows[0].verb) if rows else None


def _may_have_expired(event: RecordedEvent) -> bool:
    return expired(event, event.at, "") is not None
