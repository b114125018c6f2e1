"""`prism invite …`."""

from __future__ import annotations

import sys

from prism.annotations import Any, ArgumentParser, Callable, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_message
from prism.cli.output.terminal import (
    is_terminal,
    say,
    show_fields,
    show_json,
    show_records,
    suggest,
)
from prism.cli.output.time_format import last_day, local_time
from prism.cli.parser import UsageError, add_flag, argument, project_argument
from prism.cli.people.members import ROLES, end_arguments, end_options
from prism.cli.workspace.bulk_verbs import SomeFailed
from prism.client.models import invitations
from prism.client.people import Invitations
from prism.client.transport.address import DaemonAddress

LOGIN_TOKEN = "prism_ses_"  # how the token of `prism login` begins
INVITATION_STATES = ("pending", "accepted", "declined", "revoked", "expired")


def _send(args: Namespace) -> Any:
    options = end_options(args)
    return daemon().call(
        Invitations.send, args.project, args.email, args.role, args.message, **options
    )


def _sent(args: Namespace, invitation: Any) -> None:
    print(f"{invitation['email']} can accept until {local_time(invitation['expires_at'])}")
    if invitation.get("until"):
        say(f"They are then {invitation['role']} until {last_day(invitation['until'])}")
    suggest(f"See whether the mail was sent: `prism invite show {invitation['id']}`")


def _bulk(args: Namespace) -> None:
    from prism.cli.people.people_csv import guests  # noqa: PLC0415  cold start: it brings csv

    answer = daemon().call(
        Invitations.send_many,
        args.project,
        [invitations.BulkInvitee(**guest) for guest in guests(args.file)],
        args.role,
        args.message,
        **end_options(args),
        dry_run=args.dry_run,
    )
    counts = answer["summary"]
    if args.json:
        show_json(answer)
    else:
        show_records(
            answer["results"],
            ("EMAIL", "email"),
            ("STATUS", "status"),
            ("WHY", lambda result: result["reason"] or result["error"]),
            flexible="WHY",
        )
        done = "would be sent" if answer["dry_run"] else "sent"
        say(f"{counts['sent']} {done}, {counts['skipped']} skipped, {counts['failed']} failed")
    if counts["failed"]:
        failed = ", ".join(
            result["email"] for result in answer["results"] if result["status"] == "failed"
        )
        raise SomeFailed(
            f"{counts['failed']} of {len(answer['results'])} invitations failed: {failed}",
            remediation="Correct these rows and send the file again; invited people are skipped",
        )


def _show(args: Namespace, invitation: Any) -> None:
    fields = {
        "id": invitation["id"],
        "project": invitation["project_name"],
        "email": invitation["email"],
        "role": invitation["role"],
        "status": invitation["status"],
        "invited by": invitation["invited_by"],
        "expires": local_time(invitation["expires_at"]),
        **_membership(invitation),
        "mail": _mail(invitation | {"mail_file": _absolute_path(invitation.get("mail_file"))}),
        "token": invitation["token"],
        "message": invitation["message"],
    }
    show_fields(fields)
    return _suggest_mail_setup([invitation])


def _membership(invitation: dict[str, Any]) -> dict[str, str]:
    """The end of the membership that an invitation offers, if it has one."""
    return {"member until": last_day(invitation["until"])} if invitation.get("until") else {}


def _declined(args: Namespace, answer: Any) -> None:
    print("The invitation was declined")


def _answer(method: Callable[..., object], id: str, *rest: str) -> Any:
    """Answer an invitation; a person who has logged in (`prism login`) needs no token."""
    wire = daemon()
    is_logged_in = wire.address.token.startswith(LOGIN_TOKEN)
    return wire.call(method, id, None if is_logged_in else _token(), *rest)


def _token() -> str:
    """The token, from a hidden prompt or stdin: other users can read a command line."""
    token = _read_hidden_line() if is_terminal(sys.stdin) else sys.stdin.readline()
    if not token.strip():
        raise UsageError("no token was given", "Paste the one in the mail, or pipe it in")
    return token.strip()


def _read_hidden_line() -> str:
    """Read a line without showing it; includes what was pasted before the prompt."""
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


def _list(args: Namespace, page: Any) -> None:
    show_records(
        page["invitations"],
        ("ID", "id"),
        ("PROJECT", "project_name"),
        ("EMAIL", "email"),
        ("ROLE", "role"),
        ("STATUS", "status"),
        ("EXPIRES", lambda invitation: local_time(invitation["expires_at"])),
        ("MAIL", _mail),
        flexible="PROJECT",
        none="No invitations",
    )
    _suggest_mail_setup(page["invitations"])


def _mail(invitation: dict[str, Any]) -> str:
    if invitation["mail_problem"]:
        return str(invitation["mail_problem"])
    if file := invitation.get("mail_file"):
        return f"written to {file}"
    return f"left {local_time(invitation['mailed_at'])}" if invitation["mailed_at"] else "waits"


def _absolute_path(file: str | None) -> str | None:
    """The path of a file in the daemon's home, absolute if that is on this computer."""
    address = DaemonAddress.read()
    return file if file is None or address.url else f"{address.home}/{file}"


def _suggest_mail_setup(invitations: list[dict[str, Any]]) -> None:
    """Suggest PRISM_SMTP_URL if invitations were only written to files."""
    unsent_ids = [
        invitation["id"]
        for invitation in invitations
        if invitation.get("mail_file") and invitation["status"] == "pending"
    ]
    if unsent_ids:
        command = f"`prism invite resend {unsent_ids[0] if len(unsent_ids) == 1 else 'ID'}`"
        suggest(f"To have mail sent, set PRISM_SMTP_URL for the daemon, then {command}")


_id_argument = argument("id", metavar="ID", help="the invitation's id")
_status_argument = argument("--status", choices=INVITATION_STATES, help="only these")


def _role_and_message(parser: ArgumentParser) -> None:
    parser.add_argument("--role", choices=ROLES, default="member", help="their role")
    parser.add_argument("--message", default="", metavar="TEXT", help="a message to them")
    end_arguments(parser)


def _send_arguments(parser: ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("email", metavar="EMAIL", help="a mail address")
    _role_and_message(parser)


def _bulk_arguments(parser: ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument(
        "file", metavar="FILE", help="CSV: email, role, message, until; `-`: stdin"
    )
    _role_and_message(parser)
    add_flag(parser, "--dry-run", help="only check the file; send nothing")


def _list_arguments(parser: ArgumentParser) -> None:
    project_argument(parser)
    _status_argument(parser)


def _decline_arguments(parser: ArgumentParser) -> None:
    _id_argument(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="why not")


VERBS = {
    "send": (
        _send_arguments,
        _send,
        _sent,
    ),
    "bulk": (_bulk_arguments, _bulk),
    "list": (_list_arguments, asking(Invitations.list, "project", "status"), _list),
    "mine": (_status_argument, asking(Invitations.mine, "status"), _list),
    "show": (_id_argument, asking(Invitations.show, "id"), _show),
    "accept": (
        _id_argument,
        lambda args: _answer(Invitations.accept, args.id),
        show_message,
    ),
    "decline": (
        _decline_arguments,
        lambda args: _answer(Invitations.decline, args.id, args.reason),
        _declined,
    ),
    "resend": (_id_argument, asking(Invitations.resend, "id"), show_message),
    "revoke": (_id_argument, asking(Invitations.revoke, "id"), show_message),
}
