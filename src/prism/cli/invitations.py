"""`prism invite …`."""

from __future__ import annotations

import sys

from prism.cli.link import daemon
from prism.cli.members import ROLES
from prism.cli.moments import here
from prism.cli.several import SomeFailed
from prism.cli.terminal import is_terminal, say, show_fields, show_json, show_table, suggest
from prism.cli.words import Usage
from prism.client.place import Place
from prism.client.wire import query, quoted

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

HEADS = ("ID", "PROJECT", "EMAIL", "ROLE", "STATUS", "EXPIRES", "MAIL")
OUTCOME = ("EMAIL", "STATUS", "WHY")
STATES = ("pending", "accepted", "declined", "revoked", "expired")


def _send(asked: Namespace) -> None:
    body = {"project_id": asked.project, "email": asked.email, "role": asked.role}
    it = daemon().ask("POST", "/invitations/send", body | {"message": asked.message})
    if asked.json:
        return show_json(it)
    print(f"{it['email']} is invited until {here(it['expires_at'])}")
    return suggest(f"See whether the mail has left: `prism invite show {it['id']}`")


def _bulk(asked: Namespace) -> None:
    from prism.cli.roster import guests  # noqa: PLC0415  cold start: it brings csv

    body: dict[str, Any] = {
        "project_id": asked.project,
        "invitations": guests(asked.file),
        "default_role": asked.role,
        "default_message": asked.message,
        "dry_run": asked.dry_run,
    }
    it = daemon().ask("POST", "/invitations/bulk", body)
    counts = it["summary"]
    if asked.json:
        show_json(it)
    else:
        results = it["results"]
        rows = [(one["email"], one["status"], one["reason"] or one["error"]) for one in results]
        show_table(OUTCOME, rows, flexible="WHY")
        done = "would be sent" if it["dry_run"] else "sent"
        say(f"{counts['sent']} {done}, {counts['skipped']} skipped, {counts['failed']} failed")
    if counts["failed"]:
        whom = ", ".join(one["email"] for one in it["results"] if one["status"] == "failed")
        raise SomeFailed(
            f"{counts['failed']} of {len(it['results'])} invitations failed: {whom}",
            remediation="Correct these rows and send the file again: who was invited is skipped",
        )


def _list(asked: Namespace) -> None:
    path = f"/invitations/project/{quoted(asked.project)}{query(status=asked.status)}"
    _table(daemon().ask("GET", path), as_json=asked.json)


def _mine(asked: Namespace) -> None:
    _table(daemon().ask("GET", f"/invitations/me{query(status=asked.status)}"), as_json=asked.json)


def _show(asked: Namespace) -> None:
    it = daemon().ask("GET", f"/invitations/{quoted(asked.id)}")
    if asked.json:
        return show_json(it)
    show_fields(
        {
            "id": it["id"],
            "project": it["project_name"],
            "email": it["email"],
            "role": it["role"],
            "status": it["status"],
            "invited by": it["invited_by"],
            "expires": here(it["expires_at"]),
            "mail": _mail(it | {"mail_file": _at_home(it.get("mail_file"))}),
            "token": it["token"],
            "message": it["message"],
        }
    )
    return _advise([it])


def _accept(asked: Namespace) -> None:
    it = _answered(asked, {})
    return show_json(it) if asked.json else print(it["message"])


def _decline(asked: Namespace) -> None:
    it = _answered(asked, {"reason": asked.reason})
    return show_json(it) if asked.json else print("The invitation was declined")


def _resend(asked: Namespace) -> None:
    it = daemon().ask("POST", f"/invitations/{quoted(asked.id)}/resend")
    return show_json(it) if asked.json else print(it["message"])


def _revoke(asked: Namespace) -> None:
    it = daemon().ask("DELETE", f"/invitations/{quoted(asked.id)}")
    return show_json(it) if asked.json else print(it["message"])


def _answered(asked: Namespace, body: dict[str, str]) -> Any:
    path = f"/invitations/{quoted(asked.id)}/{asked.verb}"
    return daemon().ask("POST", path, {"token": _token(), **body})


def _token() -> str:
    """The token, typed unseen or piped in: among the words, everybody could read it."""
    token = _unseen() if is_terminal(sys.stdin) else sys.stdin.readline()
    if not token.strip():
        raise Usage("no token was given", "Paste the one in the mail, or pipe it in")
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
            it["id"],
            it["project_name"],
            it["email"],
            it["role"],
            it["status"],
            here(it["expires_at"]),
            _mail(it),
        )
        for it in page["invitations"]
    ]
    show_table(HEADS, rows, flexible="PROJECT")
    return _advise(page["invitations"])


def _mail(it: dict[str, Any]) -> str:
    if it["mail_problem"]:
        return str(it["mail_problem"])
    if file := it.get("mail_file"):
        return f"written to {file}"
    return f"left {here(it['mailed_at'])}" if it["mailed_at"] else "waits"


def _at_home(file: str | None) -> str | None:
    """Where a file of the daemon is, if that is on this computer."""
    place = Place.read()
    return file if file is None or place.url else f"{place.home}/{file}"


def _advise(found: list[dict[str, Any]]) -> None:
    """Say so where mail is only written down: nobody gets it that way."""
    kept = [it["id"] for it in found if it.get("mail_file") and it["status"] == "pending"]
    if kept:
        again = f"`prism invite resend {kept[0] if len(kept) == 1 else 'ID'}`"
        suggest(f"To have mail sent, set PRISM_SMTP_URL for the daemon, then {again}")


def _project(made: ArgumentParser) -> None:
    made.add_argument("project", metavar="PROJECT", help="the project's name or id")


def _wording(made: ArgumentParser) -> None:
    made.add_argument("--role", choices=ROLES, default="member", help="what they will be")
    made.add_argument("--message", default="", metavar="TEXT", help="a few words of yours")


def _new(made: ArgumentParser) -> None:
    _project(made)
    made.add_argument("email", metavar="EMAIL", help="a mail address")
    _wording(made)


def _many(made: ArgumentParser) -> None:
    _project(made)
    made.add_argument("file", metavar="FILE", help="CSV: email, role, message; `-`: stdin")
    _wording(made)
    made.add_argument("--dry-run", action="store_true", help="say what would be; send nothing")


def _status(made: ArgumentParser) -> None:
    made.add_argument("--status", choices=STATES, help="only these")


def _of_project(made: ArgumentParser) -> None:
    _project(made)
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
    "show": (_one, _show),
    "accept": (_one, _accept),
    "decline": (_no, _decline),
    "resend": (_one, _resend),
    "revoke": (_one, _revoke),
}
