"""Mail over SMTP, with the standard library; one connection for each message.

`smtps://` uses TLS from the first byte, `smtp://` uses STARTTLS if the server offers it. A
password is never sent without TLS, unless to this machine.

Only a 5xx that rejects the recipient's address or the message is final. A rejection of our
connection, our login or our sender's address can be fixed by people: that is tried again.
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
MAX_REPLY_LENGTH = 300  # characters of what a server says that are kept
PERMANENT = 500
OF_LOGIN = {530, 534, 535, 538}
ENHANCED = re.compile(r"(?<![\d.])[245]\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
ADDRESS_DETAIL, POLICY_DETAIL = 1, 7  # subjects of such codes: addresses, and policies on senders
OF_SENDER = {7, 8}  # details of ADDRESS that are about the sender's address
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
        """Send it by the mail server."""
        server = self._connect()
        try:
            server.send_message(message)
        except smtplib.SMTPException as error:
            raise self._problem_of(error, message) from error
        except OSError as error:
            raise self._server_away(error) from error
        finally:
            _quit(server)

    def _problem_of(self, error: smtplib.SMTPException, message: EmailMessage) -> Problem:
        """The problem for a failed message: `Undeliverable`, or one that is tried again."""
        match error:
            case smtplib.SMTPRecipientsRefused():
                [(code, words), *_] = error.recipients.values()
                final = is_of_recipient(code, _reply_text(words))
            case smtplib.SMTPDataError(smtp_code=code, smtp_error=words):
                final = is_of_mail(code, _reply_text(words))
            case smtplib.SMTPNotSupportedError() if not message["To"].isascii():
                why = "takes no address with letters beyond ASCII before its @ (SMTPUTF8)"
                return Undeliverable(details=f"{self._host} {why}")
            case _:
                return self._server_away(error)
        return Undeliverable(details=_describe(code, words)) if final else _reply_away(code, words)

    def _server_away(self, error: Exception) -> MailServerAway:
        # Not `str(error)`, which may contain our password.
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return MailServerAway(details=f"{self._host}: {error.smtp_code} to the login")
        if isinstance(error, smtplib.SMTPResponseException):
            return _reply_away(error.smtp_code, error.smtp_error)
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not trusted ({error.verify_message})"
            return MailServerAway(details=f"{self._host}: {why}")
        return MailServerAway(details=f"{self._host}: {type(error).__name__}")

    def _connect(self) -> smtplib.SMTP:
        """A connection after the login; a failure until then is not about the message."""
        try:
            server = self._open_connection()
        except (OSError, smtplib.SMTPException) as error:
            raise self._server_away(error) from error
        try:
            self._log_in(server)
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            raise self._server_away(error) from error
        except BaseException:
            server.close()
            raise
        return server

    def _open_connection(self) -> smtplib.SMTP:
        # With our host name: smtplib would look up the full name, and wait for that.
        arguments = (self._host, self._port, socket.gethostname())
        if self._secure:
            return smtplib.SMTP_SSL(*arguments, timeout=TIMEOUT, context=self._context)
        return smtplib.SMTP(*arguments, timeout=TIMEOUT)

    def _log_in(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        if not self._secure and server.has_extn("starttls"):
            server.starttls(context=self._context)
            server.ehlo()
        elif not self._secure and self._user and not _is_loopback(self._host):
            raise MailServerAway(
                f"{self._host} offers no TLS, and a password is not sent without",
                remediation="Use smtps:// in PRISM_SMTP_URL",
            )
        if self._user:
            server.login(self._user, self._password)


def is_of_recipient(code: int, reply: str) -> bool:
    """Whether a reply to the recipient's address is about that address, and final.

    If it is about us (no relaying, a blocked host, an invalid sender), it may be different on
    another day or with other settings, so that is tried again.
    """
    subject, detail = _enhanced(reply)
    if subject == ADDRESS_DETAIL and detail:
        return code >= PERMANENT and detail not in OF_SENDER
    is_ours = subject == POLICY_DETAIL or OF_US.search(reply) or OF_COMING.search(reply)
    return code in {550, 551, 553} and not is_ours


def is_of_mail(code: int, reply: str) -> bool:
    """Whether a reply to the message is about its content, and final."""
    return code >= PERMANENT and code not in OF_LOGIN and not OF_COMING.search(reply)


def _enhanced(reply: str) -> tuple[int, int] | tuple[None, None]:
    """Subject and detail of an enhanced status code (RFC 3463), if there is one."""
    match = ENHANCED.search(reply)
    return (int(match[1]), int(match[2])) if match else (None, None)


def _reply_away(code: int, words: bytes | str) -> MailServerAway:
    return MailServerAway(details=_describe(code, words))


def _describe(code: int, words: bytes | str) -> str:
    return f"{code} {_reply_text(words)}"[:MAX_REPLY_LENGTH]


def _reply_text(words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(text.split())


def _quit(server: smtplib.SMTP) -> None:
    """Close the connection; a failure of that does not change what was accepted."""
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
