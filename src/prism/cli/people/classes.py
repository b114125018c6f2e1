"""`prism class …`: the members of a project, with a workspace of one template for each of them.

A class is a project, so nothing about it is stored elsewhere. Each command looks at what exists
and does what is missing, so an interrupted one is continued by repeating it.
"""

from __future__ import annotations

import hashlib
import os

from prism.annotations import Any, ArgumentParser, Callable, Iterable, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import ask, require_terminal, say, show_json, show_records, suggest
from prism.cli.parser import UsageError, add_flag, argument, given
from prism.cli.people.class_overview import overview_rows, show_overview
from prism.cli.people.members import end_arguments, end_options
from prism.cli.workspace.bulk_verbs import SomeFailed, has_effect, send_all_first
from prism.client.errors import DaemonUnreachable
from prism.client.models import invitations
from prism.client.names import unique_name
from prism.client.people import Invitations, Members
from prism.client.transport.transfer import download
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Conflict, Invalid, NotFound, Problem

INVITATIONS_AT_ONCE = 500  # as many as the daemon takes in one request
CHECKSUMS = "checksums.sha256"
LEAVING_ROLES = {"viewer", "member"}  # at the end of a class; who teaches stays
ENDING_STATES = {"terminating", "terminated"}


class FileTooLarge(Conflict, code="FILE_TOO_LARGE"):
    """The file of a workspace is larger than `--max-mb` allows."""


def _add(args: Namespace) -> None:
    from prism.cli.people.people_csv import guests  # noqa: PLC0415  cold start: it brings csv

    wire, people = daemon(), guests(args.file)
    options = given(args, "size", "from_snapshot", "ttl_hours", "idle_profile")
    results = [
        result
        for first in range(0, len(people), INVITATIONS_AT_ONCE)
        for result in _invite(wire, args, people[first : first + INVITATIONS_AT_ONCE])
    ]
    existing = {row["owner"].lower() for row in _living(wire, args.project, args.name)}

    def launch(result: dict[str, Any]) -> dict[str, Any]:
        if result["status"] == "failed":
            raise Invalid(result["error"] or "it was not invited")
        invited = result["reason"] or "invited"
        if result["email"].lower() in existing:
            return {"mail": invited, "workspace": "exists"}
        existing.add(result["email"].lower())
        if args.dry_run:
            return {"mail": "would be invited", "workspace": "would be launched"}
        more = {"project": args.project, "owner": result["email"], **options}
        answer = wire.call(Workspaces.launch, args.template, args.name, **more)
        return {"mail": invited, "workspace": answer["state"]}

    rows = _each(results, lambda result: result["email"], launch)
    _show(args, rows, ("MAIL", "mail"), ("WORKSPACE", "workspace"))
    suggest(f"See who has not come yet, and whose workspace failed: {_status(args)}")
    _raise_failures(rows, "Correct these rows, and repeat the command: it does what is missing")


def _invite(wire: Wire, args: Namespace, people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Invite these people; who is invited or a member already gets no second mail."""
    answer = wire.call(
        Invitations.send_many,
        args.project,
        [invitations.BulkInvitee(**person) for person in people],
        "member",
        args.message,
        **end_options(args),
        dry_run=args.dry_run,
    )
    results: list[dict[str, Any]] = answer["results"]
    return results


def _collect(args: Namespace) -> None:
    base = os.path.basename(args.path.rstrip("/"))
    if not base or base in {".", ".."} or not base.isprintable() or "\\" in base:
        raise UsageError(
            "name a file, by its path in the homes", "As in: reports/exercise-1.ipynb"
        )
    wire = daemon()
    os.makedirs(args.folder, exist_ok=True)

    def fetch(workspace: dict[str, Any]) -> dict[str, Any]:
        name = unique_name(workspace)
        folder = os.path.join(args.folder, _folder_name(name))
        os.makedirs(folder, exist_ok=True)
        target = os.path.join(folder, base)
        path = args.path.removeprefix("~/")
        size = download(wire, name, path, target, _limit(args.max_mb, name))
        checksum = _checksum(target)
        return {"file": target, "bytes": size, "sha256": checksum}

    workspaces = _living(wire, args.project, args.name)
    rows = _each(workspaces, unique_name, fetch)
    _write_checksums(args.folder, rows)
    _show(args, rows, ("FILE", "file"), ("BYTES", "bytes"), ("SHA-256", "sha256"))
    suggest(f"Compare the files later: `sha256sum -c {CHECKSUMS}` in {args.folder}")
    _raise_failures(rows, "Repeat the command once these have the file")


def _limit(max_mb: int, name: str) -> Callable[[int], None]:
    """Stop a download that is too large: a file with holes may claim to have terabytes."""

    def check(done: int) -> None:
        if done > max_mb * 10**6:
            raise FileTooLarge(
                f"The file of {name} is larger than {max_mb} MB",
                remediation="Allow more: `--max-mb`",
            )

    return check


def _folder_name(name: str) -> str:
    """The name of a workspace as that of a folder; daemons give no others than these."""
    if name and all(letter.isascii() and (letter.isalnum() or letter == "-") for letter in name):
        return name
    return name.encode(errors="replace").hex()


def _checksum(file: str) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _write_checksums(folder: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write the file that `sha256sum -c` reads, with what was fetched now."""
    lines = [
        f"{row['sha256']}  {os.path.relpath(row['file'], folder)}\n"
        for row in rows
        if not row["error"]
    ]
    draft = os.path.join(folder, f"{CHECKSUMS}.{os.urandom(4).hex()}")
    with open(draft, "x", encoding="utf-8") as file:
        file.writelines(lines)
    os.replace(draft, os.path.join(folder, CHECKSUMS))


def _reset(args: Namespace) -> None:
    if bool(args.people) == args.all:
        raise UsageError("give either mail addresses, or --all", "See `prism class reset --help`")
    wire = daemon()
    chosen = {person.lower() for person in args.people}
    workspaces = [
        row
        for row in _living(wire, args.project, args.name)
        if args.all or row["owner"].lower() in chosen
    ]
    if missing := chosen - {row["owner"].lower() for row in workspaces}:
        raise NotFound(
            f"{', '.join(sorted(missing))}: no workspace called {args.name!r} in {args.project!r}",
            remediation=f"See whose there are: {_status(args)}",
        )
    _confirm(args, f"reset {len(workspaces)}", "This replaces the files of", workspaces)

    def reset(workspace: dict[str, Any]) -> dict[str, Any]:
        answer = wire.call(
            Workspaces.rollback, unique_name(workspace), args.snapshot, of_another=True
        )
        return {"backup": answer["backup"]}

    rows = _each(workspaces, unique_name, reset)
    _show(args, rows, ("TODAY'S FILES ARE IN", "backup"))
    _raise_failures(rows, "The others are reset. Repeat the command with the people that failed")


def _stop(args: Namespace) -> None:
    wire = daemon()
    workspaces = _living(wire, args.project, args.name)
    if args.at is None:
        workspaces = [row for row in workspaces if has_effect("stop", row)]
        _confirm(args, f"stop {len(workspaces)}", "This ends the programs in", workspaces)
        names = [unique_name(row) for row in workspaces]
        answer = send_all_first(names, lambda name: wire.call(Workspaces.stop, name))

        def stop(workspace: dict[str, Any]) -> dict[str, Any]:
            return {"done": f"is {answer(unique_name(workspace))['new_state']}"}
    else:
        from prism.cli.people import class_stop  # noqa: PLC0415  cold start: datetime costs 2 ms

        at = class_stop.time_of(args.at)
        workspaces = [row for row in workspaces if class_stop.runs_longer(row, at)]

        expiry: dict[str, Any] = {"expires_at": at}

        def stop(workspace: dict[str, Any]) -> dict[str, Any]:
            wire.call(Workspaces.extend, unique_name(workspace), **expiry)
            return {"done": f"goes to sleep {class_stop.local_time(at)}", "expires_at": at}

    rows = _each(workspaces, unique_name, stop)
    _show(args, rows, ("DONE", "done"))
    suggest(f"Let all of them run again: `prism start --project {args.project}`")
    _raise_failures(rows, "It succeeded for the others. Repeat the command for these")


def _end(args: Namespace) -> None:
    """End a class: mails that were not answered, workspaces, and members, in this order."""
    wire = daemon()
    workspaces = _living(wire, args.project)
    _confirm(args, f"end {args.project}", "This destroys", workspaces)
    unanswered = wire.call(Invitations.list, args.project, "pending")["invitations"]

    def revoke(invitation: dict[str, Any]) -> dict[str, Any]:
        wire.call(Invitations.revoke, invitation["id"])
        return {"done": "the invitation is revoked"}

    def terminate(workspace: dict[str, Any]) -> dict[str, Any]:
        keeps = not args.no_snapshots
        wire.call(Workspaces.terminate, unique_name(workspace), backup=keeps)
        return {"done": "is destroyed once a snapshot has its files" if keeps else "is destroyed"}

    def remove(member: dict[str, Any]) -> dict[str, Any]:
        wire.call(Members.remove, args.project, member["email"])
        return {"done": "is no member any more"}

    rows = _each(unanswered, lambda invitation: invitation["email"], revoke)
    ended = _each(workspaces, unique_name, terminate)
    rows += ended
    if not any(row["error"] for row in ended):  # else nobody could look after what is left
        members = wire.call(Members.list, args.project)
        leaving = [member for member in members if member["role"] in LEAVING_ROLES]
        rows += _each(leaving, lambda member: member["email"], remove)
    _show(args, rows, ("DONE", "done"))
    suggest("The snapshots: `prism snapshot list`")
    _raise_failures(rows, "Repeat the command: it does what is missing")


def _overview(args: Namespace) -> None:
    wire = daemon()
    rows = overview_rows(
        wire.call(Members.list, args.project),
        wire.call(Invitations.list, args.project)["invitations"],
        _living(wire, args.project),
        args.idle,
    )
    return show_json(rows) if args.json else show_overview(rows)


def _living(wire: Wire, project: str, name: str | None = None) -> list[dict[str, Any]]:
    """The workspaces of the class that are not being destroyed; `name` chooses one of each."""
    workspaces = wire.call(Workspaces.list, project=project)
    return [
        row
        for row in workspaces
        if row["state"] not in ENDING_STATES and name in {None, row["name"]}
    ]


def _each(
    things: Iterable[dict[str, Any]],
    name_of: Callable[[dict[str, Any]], str],
    do: Callable[[dict[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Do it for one after the other; a refusal for one does not stop the others."""
    rows: list[dict[str, Any]] = []
    for thing in things:
        row: dict[str, Any] = {"name": name_of(thing), "error": None}
        try:
            rows.append(row | do(thing))
        except DaemonUnreachable:
            raise
        except (Problem, OSError) as problem:
            why = problem.message if isinstance(problem, Problem) else str(problem)
            details = problem.details if isinstance(problem, Problem) else ""
            rows.append(row | {"error": f"{why}: {details}" if details else why})
    return rows


def _show(args: Namespace, rows: list[dict[str, Any]], *columns: tuple[str, str]) -> None:
    if args.json:
        return show_json(rows)
    head, name = columns[0]
    first: tuple[str, Callable[[Any], object]] = (head, lambda row: row["error"] or row.get(name))
    return show_records(
        rows, ("NAME", "name"), first, *columns[1:], flexible=head, none="There is nothing to do"
    )


def _raise_failures(rows: list[dict[str, Any]], remediation: str) -> None:
    if failed := [row["name"] for row in rows if row["error"]]:
        names = ", ".join(failed)
        raise SomeFailed(f"{len(failed)} of {len(rows)} failed: {names}", remediation=remediation)


def _confirm(
    args: Namespace, answer: str, consequence: str, workspaces: list[dict[str, Any]]
) -> None:
    if args.yes:
        return
    hint = "To do it without this question: add `--yes`"
    names = ", ".join(unique_name(row) for row in workspaces) or "no workspace"
    require_terminal("Nothing was changed", hint)
    say(f"{consequence} {names}.")
    if ask(f"Type `{answer}` to go on: ") != answer:
        details = f"the answer was not `{answer}`"
        raise Invalid("Nothing was changed", details=details, remediation=hint)


def _status(args: Namespace) -> str:
    return f"`prism class status {args.project}`"


_class_argument = argument("project", metavar="CLASS", help="the project of the class")


def _name_argument(parser: ArgumentParser) -> None:
    help_text = "the name of each person's workspace (default: work)"
    parser.add_argument("--name", default="work", metavar="NAME", help=help_text)


def _add_arguments(parser: ArgumentParser) -> None:
    _class_argument(parser)
    parser.add_argument(
        "file", metavar="FILE", help="CSV: email, role, message, until; `-`: stdin"
    )
    parser.add_argument("--template", required=True, help="the template of the workspaces")
    _name_argument(parser)
    parser.add_argument("--message", default="", metavar="TEXT", help="a message to them")
    parser.add_argument("--size", choices=("XS", "S", "M", "L", "XL"), help="the size of each")
    start_help = "each begins with the files of this snapshot of a workspace"
    parser.add_argument("--from-snapshot", metavar="SNAPSHOT", help=start_help)
    parser.add_argument("--idle-profile", metavar="NAME", help="the idle profile of each")
    from prism.cli.output.time_format import hours  # noqa: PLC0415  cold start: as in `launch`

    parser.add_argument(
        "--ttl",
        dest="ttl_hours",
        type=hours,
        metavar="TIME",
        help="the time until each expires: 8, 8h, 2d or 90m",
    )
    end_arguments(parser)
    add_flag(parser, "--dry-run", help="only check the file; send and launch nothing")


def _collect_arguments(parser: ArgumentParser) -> None:
    _class_argument(parser)
    parser.add_argument("path", metavar="PATH", help="a file, by its path in each home")
    parser.add_argument("folder", metavar="FOLDER", help="where to: a folder for each workspace")
    _name_argument(parser)
    help_text = "the largest file that is fetched (default: 1000)"
    parser.add_argument("--max-mb", type=int, default=1000, metavar="MB", help=help_text)


def _reset_arguments(parser: ArgumentParser) -> None:
    _class_argument(parser)
    parser.add_argument("people", metavar="EMAIL", nargs="*", help="whose workspaces")
    add_flag(parser, "--all", help="those of everybody")
    snapshot_help = "a snapshot of a workspace, also of another one"
    parser.add_argument("--snapshot", required=True, metavar="SNAPSHOT", help=snapshot_help)
    _name_argument(parser)


def _stop_arguments(parser: ArgumentParser) -> None:
    _class_argument(parser)
    help_text = "not now, but at this time: 17:00 (today), or 2027-12-31T18:00"
    parser.add_argument("--at", metavar="TIME", help=help_text)
    _name_argument(parser)


def _status_arguments(parser: ArgumentParser) -> None:
    _class_argument(parser)
    from prism.cli.output.time_format import minutes  # noqa: PLC0415  cold start: as in `launch`

    help_text = "a running workspace that is idle for so long counts as stuck (default: 30m)"
    parser.add_argument("--idle", type=minutes, default=30, metavar="TIME", help=help_text)


def _end_arguments(parser: ArgumentParser) -> None:
    _class_argument(parser)
    add_flag(parser, "--no-snapshots", help="destroy the files too")


VERBS = {
    "add": (_add_arguments, _add),
    "status": (_status_arguments, _overview),
    "collect": (_collect_arguments, _collect),
    "reset": (_reset_arguments, _reset),
    "stop": (_stop_arguments, _stop),
    "end": (_end_arguments, _end),
}
