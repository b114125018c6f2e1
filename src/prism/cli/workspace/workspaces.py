"""`prism workspace …`: shows a workspace, and changes it."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_notes
from prism.cli.output.terminal import confirm, say, show_fields, show_json, suggest
from prism.cli.output.time_format import hours, local_time, to_utc, until
from prism.cli.parser import UsageError, add_flag, workspace_argument
from prism.cli.workspace.bulk_verbs import (
    run_for_each,
    selected_names,
    send_all_first,
    workspaces_arguments,
)
from prism.cli.workspace.locations import is_local, machine_words
from prism.client.names import unique_name
from prism.client.waiting import GOALS, WorkspaceFailed, is_old, stage_of
from prism.client.workspaces import Workspaces
from prism.errors import Problem
from prism.lifecycle import UNDER_WAY
from prism.lifecycle import VERBS as LIFECYCLE

MEMORY_LOST = "MEMORY_LOST"  # the workspace runs, but lost its memory
GONE_CODES = {"MACHINE_VANISHED"}  # failures after which the machine cannot start again


def _show(args: Namespace, workspace: Any) -> None:
    asleep = _asleep(workspace) if workspace["state"] == "hibernated" else {}
    return show_fields(
        _unreachable(workspace)
        | _failure(workspace)
        | _waiting_field(workspace)
        | _fields(workspace)
        | asleep
    )


def _unreachable(workspace: dict[str, Any]) -> dict[str, object]:
    """Why no daemon serves the workspace, so that its state is only the last known one."""
    why = workspace.get("unreachable")
    return {"unreachable": why} if why else {}


def _waiting_field(workspace: dict[str, Any]) -> dict[str, object]:
    """Why the workspace makes no progress, if its location does not answer, or is as before."""
    if workspace["state"] not in UNDER_WAY and not workspace.get("waiting"):
        return {}
    from prism.cli.workspace.standstill import reasons  # noqa: PLC0415  cold start: only for what is under way

    why = reasons(daemon(), [workspace]).get(unique_name(workspace))
    return {"waiting": why} if why else {}


def _change(args: Namespace) -> None:
    wire = daemon()
    names = selected_names(args, wire)
    change = getattr(Workspaces, args.verb)
    options = {"template_again": True} if getattr(args, "template_again", False) else {}
    asks = send_all_first(names, lambda name: wire.call(change, name, **options))

    def changed(name: str) -> dict[str, Any]:
        answer = asks(name)
        if args.no_wait:
            states = f"was {answer['previous_state']} and is {answer['new_state']}"
            return _print_change(args, answer, f"{answer['name']} {states}")
        from prism.cli.output.progress import wait_with_progress  # noqa: PLC0415  cold start: only for those who wait

        ready_at = answer.get("estimated_ready_time")
        same = answer["previous_state"] == answer["new_state"] == GOALS[args.verb]
        already = same and not is_old(wire.call(Workspaces.get, name))
        workspace = wait_with_progress(wire, name, GOALS[args.verb], ready_at, silent=args.json)
        if args.verb == "restart":
            _require_restarted(workspace)
        if (failure := workspace.get("failure")) and not args.json:
            say(f"note: {failure['message']}")
        if args.verb == "hibernate" and is_local(workspace) and not args.json:
            say(
                "note: its memory stays in this computer's RAM; a restart of the computer loses it"
            )
        is_so = "was already" if already else "is"
        return _print_change(args, workspace, f"{workspace['name']} {is_so} {workspace['state']}")

    run_for_each(args, names, changed)


def _require_restarted(seen: dict[str, Any]) -> None:
    """Raise if a restarted workspace still runs because it could not be stopped."""
    failure = seen.get("failure")
    if failure and failure["code"] != MEMORY_LOST:
        raise WorkspaceFailed(
            f"{seen['name']} was not restarted: {failure['message']}",
            details=failure["code"],
            remediation=f"It runs as before; look at it: `prism show {seen['name']}`",
        )


def _print_change(args: Namespace, answer: dict[str, Any], line: str) -> dict[str, Any]:
    """Print the line, unless JSON is wanted, and return the answer."""
    if not args.json:
        print(line, flush=True)
    return answer


def _extend(args: Namespace) -> None:
    time_given = [args.hours is not None, args.never, args.until is not None]
    if sum(time_given) > 1:
        raise UsageError(
            "give one of: a number of hours, --until, --never", "See `prism extend --help`"
        )
    if args.hours is not None and args.hours <= 0:
        raise UsageError(
            f"{args.hours} is no longer time: nothing was changed",
            f"Give more than 0, as in `prism extend {args.name} 4h`, or `--never` for no expiry",
        )
    new_expiry, wire = _new_expiry(args), daemon()
    before = wire.call(Workspaces.get, args.name)["expires_at"]
    wire.call(Workspaces.extend, args.name, **new_expiry)
    answer = wire.call(Workspaces.get, args.name)
    if args.json:
        return show_json(answer)
    at = answer["expires_at"]
    if at is None:
        return print(f"{answer['name']} does not expire{' any more' if before else ''}")
    first = "had no expiry, and now " if before is None else ""
    return print(f"{answer['name']} {first}expires {local_time(at)}, in {until(at)}")


def _resized(args: Namespace, workspace: Any) -> None:
    show_notes(workspace)
    rate = workspace["hourly_rate"]
    cost = "" if rate is None else f", ${rate:.4f} an hour while it runs"
    limits = "get the limits of" if is_local(workspace) else "be"
    print(f"{workspace['name']} is to {limits} a {workspace['instance_type']}{cost}")


def _updated(args: Namespace, workspace: Any) -> None:
    does = "is" if workspace["restart"] else "is not"
    print(f"{workspace['name']} {does} started again after its computer was restarted")


def _moved(args: Namespace, workspace: Any) -> None:
    of = f", from {workspace['budget']}" if workspace["budget"] else ""
    print(f"{workspace['name']} is paid by {workspace['project']}{of} from now on")


def _rollback(args: Namespace) -> None:
    wire = daemon()
    options = {"of_another": True} if args.of_another else {}
    answer = wire.call(Workspaces.rollback, args.name, args.snapshot, **options)
    name = args.name  # the answer's may be that of several people's workspaces
    if not args.json:
        say(f"The present files are kept in the snapshot {answer['backup']}")
    if args.no_wait:
        line = f"{name} is being rolled back; how far: `prism show {name}`"
        return show_json(answer) if args.json else print(line)
    from prism.cli.output.progress import wait_for_rollback  # noqa: PLC0415  cold start: only for those who wait

    workspace = wait_for_rollback(wire, name, answer["previous_state"], silent=args.json)
    if args.json:
        return show_json(workspace)
    back = f"prism rollback {name} {answer['backup']}"
    print(f"{name} has the files of {answer['snapshot']}, and is {workspace['state']}")
    return suggest(f"The way back: `{back}`")


def _terminate(args: Namespace) -> None:
    import shlex  # noqa: PLC0415  cold start: only for this verb

    backup_option = ["--backup"] if args.backup else []
    command = shlex.join(["prism", "terminate", *args.names, *backup_option, "--yes"])
    for name in args.names:
        confirm(args, f"{name} and all its data", name, command)
    wire = daemon()
    names = selected_names(args, wire)
    backup: bool = args.backup
    asks = send_all_first(names, lambda name: wire.call(Workspaces.terminate, name, backup=backup))

    def gone(name: str) -> dict[str, Any]:
        answer = asks(name)
        if not args.no_wait:
            from prism.cli.output.progress import wait_with_progress  # noqa: PLC0415  cold start: only for those who wait

            answer = wait_with_progress(wire, name, GOALS["terminate"], silent=args.json)
        return _print_change(args, answer, f"{answer['name']} is {answer['state']}")

    run_for_each(args, names, gone)


def _failure(workspace: dict[str, Any]) -> dict[str, object]:
    """The first fields: why the workspace does not have the requested state, and what to do."""
    if not (failure := workspace.get("failure")):
        return {}
    name = workspace["name"]
    gone = failure["code"] in GONE_CODES
    command = f"`prism terminate {name} --yes`" if gone else f"`prism start {name}`"
    if not gone and workspace["launch_progress"] < 100:  # it was never ready
        command += f", after a correction of its template `prism start {name} --template-again`"
    remedies = {"failed": f"{command}; see why: `prism logs {name}`", "stopped": command}
    fields: dict[str, object] = {"failure": failure["message"]}
    return fields | (
        {"what to do": remedies[workspace["state"]]} if workspace["state"] in remedies else {}
    )


def _fields(workspace: dict[str, Any]) -> dict[str, object]:
    """The fields of one workspace."""
    expires = workspace.get("expires_at")
    stage, percent = stage_of(workspace)
    progress = "" if stage is None else f" ({stage}, {percent}%)"
    idle = workspace.get("idle") or {}
    rate, spent = workspace["hourly_rate"], workspace["current_spend"]
    source = f" ({workspace['price_source']})" if workspace.get("price_source") else ""
    return {
        "name": workspace["name"],
        "id": workspace["id"],
        "state": f"{workspace['state']}{progress}",
        "template": workspace["template"],
        "type": machine_words(workspace),
        "region": workspace["region"],
        "owner": workspace.get("owner"),
        "launched by": _launcher(workspace),
        "visitors": _visitors(workspace),
        "profile": workspace.get("profile"),
        "launched": local_time(workspace["launch_time"]),
        "expires": f"{local_time(expires)}, in {until(expires)}" if expires else None,
        "an hour": None if rate is None else f"${rate:.4f}{source}",
        "spent": None if spent is None else f"${spent:.2f}",
        "hibernates": "yes" if workspace["hibernation_capable"] else "no",
        "rollback": "under way" if workspace.get("rolling_back") else None,
        "restarts": "after a reboot" if workspace.get("restart") else None,
        "idle": _idle(idle),
        "note": _joined_notes(workspace, idle.get("note")),
        "address": workspace["public_ip"] or workspace["private_ip"],
        "volumes": ", ".join((*workspace["attached_volumes"], *workspace["attached_ebs_volumes"])),
        "tags": ", ".join(f"{label}={value}" for label, value in workspace["tags"].items()),
    }


def _visitors(workspace: dict[str, Any]) -> str | None:
    """Who else is in it now, else who was the last; only its owner and admins may know."""
    if not workspace.get("full_name"):  # nobody shares this daemon
        return None
    try:
        answer = daemon().call(Workspaces.visits, unique_name(workspace))
    except Problem:
        return None
    lasting = [visit for visit in answer["visits"] if visit["ended_at"] is None]
    if lasting:
        return ", ".join(
            f"{visit['person']} since {local_time(visit['began_at'])} ({visit['way']})"
            for visit in lasting
        )
    if not answer["visits"]:
        return None
    [last, *_] = answer["visits"]
    ended = local_time(last["ended_at"])
    return f"nobody now; last {last['person']} until {ended} ({last['way']})"


def _launcher(workspace: dict[str, Any]) -> str | None:
    """Who launched it, if that is not its owner."""
    launcher: str | None = workspace.get("launched_by")
    return None if launcher == workspace.get("owner") else launcher


def _idle(idle: dict[str, Any]) -> str | None:
    """The verdict; if it is unknown, with the reason why the workspace stays awake."""
    verdict: str | None = idle.get("verdict")
    if verdict == "unknown":
        return f"unknown: {'; '.join(idle['because'])}"
    return verdict or idle.get("profile")


def _joined_notes(workspace: dict[str, Any], other: str | None) -> str | None:
    """What its machine lacks, and another note; None if there is neither."""
    return "; ".join((*workspace.get("notes", ()), *([other] if other else []))) or None


def _asleep(workspace: dict[str, Any]) -> dict[str, object]:
    """The fields of a hibernated workspace: since when, and how long it can stay so."""
    hibernation = daemon().call(Workspaces.hibernation_status, unique_name(workspace))
    since = hibernation["hibernation_time"]
    asleep = f"since {local_time(since)}, {hibernation['hibernation_duration']}" if since else None
    return {"asleep": asleep, "note": _joined_notes(workspace, hibernation.get("note"))}


def _new_expiry(args: Namespace) -> dict[str, Any]:
    """The arguments of the client's `extend`; a day without a time means its end."""
    if args.until is not None:
        return {"expires_at": to_utc(args.until, None, whole_day=True)}
    return {"hours": args.hours} if args.never or args.hours is not None else {}


def _extend_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    help_text = "how much longer: 8, 8h, 2d or 90m; default: 4h"
    parser.add_argument("hours", metavar="TIME", nargs="?", type=hours, help=help_text)
    until_help = "when it expires: a day, or a time such as 2027-12-31T18:00, also an earlier one"
    parser.add_argument("--until", metavar="DATE", help=until_help)
    add_flag(parser, "--never", help="remove the expiry")


def _resize_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("--size", metavar="SIZE", help="XS, S, M, L or XL")
    parser.add_argument("--instance-type", metavar="TYPE", help="a machine type, such as t3.large")


def _update_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--restart", action="store_true", help="start it again after a reboot")
    group.add_argument(
        "--no-restart", action="store_false", dest="restart", help="leave it stopped"
    )


def _move_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument(
        "--project", metavar="PROJECT", required=True, help="the project that pays"
    )
    parser.add_argument("--budget", metavar="BUDGET", help="the pool that pays, if several do")


def _rollback_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="a snapshot of its disk")
    add_flag(parser, "--of-another", help="the snapshot may be of another workspace")


def _start_arguments(parser: ArgumentParser) -> None:
    workspaces_arguments(parser)
    add_flag(parser, "--template-again", help="if it was never ready: use the corrected template")


def _terminate_arguments(parser: ArgumentParser) -> None:
    workspaces_arguments(parser)
    add_flag(parser, "--backup", help="take a snapshot of its disk first")


VERBS = {
    "show": (workspace_argument, asking(Workspaces.get, "name"), _show),
    **dict.fromkeys(LIFECYCLE, (workspaces_arguments, _change)),
    "start": (_start_arguments, _change),
    "terminate": (_terminate_arguments, _terminate),
    "extend": (_extend_arguments, _extend),
    "resize": (
        _resize_arguments,
        asking(Workspaces.resize, "name", "instance_type", "size"),
        _resized,
    ),
    "update": (_update_arguments, asking(Workspaces.update, "name", "restart"), _updated),
    "rollback": (_rollback_arguments, _rollback),
    "move": (_move_arguments, asking(Workspaces.move, "name", "project", "budget"), _moved),
}
