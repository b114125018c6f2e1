"""Builds what tells people what they should know, by mail, by webhook and in the web GUI."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prism.budgets.books import BookReader
from prism.budgets.model import ProjectForecast
from prism.invitations.ports import MailTransport
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.reconcile import Loop
from prism.limits.service import LimitService
from prism.notices.collector import NoticeCollector
from prism.notices.reconciler import DigestReconciler, MailSettings, WebhookReconciler
from prism.notices.service import NoticeService
from prism.notices.watch import NoticeWatch
from prism.notices.writer import NoticeWriter
from prism.providers.webhooks.guarded_http import GuardedTransport
from prism.settings import Settings, networks


@dataclass(frozen=True, slots=True)
class NoticeParts:
    """The parts of notices."""

    service: NoticeService
    collector: NoticeCollector
    mail_loop: Loop[Any]
    webhook_loop: Loop[Any]

    @property
    def loops(self) -> list[Loop[Any]]:
        """The loops that collect and send notices."""
        return [self.mail_loop, self.webhook_loop]


def notice_parts(
    settings: Settings,
    db: Database,
    clock: Clock,
    *,
    transport: MailTransport,
    books: BookReader,
    limits: LimitService,
    forecast: Callable[[str], ProjectForecast],
) -> NoticeParts:
    """Build the parts of notices."""
    team, mails = settings.auth == "tokens", bool(settings.smtp_url)
    writer = NoticeWriter(clock, settings.actor, team=team, mails=mails)
    watch = NoticeWatch(db, clock, writer, books=books, limits=limits, forecast=forecast)
    collector = NoticeCollector(db, clock, writer, watch)
    post = GuardedTransport(networks("webhook_networks", settings.webhook_networks))
    address = settings.public_url if team else ""
    mail = MailSettings(sender=settings.sender, address=address)
    digests = DigestReconciler(db, clock, transport, mail, collector)
    return NoticeParts(
        service=NoticeService(
            db,
            clock,
            writer,
            check_url=post.check,
            webhooks=settings.webhooks,
            mails=mails,
        ),
        collector=collector,
        mail_loop=Loop(digests, db, clock, threads=4),
        webhook_loop=Loop(WebhookReconciler(db, clock, post), db, clock, threads=8),
    )
