"""`prism workspace list`: the command that people type most, so it imports least."""

from __future__ import annotations

import sys

from prism.annotations import Any, ArgumentParser, Namespace, Sequence
from prism.cli.connection import daemon
from prism.cli.output.terminal import (
    GAP,
    cells_of,
    coloured,
    is_terminal,
    say,
    show_json,
    show_table,
)
from prism.cli.parser import add_flag
from prism.cli.workspace.locations import machine_type
from prism.client.names import shortest_names, unique_name
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces, listing
from prism.lifecycle import UNDER_WAY

HEADS = ("NAME", "STATE", "TEMPLATE", "TYPE", "$/HOUR", "SPENT", "EXPIRES")
COLOUR = {"running": "green", "failed": "red", "hibernated": "cyan", "terminated": "dim"}
EXPLAINED = {"stopped", "failed"}
UNREACHABLE = "unreachable"  # no daemon serves it: its state is only the last known one
UNCOLOURED_STATES = {"stopped"}  # not coloured
NONE_SUCH = "No such workspaces. All of them: `prism list`"
NONE = "No workspaces yet. Make one: `prism quickstart`, or see `prism template list`"
NONE_SHARED = (
    "No workspaces that you may see. Make one: `prism quickstart --project PROJECT`; "
    "your projects: `prism project list`"
)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--state", help="only those in this state")
    parser.add_argument("--template", help="only those of this template")
    parser.add_argument("--project", help="only those of this project")
    owner = parser.add_mutually_exclusive_group()
    owner.add_argument("--owner", metavar="WHO", help="only what this person launched")
    owner.add_argument("--mine", action="store_true", help="only what you launched")
    add_flag(parser, "--watch", help="update the list until Ctrl-C")


def _list(args: Namespace) -> None:
    wire = daemon()
    filters = {"state": args.state, "template": args.template, "project": args.project}
    filters["owner"] = "me" if args.mine else args.owner
    nothing = NONE_SHARED if wire.address.token else NONE
    nothing = NONE_SUCH if any(filters.values()) else nothing

    def show(workspaces: list[dict[str, Any]]) -> None:
        if args.json:
            return show_json(workspaces)
        if not workspaces:
            say(nothing)
        elif is_terminal(sys.stdout):
            print("\n".join(_lines(workspaces)))
        else:
            show_table(*_table(workspaces))
        _explain_failures(workspaces)
        return _explain_waiting(wire, workspaces)

    if not args.watch:
        return show(wire.call(Workspaces.list, **filters))
    from prism.cli.output.live_table import watch  # noqa: PLC0415  cold start: most look once

    return watch(wire, listing(**filters), show, lambda rows: _lines(rows) if rows else [nothing])


def _explain_failures(workspaces: list[dict[str, Any]]) -> None:
    """Print why workspaces failed, or stopped by themselves."""
    for workspace in workspaces:
        if why := workspace.get("unreachable"):
            say(f"{workspace['name']} is {UNREACHABLE}: {why}")
        elif workspace["state"] in EXPLAINED and (failure := workspace.get("failure")):
            say(f"{workspace['name']} is {workspace['state']}: {failure['message']}")


def _explain_waiting(wire: Wire, workspaces: list[dict[str, Any]]) -> None:
    """Print which workspaces wait for a location that does not answer, and whose state is old."""
    if not any(row["state"] in UNDER_WAY or row.get("waiting") for row in workspaces):
        return
    from prism.cli.workspace.standstill import reasons, waiting_reason  # noqa: PLC0415  cold start: only for what is under way

    states = {unique_name(workspace): workspace["state"] for workspace in workspaces}
    for name, why in reasons(wire, workspaces).items():
        verb = "waits" if states[name] in UNDER_WAY else f"is {states[name]}"
        say(f"{name} {verb}: {waiting_reason(why)}")


def _table(
    workspaces: list[dict[str, Any]],
) -> tuple[Sequence[str], list[tuple[object, ...]]]:
    """The heads and the rows; who the owner is only matters if there are several."""
    several = len({workspace.get("owner") for workspace in workspaces}) > 1
    rows = [
        (
            name,
            _state(workspace),
            workspace["template"],
            machine_type(workspace),
            _money(None if workspace.get("unreachable") else workspace["hourly_rate"], 4),
            _money(workspace["current_spend"], 2),
            _expiry(workspace),
            *([workspace.get("owner")] if several else []),
        )
        for name, workspace in zip(shortest_names(workspaces), workspaces, strict=True)
    ]
    return (*HEADS, "OWNER") if several else HEADS, rows


def _lines(workspaces: list[dict[str, Any]]) -> list[str]:
    """The table in colours, as wide as the terminal."""
    cells, widths = cells_of(*_table(workspaces), "TEMPLATE")
    lines = []
    for line, workspace in zip(cells, [None, *workspaces], strict=True):
        padded = [cell.ljust(wide) for cell, wide in zip(line, widths, strict=True)]
        if workspace is None:
            padded = [coloured(cell, "dim", sys.stdout) for cell in padded]
        elif workspace["state"] not in UNCOLOURED_STATES:
            padded[1] = coloured(padded[1], COLOUR.get(workspace["state"], "yellow"), sys.stdout)
        lines.append(GAP.join(padded).rstrip())
    return lines


def _state(workspace: dict[str, Any]) -> str:
    if workspace.get("unreachable"):
        return UNREACHABLE
    state: str = workspace["state"]
    progress = workspace.get("progress")
    return f"{state} {progress}%" if state in {"launching", "starting"} and progress else state


def _money(amount: float | None, places: int) -> str | None:
    return None if amount is None else f"{amount:.{places}f}"


def _expiry(workspace: dict[str, Any]) -> str | None:
    at = workspace.get("expires_at")
    if at is None or workspace["state"] == "terminated":
        return None
    from prism.cli.output.time_format import until  # noqa: PLC0415  cold start: datetime costs 2 ms, most never expire

    return until(at)


VERBS = {"list": (_arguments, _list)}
