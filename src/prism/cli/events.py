"""`prism events`: shows events as they happen."""

from __future__ import annotations

import json

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.clean_output import escaped
from prism.cli.output.money import in_dollars
from prism.cli.output.terminal import clean, show_json
from prism.cli.output.time_format import local_time
from prism.cli.parser import UsageError
from prism.client.transport.stream import events
from prism.client.workspaces import Workspaces


def _events(args: Namespace) -> None:
    if args.last is not None:
        return _last(args)
    for event in events(daemon(), args.since):
        if args.name and event.get("subject") != args.name:
            continue
        line = escaped(json.dumps(event, ensure_ascii=False)) if args.json else _line(event)
        print(line, flush=True)
    return None


def _last(args: Namespace) -> None:
    """Past events, the oldest first."""
    if args.name is None:
        raise UsageError("--last needs the name of a workspace", "Of everything: `prism audit`")
    past_events = daemon().call(Workspaces.events, args.name, args.last)[::-1]
    if args.json:
        return show_json(past_events)
    return print("\n".join(_line(event) for event in past_events))


def _line(event: dict[str, Any]) -> str:
    data = event.get("data") or {}
    data = {
        name: in_dollars(value) if isinstance(value, dict) else value
        for name, value in data.items()
    }
    details = " ".join(
        f"{name}={value}" for name, value in in_dollars(data).items() if value is not None
    )
    at = local_time(event["at"]) if event.get("at") else "-"
    words = (at, event.get("id"), event["event"], event.get("subject"), details)
    return "  ".join(clean(word) for word in words if word not in {None, ""})


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only those about this workspace")
    parser.add_argument(
        "--last", type=int, metavar="N", help="show the last N of the workspace and exit"
    )
    parser.add_argument(
        "--since", metavar="ID", help="start after this event; 0 shows all stored events"
    )


VERBS = {"events": (_arguments, _events)}
