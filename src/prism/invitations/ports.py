"""What invitations need from the world: somebody who takes mail."""

from email.message import EmailMessage
from typing import Protocol

from prism.errors import Conflict


class Undeliverable(Conflict, code="MAIL_UNDELIVERABLE"):
    """The mail server refuses this mail permanently."""


class MailTransport(Protocol):
    """Takes mail."""

    def send(self, message: EmailMessage) -> str | None:
        """Hand it over; raises `Undeliverable`, or `Unavailable` where one may try again.

        Where nobody takes it and it is only kept, the answer is the file in the daemon's home.
        """
