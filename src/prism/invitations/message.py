"""The mail, as plain text and as HTML, with what users wrote escaped.

In headers, line breaks and control characters become blanks. In HTML, markup is escaped. The token
is in the body, never in a URL. A login is in the fragment of the URL.
"""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from html import escape

from prism.invitations.addresses import parts
from prism.invitations.model import Mail

MAIL_STYLE = "font: 16px/1.5 system-ui, sans-serif; max-width: 36rem; color: #1b1f24"
MAX_NAME_LENGTH = 100  # characters of a name in a header


def compose(mail: Mail, sender: str, address: str) -> EmailMessage:
    """The mail, with the `address` of this Prism; a retry has the same Message-ID."""
    invitation = mail.invitation
    to, from_ = parts(invitation.email), parts(sender)
    # Non-ASCII letters before the @ cannot be encoded, and not every server accepts them.
    plain = to[0].isascii() and from_[0].isascii()
    message = EmailMessage(SMTP if plain else SMTPUTF8)
    message["From"] = Address("Prism", *from_)
    message["To"] = Address("", *to)
    message["Subject"] = f"{line(invitation.invited_by)} invites you to {line(mail.project_name)}"
    message["Date"] = format_datetime(invitation.last_resent or invitation.invited_at)
    message["Message-ID"] = f"<{invitation.id}.{mail.number}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(mail, address))
    message.add_alternative(_html(mail, address), subtype="html")
    return message


def line(raw: str) -> str:
    """A user's text as one line of printable characters."""
    text = "".join(c if c.isprintable() else " " for c in raw).strip()
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[: MAX_NAME_LENGTH - 1]}…"


def _paragraphs(mail: Mail, address: str) -> tuple[str, str, str]:
    invitation = mail.invitation
    opening = (
        f"{line(invitation.invited_by)} invites you to the project {line(mail.project_name)} "
    )
    opening += f"as {invitation.role}."
    at = f" of the Prism at {address}" if address else ""
    request = f"To join, sign in as a user{at} and type this command; it asks for the token below."
    if address:
        request = "Or in a terminal: type this command; it asks for the token below."
    ending = f"You can use the invitation once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC. "
    ending += "If you do not know what this is about, do nothing."
    return opening, request, ending


def page_of(mail: Mail, address: str) -> str:
    """The address of the invitation in the web GUI; browsers do not send the login in it."""
    login = f"#{mail.login}" if mail.login else ""
    return f"{address.rstrip('/')}/invitations/{mail.invitation.id}{login}"


def _joining(mail: Mail) -> str:
    """What to do with the link."""
    if mail.login is None:
        return "To join, open this page and log in:"
    return "To join, open this page. It logs you in once, so keep this mail to yourself:"


def _text(mail: Mail, address: str) -> str:
    opening, request, ending = _paragraphs(mail, address)
    lines = "".join(f"> {line}\n" for line in mail.invitation.message.splitlines())
    quote = f"{lines}\n" if lines else ""
    command = f"prism invite accept {mail.invitation.id}"
    if address:
        request = f"{_joining(mail)}\n\n    {page_of(mail, address)}\n\n{request}"
    return f"{opening}\n\n{quote}{request}\n\n    {command}\n\n    {mail.token}\n\n{ending}\n"


def _html(mail: Mail, address: str) -> str:
    opening, request, ending = (f"<p>{escape(words)}</p>" for words in _paragraphs(mail, address))
    lines = "<br>".join(escape(line) for line in mail.invitation.message.splitlines())
    quote = f"<blockquote>{lines}</blockquote>" if lines else ""
    command = f"<pre>prism invite accept {escape(mail.invitation.id)}</pre>"
    token = f"<pre>{escape(mail.token)}</pre>"
    page = ""
    if address:
        url = escape(page_of(mail, address))
        page = f'<p>{escape(_joining(mail))}</p><p><a href="{url}">{url}</a></p>'
    body = f"{opening}{quote}{page}{request}{command}{token}{ending}"
    return f'<!doctype html><html lang="en"><body style="{MAIL_STYLE}">{body}</body></html>\n'
