"""Mails one-time links to people who ask for one on the login page.

The answer to the page comes before anybody looks whether the address is known. So neither its text
nor its time tells who may log in here.
"""

import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from urllib.parse import urlsplit

from msgspec import Struct
from sqlalchemy import Connection

from prism.access.service import SECRET, hashed
from prism.errors import Problem
from prism.kit.attempts import AttemptLimit, TooManyAttempts
from prism.kit.clock import Clock, whole
from prism.kit.db import Database
from prism.kit.ids import sortable_id
from prism.kit.limits import network_of
from prism.sessions import store
from prism.sessions.events import LoginLinkCreated, LoginLinkWithheld
from prism.sessions.model import LINK_MINUTES, MAILED_LINK, CodeKind, LoginCode

log = logging.getLogger(__name__)
MOST_MAILS_TO_ONE, MOST_MAILS_ASKED = 3, 20  # from a network: to an address, and to all
MAILS_PERIOD = timedelta(minutes=15)
# To an address in a day, from one network, and from all in which the person has no session. Of
# further requests the answer is the same, and there is no mail.
MOST_MAILS_A_DAY, MOST_MAILS_OF_STRANGERS = 10, 40
MOST_QUEUED_MAILS = 200
ANYBODY = "anonymous"  # in the audit log: nobody knows who asks


class LinkMailSettings(Struct, frozen=True, kw_only=True):
    """From where mails come, and where their links lead."""

    sender: str
    address: str


class LinkMails:
    """Mails links; `may_log_in` knows whose addresses get one."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: LinkMailSettings,
        send: Callable[[EmailMessage], object],
        may_log_in: Callable[[Connection, str], bool],
    ) -> None:
        self._db, self._clock, self._settings = db, clock, settings
        self._send, self._may_log_in = send, may_log_in
        self._to_one = AttemptLimit(clock, MOST_MAILS_TO_ONE, MAILS_PERIOD)
        self._asked = AttemptLimit(clock, MOST_MAILS_ASKED, MAILS_PERIOD)
        self._of_day = AttemptLimit(clock, MOST_MAILS_A_DAY, timedelta(days=1))
        self._of_strangers = AttemptLimit(clock, MOST_MAILS_OF_STRANGERS, timedelta(days=1))
        self._thread = ThreadPoolExecutor(1, "link-mail")
        self._queued = 0

    def ask(self, email: str, address: str) -> None:
        """Mail a link to this person soon, if they may log in; raises after too many requests.

        `address` is that of the computer from which somebody asks.
        """
        user, network = email.lower(), network_of(address)
        self._to_one.check(_key(user, network))
        self._asked.check(network)
        self._to_one.failed(_key(user, network))
        self._asked.failed(network)
        if self._queued >= MOST_QUEUED_MAILS:
            raise TooManyAttempts(
                "Too many mails wait to be sent", remediation="Try again in some minutes"
            )
        self._queued += 1
        self._thread.submit(self._mail, user, network)

    def settle(self) -> None:
        """Wait until what was asked for is sent."""
        self._thread.submit(lambda: None).result()

    def _mail(self, user: str, network: str) -> None:
        try:
            if link := self._create(user, network):
                self._send(self._message(user, link))
        except Problem as problem:
            log.warning("a login link could not be mailed: %s", problem.details or problem.message)
        finally:
            self._queued -= 1

    def _create(self, user: str, network: str) -> str | None:
        """The secret of a new link; None if this person may not log in, or has had enough mails.

        Only known people count here, so that requests for others push nobody out.
        """
        now, secret = whole(self._clock.now()), secrets.token_urlsafe(SECRET)
        link = LoginCode(
            id=sortable_id("lnk", self._clock.now()),
            kind=CodeKind.LINK,
            user=user,
            hash=hashed(secret),
            created_by=ANYBODY,
            expires_at=now + timedelta(minutes=LINK_MINUTES),
            parent=MAILED_LINK,
        )
        with self._db.write() as tx:
            if not self._may_log_in(tx.sql, user):
                return None
            if not self._has_mails_left(tx.sql, user, network):
                tx.happened(LoginLinkWithheld(actor=ANYBODY, subject=user, user=user))
                return None
            store.prune(tx, now)
            store.add_code(tx, link)
            tx.happened(
                LoginLinkCreated(
                    actor=ANYBODY, subject=user, user=user, expires_at=link.expires_at
                )
            )
        return f"{link.id}.{secret}"

    def _has_mails_left(self, sql: Connection, user: str, network: str) -> bool:
        """Whether a person may get one more mail, which then counts.

        Requests from one network use up the mails of no other, and those of strangers never those
        from a network where the person is logged in.
        """
        sessions = store.living(sql, user, self._clock.now())
        is_own = network in {network_of(session.address) for session in sessions}
        if self._of_day.is_over(_key(user, network)):
            return False
        if not is_own:
            if self._of_strangers.is_over(user):
                return False
            self._of_strangers.failed(user)
        self._of_day.failed(_key(user, network))
        return True

    def _message(self, user: str, link: str) -> EmailMessage:
        """The mail; browsers do not send the secret, which is in the fragment of the address."""
        address, sender = self._settings.address, self._settings.sender
        host = urlsplit(address).netloc
        message = EmailMessage(SMTP if user.isascii() and sender.isascii() else SMTPUTF8)
        message["From"] = Address("Prism", *sender.rsplit("@", 1))
        message["To"] = Address("", *user.rsplit("@", 1))
        message["Subject"] = f"Log in to Prism at {host}"
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{link.partition('.')[0]}@{sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(
            f"Somebody, probably you, asked for a link to log in to Prism at {host}. Open it "
            f"within {LINK_MINUTES} minutes;\nit works once:\n\n    {address}/login#{link}\n\n"
            "If it was not you, do nothing: without this mail the link is of no use. Pass it on "
            "to nobody.\n"
        )
        return message


def _key(user: str, network: str) -> str:
    return f"{user} {network}"
