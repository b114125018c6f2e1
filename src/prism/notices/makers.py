"""Ends webhooks with the account, the token or the session of whoever made them."""

from collections.abc import Sequence

from prism.access.model import Role, current
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.notices import store
from prism.notices.events import WebhookRemoved
from prism.notices.model import Webhook
from prism.projects import store as projects
from prism.projects.model import Project


class WebhookMakers:
    """Follows who loses an account, a token or a session; the `operator` keeps the account."""

    def __init__(self, clock: Clock, operator: str) -> None:
        self._clock, self._operator = clock, operator.lower()

    def joined(self, tx: Tx, project: Project, email: str) -> None:
        """Does nothing: a new member has no webhooks."""

    def demoted(self, tx: Tx, project: Project, email: str, role: Role | None) -> None:
        """Remove the webhooks of who belongs to no project any more.

        Implements `projects.model.MembershipListener`.
        """
        person = email.lower()
        belongs = projects.roles_of(tx.sql, person, self._clock.now()).roles
        if person != self._operator and not belongs:
            remove_webhooks(tx, store.webhooks_of(tx.sql, person), current().name)

    def end_made_with(self, tx: Tx, id: str, actor: str) -> None:
        """Implements `access.revocation.MadeWebhooks`."""
        remove_webhooks(tx, store.made_with(tx.sql, id), actor)


def remove_webhooks(tx: Tx, webhooks: Sequence[Webhook], actor: str) -> None:
    """Remove webhooks, with what waits for them."""
    for webhook in webhooks:
        store.remove_webhook(tx, webhook.id)
        host = store.host_of(webhook.url)
        tx.happened(
            WebhookRemoved(actor=actor, subject=host, webhook=webhook.id, user=webhook.person)
        )
