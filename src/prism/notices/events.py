"""Events about notices; none contains a notice, an address of a webhook, or a secret."""

from typing import ClassVar

from prism.kit.events import Event


class NoticesChanged(Event, frozen=True, kw_only=True):
    """A person has new notices, or has read some; `subject` and `user` are the person."""

    event: ClassVar[str] = "notices_changed"
    user: str


class WebhookAdded(Event, frozen=True, kw_only=True):
    """A person added a webhook; `subject` is its host."""

    event: ClassVar[str] = "webhook_added"
    webhook: str
    user: str


class WebhookRemoved(Event, frozen=True, kw_only=True):
    """A webhook was removed; `subject` is its host."""

    event: ClassVar[str] = "webhook_removed"
    webhook: str
    user: str


class WebhookPaused(Event, frozen=True, kw_only=True):
    """A webhook failed for days, so nothing is sent to it any more; `subject` is its host."""

    event: ClassVar[str] = "webhook_paused"
    webhook: str
    user: str
    problem: str
