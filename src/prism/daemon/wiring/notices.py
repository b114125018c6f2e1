"""Builds what tells people what they should know, by mail, by webhook and in the web GUI."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prism.access.model import Caller
from prism.access.revocation import Revocation
from prism.budgets.books import BookReader
from prism.budgets.model import ProjectForecast
from prism.daemon.wiring.providers import ProviderWiring
from prism.invitations.ports import MailTransport
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.reconcile import Loop
from prism.limits.service import LimitService
from prism.notices.collector import NoticeCollector
from prism.notices.makers import WebhookMakers
from prism.notices.reconciler import DigestReconciler, MailSettings, WebhookReconciler
from prism.notices.service import NoticeService
from prism.notices.watch import NoticeWatch
from prism.notices.writer import NoticeWriter
from prism.projects.service import ProjectService
from prism.providers.webhooks.guarded_http import GuardedTransport
from prism.requests.service import MoreRequestService
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
    require_living: Callable[[Tx, Caller], None],
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
            require_living=require_living,
            webhooks=settings.webhooks,
            mails=mails,
        ),
        collector=collector,
        mail_loop=Loop(digests, db, clock, threads=4),
        webhook_loop=Loop(WebhookReconciler(db, clock, post), db, clock, threads=8),
    )


class NoticeWiring(ProviderWiring):
    """The parts of notices and of requests for more; a base class of `Wiring`."""

    if TYPE_CHECKING:  # `Wiring` makes them

        @cached_property
        def projects(self) -> ProjectService: ...  # noqa: D102
        @cached_property
        def revocation(self) -> Revocation: ...  # noqa: D102
        @cached_property
        def mail_transport(self) -> MailTransport: ...  # noqa: D102

    @cached_property
    def notice_parts(self) -> NoticeParts:
        """What tells people what they should know."""
        return notice_parts(
            self.settings,
            self.db,
            self.clock,
            transport=self.mail_transport,
            books=self.books,
            limits=self.limits,
            forecast=self.spending.forecast,
            require_living=self.revocation.require_living,
        )

    @cached_property
    def more_requests(self) -> MoreRequestService:
        """Requests for more."""
        return MoreRequestService(
            self.db,
            self.clock,
            projects=self.projects,
            budgets=self.budgets,
            limits=self.limits,
            workspaces=self.workspaces,
        )

    @cached_property
    def webhook_makers(self) -> WebhookMakers:
        """Ends webhooks with those who made them."""
        return WebhookMakers(self.clock, self.settings.actor)

    @property
    def notices(self) -> NoticeService:
        """Requests about notices and webhooks."""
        return self.notice_parts.service
