"""Mail over SMTP, with the standard library; one connection a mail.

`smtps://` is TLS from the first byte. `smtp://` is turned into TLS where the server offers it; a
password is never sent without, unless to this machine.

A server's 5xx is for good only where it is about the recipient's address or about the mail. What
it says to our coming, our name or our sender's address, a person may mend: that is tried again.
"""

import re
import smtplib
import socket
import ssl
from email.message import EmailMessage
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from prism.errors import Problem, Unavailable
from prism.invitations.ports import Undeliverable

TIMEOUT = 10.0  # seconds for each step; the row's lease is 60
LONGEST = 300  # characters of what a server says that are kept
PERMANENT = 500
OF_LOGIN = {530, 534, 535, 538}
ENHANCED = re.compile(r"(?<![\d.])[245]\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
ADDRESS, POLICY = 1, 7  # subjects of such codes: an address, and who may send here
OF_SENDER = {7, 8}  # details of ADDRESS: those about the sender's
OF_COMING = re.compile(r"relay|rcpthosts|authenti|client host", re.IGNORECASE)
OF_US = re.compile(r"sender|block ?list|blocked|blacklist", re.IGNORECASE)


class MailServerAway(Unavailable, code="MAIL_SERVER_AWAY"):
    """The mail server does not accept mail now."""


class SmtpTransport:
    """Implements `invitations.ports.MailTransport`."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "smtps"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (465 if self._secure else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._context = context or ssl.create_default_context()

    def send(self, message: EmailMessage) -> None:
        """Hand it over."""
        server = self._connected()
        try:
            server.send_message(message)
        except smtplib.SMTPException as error:
            raise self._meant(error, message) from error
        except OSError as error:
            raise self._away(error) from error
        finally:
            _leave(server)

    def _meant(self, error: smtplib.SMTPException, message: EmailMessage) -> Problem:
        """What a failed mail means: that nobody can take it, or that it may be tried again."""
        match error:
            case smtplib.SMTPRecipientsRefused():
                [(code, words), *_] = error.recipients.values()
                final = is_of_recipient(code, _said(words))
            case smtplib.SMTPDataError(smtp_code=code, smtp_error=words):
                final = is_of_mail(code, _said(words))
            case smtplib.SMTPNotSupportedError() if not message["To"].isascii():
                why = "takes no address with letters beyond ASCII before its @ (SMTPUTF8)"
                return Undeliverable(details=f"{self._host} {why}")
            case _:
                return self._away(error)
        return Undeliverable(details=_told(code, words)) if final else _away(code, words)

    def _away(self, error: Exception) -> MailServerAway:
        # Not `str(error)`: nothing that holds our password may come out.
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return MailServerAway(details=f"{self._host}: {error.smtp_code} to the login")
        if isinstance(error, smtplib.SMTPResponseException):
            return _away(error.smtp_code, error.smtp_error)
        return MailServerAway(details=f"{self._host}: {type(error).__name__}")

    def _connected(self) -> smtplib.SMTP:
        """A connection that takes mail; whatever fails until then says nothing of the mail."""
        try:
            server = self._greeted()
        except (OSError, smtplib.SMTPException) as error:
            raise self._away(error) from error
        try:
            self._signed_in(server)
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            raise self._away(error) from error
        except BaseException:
            server.close()
            raise
        return server

    def _greeted(self) -> smtplib.SMTP:
        # By name: smtplib would ask the network for the full one, and wait for it.
        where = (self._host, self._port, socket.gethostname())
        if self._secure:
            return smtplib.SMTP_SSL(*where, timeout=TIMEOUT, context=self._context)
        return smtplib.SMTP(*where, timeout=TIMEOUT)

    def _signed_in(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        if not self._secure and server.has_extn("starttls"):
            server.starttls(context=self._context)
            server.ehlo()
        elif not self._secure and self._user and not _here(self._host):
            raise MailServerAway(
                f"{self._host} offers no TLS, and a password is not sent without",
                remediation="Use smtps:// in PRISM_SMTP_URL",
            )
        if self._user:
            server.login(self._user, self._password)


def is_of_recipient(code: int, said: str) -> bool:
    """Whether an answer to the recipient's address is about that address, and for good.

    Where it is about who we are (no relaying for us, our host is blocked, our sender's address
    is none), another day or another setting makes it good; so that is tried again.
    """
    of, detail = _enhanced(said)
    if of == ADDRESS and detail:
        return code >= PERMANENT and detail not in OF_SENDER
    ours = of == POLICY or OF_US.search(said) or OF_COMING.search(said)
    return code in {550, 551, 553} and not ours


def is_of_mail(code: int, said: str) -> bool:
    """Whether an answer to the mail itself is about what it says, and for good."""
    return code >= PERMANENT and code not in OF_LOGIN and not OF_COMING.search(said)


def _enhanced(said: str) -> tuple[int, int] | tuple[None, None]:
    """Subject and detail of an enhanced status code (RFC 3463), if there is one."""
    found = ENHANCED.search(said)
    return (int(found[1]), int(found[2])) if found else (None, None)


def _away(code: int, words: bytes | str) -> MailServerAway:
    return MailServerAway(details=_told(code, words))


def _told(code: int, words: bytes | str) -> str:
    return f"{code} {_said(words)}"[:LONGEST]


def _said(words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(text.split())


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye; what was taken is taken, whatever the server says to that."""
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
