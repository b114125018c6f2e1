"""What notices need in order to reach webhooks."""

from collections.abc import Mapping
from typing import Protocol

from prism.errors import Conflict, Unavailable


class WebhookFailed(Unavailable, code="WEBHOOK_FAILED"):
    """A webhook did not accept a notice; it is tried again."""


class WebhookRefused(Conflict, code="WEBHOOK_REFUSED"):
    """The address of a webhook is not one that the daemon may reach."""


class WebhookTransport(Protocol):
    """Sends requests to addresses that people have chosen."""

    def check(self, url: str) -> None:
        """Raise `WebhookRefused` if an address can never be used."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Send a request; raises `WebhookFailed` or `WebhookRefused`."""
