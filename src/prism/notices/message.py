"""Notices as a mail, and as a signed request to a webhook.

The titles and texts of notices contain what people, workspaces and providers wrote: in headers
they are one line of printable characters, and in HTML they are escaped.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from html import escape

import msgspec

from prism.invitations.addresses import parts
from prism.notices.model import Notice
from prism.notices.plan import text_of

DIGEST_STYLE = "font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; color: #1b1f24"
MAX_IN_MAIL = 50  # notices that a mail shows; of more, it says how many
SECRET_PREFIX = "whsec_"


class DigestParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail is made of; `address` is that of the web GUI, empty if there is none."""

    id: str
    at: datetime
    person: str
    notices: Sequence[Notice]
    sender: str
    address: str


def compose(digest: DigestParts) -> EmailMessage:
    """One mail with several notices; it is the same each time it is sent."""
    to, from_ = parts(digest.person), parts(digest.sender)
    plain = to[0].isascii() and from_[0].isascii()
    message = EmailMessage(SMTP if plain else SMTPUTF8)
    message["From"] = Address("Prism", *from_)
    message["To"] = Address("", *to)
    message["Subject"] = subject_of(digest.notices)
    message["Date"] = format_datetime(digest.at)
    message["Message-ID"] = f"<{digest.id}@{from_[1]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_plain_text(digest))
    message.add_alternative(_markup(digest), subtype="html")
    message.set_boundary(f"=={digest.id}==")  # else a random one
    return message


def subject_of(notices: Sequence[Notice]) -> str:
    """The subject of a mail with these notices."""
    if len(notices) == 1:
        return f"Prism: {text_of(notices[0].title, 150)}"
    return f"Prism: {len(notices)} notices, among them: {text_of(notices[0].title, 100)}"


def _plain_text(digest: DigestParts) -> str:
    blocks = []
    for notice in digest.notices[:MAX_IN_MAIL]:
        block = [f"* {notice.title} ({notice.at:%Y-%m-%d %H:%M} UTC)"]
        block += [f"  {line}" for line in notice.text.splitlines()]
        block += [f"  > {notice.command}"] if notice.command else []
        blocks.append("\n".join(block))
    return "\n\n".join([*blocks, *_more(digest), _ending(digest)]) + "\n"


def _markup(digest: DigestParts) -> str:
    blocks = []
    for notice in digest.notices[:MAX_IN_MAIL]:
        text = "<br>".join(escape(line) for line in notice.text.splitlines())
        command = f"<br><code>{escape(notice.command)}</code>" if notice.command else ""
        at = f"{notice.at:%Y-%m-%d %H:%M} UTC"
        blocks.append(f"<p><b>{escape(notice.title)}</b> ({at})<br>{text}{command}</p>")
    ending = "".join(f"<p>{escape(words)}</p>" for words in [*_more(digest), _ending(digest)])
    body = "".join(blocks) + ending
    return f'<!doctype html><html lang="en"><body style="{DIGEST_STYLE}">{body}</body></html>\n'


def _more(digest: DigestParts) -> list[str]:
    more = len(digest.notices) - MAX_IN_MAIL
    return [f"And {more} more: `prism notices list`"] if more > 0 else []


def _ending(digest: DigestParts) -> str:
    where = f"{digest.address.rstrip('/')}/notices" if digest.address else "`prism notices list`"
    return f"All notices: {where}. Choose what you get: `prism notices set`."


def payload(notice: Notice) -> bytes:
    """The body of a request to a webhook."""
    data = {
        "id": notice.id,
        "kind": notice.kind,
        "project": notice.project,
        "title": notice.title,
        "text": notice.text,
        "command": notice.command,
    }
    body = {"type": f"notice.{notice.kind}", "timestamp": notice.at, "data": data}
    return msgspec.json.encode(body)


def signed_headers(id: str, at: datetime, body: bytes, secret: str) -> Mapping[str, str]:
    """The headers of a request, signed as the specification of Standard Webhooks says."""
    seconds = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    mac = hmac.digest(key, b".".join([id.encode(), seconds.encode(), body]), "sha256")
    return {
        "Content-Type": "application/json",
        "User-Agent": "Prism-Webhooks",
        "webhook-id": id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
