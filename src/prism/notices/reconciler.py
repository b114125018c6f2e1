"""Sends mails and webhooks, at least once.

What is sent is written down after the other side has accepted it, in a transaction of its own.
Only a daemon that is killed between that answer and the commit sends the same again: the same mail
with the same Message-ID, or the same notice with the same `webhook-id`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import ColumnElement

from prism.errors import Problem, Unavailable
from prism.invitations.ports import MailTransport, Undeliverable
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.reconcile import Claim, DatabaseReconciler, ReconcileResult
from prism.notices import store
from prism.notices.collector import NoticeCollector
from prism.notices.events import WebhookPaused
from prism.notices.message import DigestParts, compose, payload, signed_headers
from prism.notices.model import MAIL, Delivery, Queue, Webhook
from prism.notices.plan import SYSTEM_ACTOR, digest_at, is_given_up, retry_in
from prism.notices.ports import WebhookRefused, WebhookTransport

COLLECT_EVERY = timedelta(seconds=5)
NOTHING_WAITS = timedelta(days=1)  # a new notice makes the row due sooner
REQUESTS_AT_ONCE = 2  # to a webhook, each of which may take 10 seconds; the lease is 60
MAX_PROBLEM = 300  # characters


class MailSettings(Struct, frozen=True, kw_only=True):
    """From where mails come, and where the web GUI is."""

    sender: str
    address: str


class DigestReconciler(DatabaseReconciler):
    """Sends what waits for a person's mail as one mail; also lets notices be collected."""

    rows = store.queues

    def __init__(
        self,
        db: Database,
        clock: Clock,
        transport: MailTransport,
        settings: MailSettings,
        collector: NoticeCollector,
    ) -> None:
        self._db, self._clock, self._transport = db, clock, transport
        self._settings, self._collector = settings, collector

    def reachable(self) -> ColumnElement[bool]:
        """The queues of mail."""
        return store.queues.c.channel == MAIL

    def mark_due(self) -> timedelta:
        """Write new notices, which makes queues due."""
        self._collector.collect()
        return COLLECT_EVERY

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """Send one mail, if it is time."""
        now = self._clock.now()
        with self._db.read() as sql:
            queue = store.queue_of(sql, claim.id)
            every = store.waiting(sql, claim.id)
        waiting = [delivery for delivery in every if delivery.queued_at <= now]
        if queue is None or not waiting:
            return ReconcileResult(_until_next(every, now), lambda _: None)
        if queue.digest is None:
            at = digest_at([delivery.queued_at for delivery in waiting], queue.sent_at)
            if at > now:
                return ReconcileResult(at - now, lambda _: None)
            queue = self._seal(claim, queue, [delivery.notice for delivery in waiting])
        return self._send(claim, queue)

    def _seal(self, claim: Claim, queue: Queue, notice_ids: Sequence[str]) -> Queue:
        """Decide what is in the mail, so that it is the same if it has to be sent again."""
        now = self._clock.now()
        digest = sortable_id("digest", now)
        with self._db.write() as tx:
            claim.update(tx, digest=digest, digest_at=now)
            store.seal(tx, queue.id, digest, notice_ids)
            sealed = store.queue_of(tx.sql, queue.id)
        assert sealed is not None, "it was updated in this transaction"
        return sealed

    def _send(self, claim: Claim, queue: Queue) -> ReconcileResult:
        assert queue.digest is not None, "it was sealed"
        with self._db.read() as sql:
            notices = store.of_digest(sql, queue.id, queue.digest)
        if not notices:  # they were deleted meanwhile
            return self._result(queue, None)
        digest = DigestParts(
            id=queue.digest,
            at=queue.digest_at or notices[-1].at,
            person=queue.person,
            notices=notices,
            sender=self._settings.sender,
            address=self._settings.address,
        )
        try:
            self._transport.send(compose(digest))
        except Unavailable as problem:
            self._record_delay(claim, queue, _words(problem))
            raise  # the loop knows how long to wait
        except Undeliverable as problem:
            return self._result(queue, _words(problem))
        return self._result(queue, None)

    def _result(self, queue: Queue, problem: str | None) -> ReconcileResult:
        """A mail that was accepted, or (with `problem`) was refused for good."""
        now = self._clock.now()

        def record(tx: Tx) -> None:
            store.done(tx, queue.id, now, digest=queue.digest, problem=problem)
            sent_at = now if problem is None else queue.sent_at
            store.update_queue(
                tx, queue.id, digest=None, digest_at=None, sent_at=sent_at, problem=problem
            )

        return ReconcileResult(timedelta(), record)  # more may wait

    def _record_delay(self, claim: Claim, queue: Queue, problem: str) -> None:
        if queue.problem != problem:
            with self._db.write() as tx:
                claim.update(tx, problem=problem)


class WebhookReconciler(DatabaseReconciler):
    """Sends what waits for a webhook, in the order in which it happened.

    A webhook is one row, so one that hangs keeps one thread busy, and its later notices wait.
    """

    rows = store.queues

    def __init__(self, db: Database, clock: Clock, transport: WebhookTransport) -> None:
        self._db, self._clock, self._transport = db, clock, transport

    def reachable(self) -> ColumnElement[bool]:
        """The queues of webhooks."""
        return store.queues.c.channel != MAIL

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """Send the next notices of one webhook."""
        for _ in range(REQUESTS_AT_ONCE):
            now = self._clock.now()
            with self._db.read() as sql:
                queue, webhook = store.queue_of(sql, claim.id), store.find_webhook(sql, claim.id)
                waiting = store.waiting(sql, claim.id, 1)
            if queue is None or webhook is None or webhook.paused_at or not waiting:
                return ReconcileResult(NOTHING_WAITS, lambda _: None)
            if waiting[0].queued_at > now:
                return ReconcileResult(_until_next(waiting, now), lambda _: None)
            if (problem := self._post(webhook, waiting[0].notice)) is not None:
                return self._failure(queue, webhook, problem)
            with self._db.write() as tx:
                now = self._clock.now()
                claim.update(tx, failures=0, failing_since=None, problem=None, sent_at=now)
                store.done(tx, webhook.id, now, notice=waiting[0].notice)
        return ReconcileResult(timedelta(), lambda _: None)

    def _post(self, webhook: Webhook, notice_id: str) -> str | None:
        """Send one notice; why it failed, if it did."""
        with self._db.read() as sql:
            notice = store.by_id(sql, notice_id)
        body = payload(notice)
        headers = signed_headers(notice.id, self._clock.now(), body, webhook.secret)
        try:
            self._transport.post(webhook.url, headers, body)
        except (Unavailable, WebhookRefused) as problem:
            return _words(problem)
        return None

    def _failure(self, queue: Queue, webhook: Webhook, problem: str) -> ReconcileResult:
        now, failures = self._clock.now(), queue.failures + 1
        since = queue.failing_since or now

        def record(tx: Tx) -> None:
            store.update_queue(
                tx, queue.id, failures=failures, failing_since=since, problem=problem
            )
            if is_given_up(since, now):
                self._pause(tx, webhook, now, problem)

        return ReconcileResult(retry_in(failures), record)

    def _pause(self, tx: Tx, webhook: Webhook, now: datetime, problem: str) -> None:
        store.pause_webhook(tx, webhook.id, now)
        tx.happened(
            WebhookPaused(
                actor=SYSTEM_ACTOR,
                subject=store.host_of(webhook.url),
                webhook=webhook.id,
                user=webhook.person,
                problem=problem,
            )
        )


def _until_next(waiting: Sequence[Delivery], now: datetime) -> timedelta:
    """How long nothing is sent, if what waits still changes."""
    starts = [delivery.queued_at - now for delivery in waiting]
    return min([NOTHING_WAITS, *starts])


def _words(problem: Problem) -> str:
    return (problem.details or problem.message)[:MAX_PROBLEM]
