"""Mail over SMTP, with the standard library; one connection a mail.

`smtps://` is TLS from the first byte. `smtp://` is turned into TLS where the server offers it; a
password is never sent without, unless to this machine.
"""

import smtplib
import socket
import ssl
from email.message import EmailMessage
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from prism.errors import Unavailable
from prism.invitations.ports import Undeliverable

TIMEOUT = 10.0  # seconds for each step; the row's lease is 60


class MailServerAway(Unavailable, code="MAIL_SERVER_AWAY"):
    """The mail server does not take mail now."""


class SmtpPost:
    """Implements `invitations.ports.Post`."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "smtps"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (465 if self._secure else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._context = context or ssl.create_default_context()

    def send(self, message: EmailMessage) -> None:
        """Hand it over."""
        try:
            with self._connected() as server:
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            [(code, words), *_] = error.recipients.values()
            raise _refused(code, words) from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Undeliverable(details=str(error)) from error
        except (OSError, smtplib.SMTPException) as error:
            # Not `str(error)`: nothing that holds our password may come out.
            raise MailServerAway(details=f"{self._host}: {type(error).__name__}") from error

    def _connected(self) -> smtplib.SMTP:
        # By name: smtplib would ask the network for the full one, and wait for it.
        where = (self._host, self._port, socket.gethostname())
        if self._secure:
            server: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=TIMEOUT, context=self._context)
        else:
            server = smtplib.SMTP(*where, timeout=TIMEOUT)
        try:
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
        except BaseException:
            server.close()
            raise
        return server


def _refused(code: int, words: bytes | str) -> Undeliverable | MailServerAway:
    """What a refusal means: 5xx about a mail is for good, all else may pass."""
    said = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    # 530, 534, 535: it is not the mail that is refused but we; a person may mend that.
    if 500 <= code < 600 and code not in {530, 534, 535}:
        return Undeliverable(details=f"{code} {said}"[:300])
    return MailServerAway(details=f"{code}")


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
