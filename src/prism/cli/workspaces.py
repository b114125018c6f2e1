"""`prism workspace …`: looking at one, and the verbs that change it."""

from __future__ import annotations

from prism.cli.bulk_verbs import asked_first, chosen, each, several
from prism.cli.connection import daemon
from prism.cli.locations import is_local
from prism.cli.parser import UsageError, given, named
from prism.cli.terminal import confirm, say, show_fields, show_json
from prism.cli.time_format import here, hours, until
from prism.client.waiting import GOALS, WorkspaceFailed, stage_of
from prism.client.workspaces import Workspaces
from prism.lifecycle import UNDER_WAY
from prism.lifecycle import VERBS as LIFECYCLE

MEMORY_LOST = "MEMORY_LOST"  # of a machine that runs, without what was in its memory
GONE = {"MACHINE_VANISHED"}  # of a machine that nothing brings back
TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any


def _show(asked: Namespace, workspace: Any) -> None:
    asleep = _asleep(asked.name) if workspace["state"] == "hibernated" else {}
    return show_fields(_failure(workspace) | _waits(workspace) | _fields(workspace) | asleep)


def _waits(workspace: dict[str, Any]) -> dict[str, object]:
    """Why it does not move, where its place does not answer."""
    if workspace["state"] not in UNDER_WAY:
        return {}
    from prism.cli.standstill import reasons  # noqa: PLC0415  cold start: only for what is under way

    return (
        {"waiting": why} if (why := reasons(daemon(), [workspace]).get(workspace["name"])) else {}
    )


def _change(asked: Namespace) -> None:
    wire = daemon()
    names = chosen(asked, wire)
    change = getattr(Workspaces, asked.verb)
    how = {"template_again": True} if getattr(asked, "template_again", False) else {}
    asks = asked_first(names, lambda name: wire.call(change, name, **how))

    def changed(name: str) -> dict[str, Any]:
        answer = asks(name)
        if asked.no_wait:
            states = f"was {answer['previous_state']} and is {answer['new_state']}"
            return _said(asked, answer, f"{answer['name']} {states}")
        from prism.cli.progress import accompany  # noqa: PLC0415  cold start: only for those who wait

        ready_at = answer.get("estimated_ready_time")
        workspace = accompany(wire, name, GOALS[asked.verb], ready_at, silent=asked.json)
        if asked.verb == "restart":
            _restarted(workspace)
        if (lost := workspace.get("failure")) and not asked.json:
            say(f"note: {lost['message']}")
        if asked.verb == "hibernate" and is_local(workspace) and not asked.json:
            say(
                "note: its memory stays in this computer's RAM; a restart of the computer loses it"
            )
        already = answer["previous_state"] == answer["new_state"] == workspace["state"]
        is_so = "was already" if already else "is"
        return _said(asked, workspace, f"{workspace['name']} {is_so} {workspace['state']}")

    each(asked, names, changed)


def _restarted(seen: dict[str, Any]) -> None:
    """Raise where it runs because it could not be stopped."""
    failure = seen.get("failure")
    if failure and failure["code"] != MEMORY_LOST:
        raise WorkspaceFailed(
            f"{seen['name']} was not restarted: {failure['message']}",
            details=failure["code"],
            remediation=f"It runs as before; look at it: `prism show {seen['name']}`",
        )


def _said(asked: Namespace, answer: dict[str, Any], line: str) -> dict[str, Any]:
    """The answer; people are told it in a line."""
    if not asked.json:
        print(line, flush=True)
    return answer


def _extend(asked: Namespace) -> None:
    if asked.never and asked.hours is not None:
        raise UsageError("give either a number of hours or --never", "See `prism extend --help`")
    if asked.hours is not None and asked.hours <= 0:
        raise UsageError(
            f"{asked.hours} is no longer time: nothing was changed",
            f"Give more than 0, as in `prism extend {asked.name} 4h`, or `--never` for no expiry",
        )
    wire = daemon()
    before = wire.call(Workspaces.get, asked.name)["expires_at"]
    said = asked.never or asked.hours is not None
    wire.call(Workspaces.extend, asked.name, *([asked.hours] if said else []))
    answer = wire.call(Workspaces.get, asked.name)
    if asked.json:
        return show_json(answer)
    at = answer["expires_at"]
    if at is None:
        return print(f"{answer['name']} does not expire{' any more' if before else ''}")
    first = "had no expiry, and now " if before is None else ""
    return print(f"{answer['name']} {first}expires {here(at)}, in {until(at)}")


def _resize(asked: Namespace) -> None:
    size = given(asked, "instance_type", "size")
    workspace = daemon().call(Workspaces.resize, asked.name, **size)
    if asked.json:
        return show_json(workspace)
    for note in workspace["notes"]:
        say(f"note: {note}")
    rate = workspace["hourly_rate"]
    cost = "" if rate is None else f", ${rate:.4f} an hour while it runs"
    return print(f"{workspace['name']} is to be a {workspace['instance_type']}{cost}")


def _update(asked: Namespace) -> None:
    workspace = daemon().call(Workspaces.update, asked.name, restart=asked.restart)
    if asked.json:
        return show_json(workspace)
    does = "is" if workspace["restart"] else "is not"
    return print(f"{workspace['name']} {does} started again after its computer was restarted")


def _move(asked: Namespace) -> None:
    workspace = daemon().call(Workspaces.move, asked.name, asked.project, budget=asked.budget)
    if asked.json:
        return show_json(workspace)
    of = f", from {workspace['budget']}" if workspace["budget"] else ""
    return print(f"{workspace['name']} is paid by {workspace['project']}{of} from now on")


def _terminate(asked: Namespace) -> None:
    if not asked.yes:
        for name in asked.names:
            confirm(f"{name} and all its data", name, f"prism terminate {name} --yes")
    wire = daemon()
    names = chosen(asked, wire)
    backup: bool = asked.backup
    asks = asked_first(names, lambda name: wire.call(Workspaces.terminate, name, backup=backup))

    def gone(name: str) -> dict[str, Any]:
        answer = asks(name)
        if not asked.no_wait:
            from prism.cli.progress import accompany  # noqa: PLC0415  cold start: only for those who wait

            answer = accompany(wire, name, GOALS["terminate"], silent=asked.json)
        return _said(asked, answer, f"{answer['name']} is {answer['state']}")

    each(asked, names, gone)


def _failure(workspace: dict[str, Any]) -> dict[str, object]:
    """Why it is not what was wanted, and what to do; the first that people have to know."""
    if not (failure := workspace.get("failure")):
        return {}
    name = workspace["name"]
    gone = failure["code"] in GONE
    again = f"`prism terminate {name} --yes`" if gone else f"`prism start {name}`"
    if not gone and workspace["launch_progress"] < 100:  # it was never ready
        again += f", after a correction of its template `prism start {name} --template-again`"
    remedies = {"failed": f"{again}; see why: `prism logs {name}`", "stopped": again}
    said: dict[str, object] = {"failure": failure["message"]}
    return said | (
        {"what to do": remedies[workspace["state"]]} if workspace["state"] in remedies else {}
    )


def _fields(workspace: dict[str, Any]) -> dict[str, object]:
    """What people want to know about one workspace."""
    expires = workspace.get("expires_at")
    stage, percent = stage_of(workspace)
    idle = workspace.get("idle") or {}
    rate, spent = workspace["hourly_rate"], workspace["current_spend"]
    source = (
        f" ({workspace['price_source']})"
        if rate is not None and workspace.get("price_source")
        else ""
    )
    return {
        "name": workspace["name"],
        "id": workspace["id"],
        "state": workspace["state"]
        if stage is None
        else f"{workspace['state']} ({stage}, {percent}%)",
        "template": workspace["template"],
        "type": workspace["instance_type"],
        "region": workspace["region"],
        "owner": workspace.get("owner"),
        "profile": workspace.get("profile"),
        "launched": here(workspace["launch_time"]),
        "expires": f"{here(expires)}, in {until(expires)}" if expires else None,
        "an hour": None if rate is None else f"${rate:.4f}{source}",
        "spent": None if spent is None else f"${spent:.2f}",
        "hibernates": "yes" if workspace["hibernation_capable"] else "no",
        "restarts": "after a reboot" if workspace.get("restart") else None,
        "idle": _idle(idle),
        "note": idle.get("note"),
        "address": workspace["public_ip"] or workspace["private_ip"],
        "volumes": ", ".join((*workspace["attached_volumes"], *workspace["attached_ebs_volumes"])),
        "tags": ", ".join(f"{label}={value}" for label, value in workspace["tags"].items()),
    }


def _idle(idle: dict[str, Any]) -> str | None:
    """The verdict; with the reason where nobody knows, since it stays awake for that."""
    verdict: str | None = idle.get("verdict")
    if verdict == "unknown":
        return f"unknown: {'; '.join(idle['because'])}"
    return verdict or idle.get("profile")


def _asleep(name: str) -> dict[str, object]:
    """Since when it sleeps, and how long it may."""
    hibernation = daemon().call(Workspaces.hibernation_status, name)
    since = hibernation["hibernation_time"]
    return {
        "asleep": f"since {here(since)}, {hibernation['hibernation_duration']}" if since else None,
        "note": hibernation.get("note"),
    }


def _more_time(made: ArgumentParser) -> None:
    named(made)
    said = "how much longer: 8, 8h, 2d or 90m; default: 4h"
    made.add_argument("hours", metavar="TIME", nargs="?", type=hours, help=said)
    made.add_argument("--never", action="store_true", help="remove the expiry")


def _another_type(made: ArgumentParser) -> None:
    named(made)
    made.add_argument("--size", metavar="SIZE", help="XS, S, M, L or XL")
    made.add_argument("--instance-type", metavar="TYPE", help="a machine type, such as t3.large")


def _what_it_does(made: ArgumentParser) -> None:
    named(made)
    group = made.add_mutually_exclusive_group(required=True)
    group.add_argument("--restart", action="store_true", help="start it again after a reboot")
    group.add_argument(
        "--no-restart", action="store_false", dest="restart", help="leave it stopped"
    )


def _other_money(made: ArgumentParser) -> None:
    named(made)
    made.add_argument("--project", metavar="PROJECT", required=True, help="the project that pays")
    made.add_argument("--budget", metavar="BUDGET", help="which of its pools pays, if several")


def _start(made: ArgumentParser) -> None:
    several(made)
    made.add_argument(
        "--template-again",
        action="store_true",
        help="use the corrected template, if it was never ready",
    )


def _sure(made: ArgumentParser) -> None:
    several(made)
    made.add_argument("--backup", action="store_true", help="take a snapshot of its disk first")


VERBS = {
    "show": (named, lambda asked: daemon().call(Workspaces.get, asked.name), _show),
    **dict.fromkeys(LIFECYCLE, (several, _change)),
    "start": (_start, _change),
    "terminate": (_sure, _terminate),
    "extend": (_more_time, _extend),
    "resize": (_another_type, _resize),
    "update": (_what_it_does, _update),
    "move": (_other_money, _move),
}
