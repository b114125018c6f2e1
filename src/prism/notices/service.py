"""Requests about notices and webhooks."""

import base64
import secrets
from collections.abc import Callable
from typing import Any, Literal

from msgspec import UNSET, structs
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access.model import Caller, current
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.notices import store
from prism.notices.events import NoticesChanged, WebhookAdded
from prism.notices.makers import remove_webhooks
from prism.notices.message import SECRET_PREFIX
from prism.notices.model import (
    MAX_WEBHOOKS,
    PERCENTS,
    CreatedWebhook,
    KindSetting,
    NewWebhook,
    Notice,
    NoticeKind,
    NoticeList,
    NoticeSettings,
    NoticeShown,
    Queue,
    ReadAnswer,
    SettingsChange,
    TooManyWebhooks,
    Webhook,
    WebhookList,
    WebhookShown,
    WebhooksNotAllowed,
)
from prism.notices.plan import NOTICE_KINDS, Audience, Draft, channels_of, mail_address, row_of
from prism.notices.writer import NoticeWriter, notice_id

SECRET_BYTES = 32
WhoAddsWebhooks = Literal["everybody", "operator", "nobody"]


class NoticeService:
    """Requests of a person about their own notices, and how they get them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        writer: NoticeWriter,
        *,
        check_url: Callable[[str], None],
        require_living: Callable[[Tx, Caller], None],
        webhooks: WhoAddsWebhooks,
        mails: bool,
    ) -> None:
        """`check_url` raises for an address that no webhook may have.

        `require_living` raises if a caller's token or session has ended meanwhile.
        """
        self._require_living = require_living
        self._db, self._clock, self._writer = db, clock, writer
        self._check_url, self._webhooks, self._mails = check_url, webhooks, mails

    # -------------------------------------------------------------- the inbox

    def every(self, *, unread: bool, limit: int) -> NoticeList:
        """The caller's newest notices; a token for one project shows those about it."""
        person, project = _person(), current().token_project
        with self._db.read() as sql:
            rows = store.of_person(sql, person, project=project, unread=unread, limit=limit)
            return NoticeList(tuple(map(_shown, rows)), store.unread(sql, person, project))

    def mark_read(self, ids: tuple[str, ...] | None) -> ReadAnswer:
        """Mark notices of the caller as read; None means all."""
        person, project = _person(), current().token_project
        with self._db.write() as tx:
            now = whole(self._clock.now())
            if count := store.mark_read(tx, person, project, ids, now):
                tx.happened(NoticesChanged(actor=current().name, subject=person, user=person))
        return ReadAnswer(count)

    # --------------------------------------------------------------- settings

    def settings(self) -> NoticeSettings:
        """What the caller gets notices about, and how."""
        with self._db.read() as sql:
            return self._settings(sql)

    def change(self, request: SettingsChange) -> NoticeSettings:
        """Change what the caller gets notices about."""
        person = _person()
        with self._db.write() as tx:
            chosen = store.preferences_of(tx.sql, person)
            values: dict[str, Any] = {}
            if request.kinds is not UNSET:
                changed = {str(kind): by for kind, by in request.kinds.items()}
                values["kinds"] = {**chosen.kinds, **changed}
            if request.thresholds is not UNSET:
                values["thresholds"] = tuple(sorted({*request.thresholds}))
            if request.expiry_hours is not UNSET:
                values["expiry_hours"] = request.expiry_hours
            store.put_preferences(tx, person, replace(chosen, **values))
            tx.happened(NoticesChanged(actor=current().name, subject=person, user=person))
            return self._settings(tx.sql)

    def test(self) -> NoticeShown:
        """Send the caller a notice by every channel."""
        person, now = _person(), self._clock.now()
        with self._db.write() as tx:
            draft = _test_draft(sortable_id("test", now))
            self._writer.tell_person(tx, draft, person)
            tx.happened(NoticesChanged(actor=current().name, subject=person, user=person))
            notices = store.of_person(tx.sql, person, project=None, unread=True, limit=1000)
            return _shown(next(notice for notice in notices if notice.key == draft.key))

    def _settings(self, sql: Connection) -> NoticeSettings:
        person = _person()
        chosen, queue = store.preferences_of(sql, person), store.mail_queue(person)
        waiting = store.queue_of(sql, queue)
        channels = {kind: channels_of(chosen, kind) for kind in NoticeKind}
        address, why_not = mail_address(person), None
        if not self._mails:
            address, why_not = None, "the daemon has no mail server (PRISM_SMTP_URL)"
        elif address is None:
            why_not = "your name is no mail address (PRISM_USER)"
        return NoticeSettings(
            kinds=tuple(
                KindSetting(
                    kind=kind, title=NOTICE_KINDS[kind].title, mail=by.mail, webhook=by.webhook
                )
                for kind, by in channels.items()
            ),
            thresholds=chosen.thresholds,
            usual_thresholds=PERCENTS,
            expiry_hours=chosen.expiry_hours,
            mail_address=address,
            no_mail=why_not,
            mail_problem=None if waiting is None else waiting.problem,
        )

    # --------------------------------------------------------------- webhooks

    def webhooks(self) -> WebhookList:
        """The caller's webhooks; for the operator, everybody's."""
        caller = current()
        with self._db.read() as sql:
            rows = store.webhooks_of(sql, None if caller.operator else _person())
            counts = store.waiting_counts(sql)
            every = tuple(self._webhook(sql, row, counts.get(row.id, 0)) for row in rows)
        return WebhookList(every, len(every))

    def add_webhook(self, request: NewWebhook) -> CreatedWebhook:
        """Add a webhook of the caller; its secret is shown once."""
        caller, now = current(), self._clock.now()
        if self._webhooks == "nobody" or (self._webhooks == "operator" and not caller.operator):
            raise WebhooksNotAllowed(
                details="PRISM_WEBHOOKS of the daemon says who may add webhooks",
                remediation="Ask the operator, or get notices by mail: `prism notices settings`",
            )
        self._check_url(request.url)
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        webhook = Webhook(
            id=sortable_id("wh", now),
            person=_person(),
            url=request.url,
            secret=secret,
            created_at=whole(now),
            parent=caller.token or caller.session,
        )
        with self._db.write() as tx:
            self._require_living(tx, caller)
            if len(store.webhooks_of(tx.sql, webhook.person)) >= MAX_WEBHOOKS:
                raise TooManyWebhooks(
                    f"You have {MAX_WEBHOOKS} webhooks, which is the limit",
                    remediation="Remove one: `prism webhook list`",
                )
            store.add_webhook(tx, webhook)
            host = store.host_of(webhook.url)
            tx.happened(
                WebhookAdded(
                    actor=caller.name, subject=host, webhook=webhook.id, user=webhook.person
                )
            )
            fields = structs.asdict(self._webhook(tx.sql, webhook, 0))
        return CreatedWebhook(**fields, secret=secret)

    def remove_webhook(self, id: str) -> str:
        """Remove a webhook, with what waits for it; its host."""
        with self._db.write() as tx:
            webhook = self._own(tx, id)
            remove_webhooks(tx, [webhook], current().name)
        return store.host_of(webhook.url)

    def test_webhook(self, id: str) -> WebhookShown:
        """Send a test to a webhook; one that is paused gets what waits for it again."""
        now = self._clock.now()
        with self._db.write() as tx:
            webhook = self._own(tx, id)
            draft = _test_draft(sortable_id("test", now))
            id_of_notice, at, row = notice_id(now), whole(now), row_of(draft)
            notice = Notice(id=id_of_notice, person=webhook.person, at=at, read_at=at, **row)
            store.add(tx, notice)
            store.pause_webhook(tx, id, None)
            resumed = {"failures": 0, "failing_since": None, "due_at": now}
            store.enqueue(tx, notice, id, "webhook", now)
            store.update_queue(tx, id, **resumed)
            counts = store.waiting_counts(tx.sql)
            return self._webhook(tx.sql, replace(webhook, paused_at=None), counts.get(id, 0))

    def _own(self, tx: Tx, id: str) -> Webhook:
        webhook = store.find_webhook(tx.sql, id)
        if webhook is None or (webhook.person != _person() and not current().operator):
            raise store.webhook_not_found(id)
        return webhook

    def _webhook(self, sql: Connection, webhook: Webhook, waiting: int) -> WebhookShown:
        queue = store.queue_of(sql, webhook.id) or Queue(
            id=webhook.id, person=webhook.person, channel="webhook"
        )
        return WebhookShown(
            id=webhook.id,
            person=webhook.person,
            host=store.host_of(webhook.url),
            created_at=webhook.created_at,
            paused_at=webhook.paused_at,
            waiting=waiting,
            sent_at=queue.sent_at,
            problem=queue.problem,
        )


def _person() -> str:
    return current().name.lower()


def _test_draft(key: str) -> Draft:
    return Draft(
        key=key,
        kind=NoticeKind.TEST,
        to=Audience(),
        title="This is a test",
        text="You requested it. Notices reach you this way.",
    )


def _shown(notice: Notice) -> NoticeShown:
    fields = NoticeShown.__struct_fields__
    return NoticeShown(**{name: getattr(notice, name) for name in fields})
