"""What invitations need from the world: somebody who takes mail."""

from email.message import EmailMessage
from typing import Protocol

from prism.errors import Conflict


class Undeliverable(Conflict, code="MAIL_UNDELIVERABLE"):
    """The mail server refuses this mail permanently."""


class MailTransport(Protocol):
    """Takes mail."""

    def send(self, message: EmailMessage) -> str | None:
        """Send it; its file, if only kept. Raises `Undeliverable`, or `Unavailable`: retry."""
