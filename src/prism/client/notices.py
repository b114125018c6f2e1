"""Client methods for notices and webhooks."""

from __future__ import annotations

import builtins

from prism.client.models import notices
from prism.client.transport.request import UNSET, Noun, UnsetType
from prism.client.transport.wire import query, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTICES_PATH, WEBHOOKS_PATH = "/notices", "/webhooks"


class Notices(Noun):
    """Methods for notices."""

    def list(
        self, *, unread: bool = False, limit: int = 100
    ) -> builtins.list[notices.NoticeShown]:
        """Your notices, the newest first."""
        return [*self.page(unread=unread, limit=limit).notices]

    def page(self, *, unread: bool = False, limit: int = 100) -> notices.NoticeList:
        """Your notices, and how many you have not read."""
        words = query(unread="true" if unread else None, limit=limit)
        return self._ask("GET", NOTICES_PATH + words, notices.NoticeList)

    def read(self, ids: Sequence[str] | None = None) -> notices.ReadAnswer:
        """Mark notices as read; without ids, all."""
        body = notices.ReadRequest(ids=None if ids is None else tuple(ids))
        return self._ask("POST", f"{NOTICES_PATH}/read", notices.ReadAnswer, body)

    def settings(self) -> notices.NoticeSettings:
        """What you get notices about, and how."""
        return self._ask("GET", f"{NOTICES_PATH}/settings", notices.NoticeSettings)

    def set(
        self,
        *,
        kinds: Mapping[str, Mapping[str, bool]] | UnsetType = UNSET,
        thresholds: Sequence[int] | UnsetType = UNSET,
        expiry_hours: int | UnsetType = UNSET,
    ) -> notices.NoticeSettings:
        """Change what you get notices about; `kinds` gives `mail` and `webhook` by kind."""
        body = notices.SettingsChange(
            kinds=kinds,  # type: ignore[arg-type]  # the daemon checks it
            thresholds=thresholds,  # type: ignore[arg-type]
            expiry_hours=expiry_hours,
        )
        return self._ask("PUT", f"{NOTICES_PATH}/settings", notices.NoticeSettings, body)

    def test(self) -> notices.NoticeShown:
        """Send yourself a notice by mail and to your webhooks."""
        return self._ask("POST", f"{NOTICES_PATH}/test", notices.NoticeShown)


class Webhooks(Noun):
    """Methods for webhooks."""

    def list(self) -> builtins.list[notices.WebhookShown]:
        """Your webhooks; for the operator, everybody's."""
        return [*self.page().webhooks]

    def page(self) -> notices.WebhookList:
        """Your webhooks, and how many there are."""
        return self._ask("GET", WEBHOOKS_PATH, notices.WebhookList)

    def add(self, url: str) -> notices.CreatedWebhook:
        """Add a webhook; its secret is shown once."""
        body = notices.NewWebhook(url=url)
        return self._ask("POST", WEBHOOKS_PATH, notices.CreatedWebhook, body)

    def remove(self, id: str) -> notices.RemovedWebhook:
        """Remove a webhook; what waits for it is not sent."""
        return self._ask("DELETE", f"{WEBHOOKS_PATH}/{quoted(id)}", notices.RemovedWebhook)

    def test(self, id: str) -> notices.WebhookShown:
        """Send a test to a webhook; one that was paused gets what waits for it."""
        return self._ask("POST", f"{WEBHOOKS_PATH}/{quoted(id)}/test", notices.WebhookShown)
