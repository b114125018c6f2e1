"""The interface that invitations need to send mail."""

from email.message import EmailMessage
from typing import Protocol

from prism.errors import Conflict


class Undeliverable(Conflict, code="MAIL_UNDELIVERABLE"):
    """The mail server refuses this mail permanently."""


class MailTransport(Protocol):
    """Sends mail."""

    def send(self, message: EmailMessage) -> str | None:
        """Send a mail; raises `Undeliverable`, or `Unavailable` if a retry may succeed.

        Without a mail server the mail is written to a file in the daemon's home; returns its path.
        """
