"""`prism invite …`."""

from __future__ import annotations

import sys

from prism.cli.bulk_verbs import SomeFailed
from prism.cli.connection import daemon
from prism.cli.members import ROLES
from prism.cli.parser import UsageError, of_project
from prism.cli.terminal import is_terminal, say, show_fields, show_json, show_table, suggest
from prism.cli.time_format import here
from prism.client.address import DaemonAddress
from prism.client.models import invitations
from prism.client.people import Invitations

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

HEADS = ("ID", "PROJECT", "EMAIL", "ROLE", "STATUS", "EXPIRES", "MAIL")
OUTCOME = ("EMAIL", "STATUS", "WHY")
STATES = ("pending", "accepted", "declined", "revoked", "expired")


def _send(asked: Namespace) -> None:
    invitation = daemon().call(
        Invitations.send, asked.project, asked.email, asked.role, asked.message
    )
    if asked.json:
        return show_json(invitation)
    print(f"{invitation['email']} is invited until {here(invitation['expires_at'])}")
    return suggest(f"See whether the mail was sent: `prism invite show {invitation['id']}`")


def _bulk(asked: Namespace) -> None:
    from prism.cli.people_csv import guests  # noqa: PLC0415  cold start: it brings csv

    answer = daemon().call(
        Invitations.send_many,
        asked.project,
        [invitations.Guest(**guest) for guest in guests(asked.file)],
        asked.role,
        asked.message,
        dry_run=asked.dry_run,
    )
    counts = answer["summary"]
    if asked.json:
        show_json(answer)
    else:
        results = answer["results"]
        rows = [
            (result["email"], result["status"], result["reason"] or result["error"])
            for result in results
        ]
        show_table(OUTCOME, rows, flexible="WHY")
        done = "would be sent" if answer["dry_run"] else "sent"
        say(f"{counts['sent']} {done}, {counts['skipped']} skipped, {counts['failed']} failed")
    if counts["failed"]:
        whom = ", ".join(
            result["email"] for result in answer["results"] if result["status"] == "failed"
        )
        raise SomeFailed(
            f"{counts['failed']} of {len(answer['results'])} invitations failed: {whom}",
            remediation="Correct these rows and send the file again; invited people are skipped",
        )


def _list(asked: Namespace) -> None:
    _table(daemon().call(Invitations.list, asked.project, asked.status), as_json=asked.json)


def _mine(asked: Namespace) -> None:
    _table(daemon().call(Invitations.mine, asked.status), as_json=asked.json)


def _show(asked: Namespace, invitation: Any) -> None:
    show_fields(
        {
            "id": invitation["id"],
            "project": invitation["project_name"],
            "email": invitation["email"],
            "role": invitation["role"],
            "status": invitation["status"],
            "invited by": invitation["invited_by"],
            "expires": here(invitation["expires_at"]),
            "mail": _mail(invitation | {"mail_file": _at_home(invitation.get("mail_file"))}),
            "token": invitation["token"],
            "message": invitation["message"],
        }
    )
    return _advise([invitation])


def _accept(asked: Namespace, answer: Any) -> None:
    print(answer["message"])


def _decline(asked: Namespace) -> None:
    answer = daemon().call(Invitations.decline, asked.id, _token(), asked.reason)
    return show_json(answer) if asked.json else print("The invitation was declined")


def _resend(asked: Namespace, invitation: Any) -> None:
    print(invitation["message"])


def _revoke(asked: Namespace, invitation: Any) -> None:
    print(invitation["message"])


def _token() -> str:
    """The token, typed unseen or piped in: among the words, everybody could read it."""
    token = _unseen() if is_terminal(sys.stdin) else sys.stdin.readline()
    if not token.strip():
        raise UsageError("no token was given", "Paste the one in the mail, or pipe it in")
    return token.strip()


def _unseen() -> str:
    """A line that is typed without being shown; what was pasted too early is not lost."""
    import termios  # noqa: PLC0415  cold start: only where somebody types

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    print("Token of the invitation: ", end="", file=sys.stderr, flush=True)
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
        return sys.stdin.readline()
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        print(file=sys.stderr)


def _table(page: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json(page)
    if not page["invitations"]:
        return say("No invitations")
    rows = [
        (
            invitation["id"],
            invitation["project_name"],
            invitation["email"],
            invitation["role"],
            invitation["status"],
            here(invitation["expires_at"]),
            _mail(invitation),
        )
        for invitation in page["invitations"]
    ]
    show_table(HEADS, rows, flexible="PROJECT")
    return _advise(page["invitations"])


def _mail(invitation: dict[str, Any]) -> str:
    if invitation["mail_problem"]:
        return str(invitation["mail_problem"])
    if file := invitation.get("mail_file"):
        return f"written to {file}"
    return f"left {here(invitation['mailed_at'])}" if invitation["mailed_at"] else "waits"


def _at_home(file: str | None) -> str | None:
    """Where a file of the daemon is, if that is on this computer."""
    place = DaemonAddress.read()
    return file if file is None or place.url else f"{place.home}/{file}"


def _advise(found: list[dict[str, Any]]) -> None:
    """Say so where mail is only written down: nobody gets it that way."""
    kept = [
        invitation["id"]
        for invitation in found
        if invitation.get("mail_file") and invitation["status"] == "pending"
    ]
    if kept:
        again = f"`prism invite resend {kept[0] if len(kept) == 1 else 'ID'}`"
        suggest(f"To have mail sent, set PRISM_SMTP_URL for the daemon, then {again}")


def _wording(made: ArgumentParser) -> None:
    made.add_argument("--role", choices=ROLES, default="member", help="their role")
    made.add_argument("--message", default="", metavar="TEXT", help="a message to them")


def _new(made: ArgumentParser) -> None:
    of_project(made)
    made.add_argument("email", metavar="EMAIL", help="a mail address")
    _wording(made)


def _many(made: ArgumentParser) -> None:
    of_project(made)
    made.add_argument("file", metavar="FILE", help="CSV: email, role, message; `-`: stdin")
    _wording(made)
    made.add_argument("--dry-run", action="store_true", help="only check the file; send nothing")


def _status(made: ArgumentParser) -> None:
    made.add_argument("--status", choices=STATES, help="only these")


def _of_project(made: ArgumentParser) -> None:
    of_project(made)
    _status(made)


def _one(made: ArgumentParser) -> None:
    made.add_argument("id", metavar="ID", help="the invitation's id")


def _no(made: ArgumentParser) -> None:
    _one(made)
    made.add_argument("--reason", default="", metavar="TEXT", help="why not")


VERBS = {
    "send": (_new, _send),
    "bulk": (_many, _bulk),
    "list": (_of_project, _list),
    "mine": (_status, _mine),
    "show": (_one, lambda asked: daemon().call(Invitations.show, asked.id), _show),
    "accept": (_one, lambda asked: daemon().call(Invitations.accept, asked.id, _token()), _accept),
    "decline": (_no, _decline),
    "resend": (_one, lambda asked: daemon().call(Invitations.resend, asked.id), _resend),
    "revoke": (_one, lambda asked: daemon().call(Invitations.revoke, asked.id), _revoke),
}
