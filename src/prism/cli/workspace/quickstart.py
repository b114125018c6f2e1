"""`prism quickstart`: launches a JupyterLab, or starts the one that exists."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.installation.gui import gui_address
from prism.cli.installation.sandbox_offer import offer_sandbox
from prism.cli.output.answers import show_notes
from prism.cli.output.progress import wait_with_progress
from prism.cli.output.terminal import say, show_json
from prism.cli.workspace.connect import address, main_service
from prism.client.transport.address import DaemonAddress
from prism.client.transport.connection import connection
from prism.client.transport.wire import Wire
from prism.client.waiting import follow
from prism.client.workspaces import Workspaces
from prism.errors import NotFound, Problem
from prism.lifecycle import COMES_UP, UNDER_WAY

TEMPLATE = "Data Science (pip)"
ABSENT_STATES = {None, "terminated"}
STARTS = {
    "stopped": Workspaces.start,
    "failed": Workspaces.start,
    "hibernated": Workspaces.resume,
}


def _quickstart(args: Namespace) -> None:
    wire, name = daemon(), args.name
    ready_at = _bring_up(wire, name, args.project)
    if not args.no_wait:
        workspace = wait_with_progress(wire, name, "running", ready_at, silent=args.json)
        endpoints = connection(wire, name)
        is_shared = bool(wire.address.token)
        return _show(
            name, endpoints, workspace["template"], as_json=args.json, is_shared=is_shared
        )
    if args.json:
        return show_json(wire.call(Workspaces.get, name))
    return print(f"{name} is on its way; how far: `prism show {name}`")


def _bring_up(wire: Wire, name: str, project: str | None) -> str | None:
    """Launch or start the workspace if necessary; returns when it should be ready, if known."""
    state = _settled_state(wire, name)
    if state == "running" or state in COMES_UP:
        return None
    if state in ABSENT_STATES:
        if not wire.address.url:  # this computer's own daemon
            offer_sandbox()
        say(f"Launching {name} from the template {TEMPLATE}")
        options: dict[str, Any] = {"project": project} if project else {}
        answer = wire.call(Workspaces.launch, TEMPLATE, name, **options)
        show_notes(answer)
    else:
        say(f"{name} is {state}; starting it")
        answer = wire.call(STARTS[state or ""], name)
    ready_at: str | None = answer.get("estimated_ready_time")
    return ready_at


def _settled_state(wire: Wire, name: str) -> str | None:
    """The workspace's state once it is not stopping; `None` if it does not exist."""
    if (workspace := _own(wire, name)) is None:
        return None
    state: str = workspace["state"]
    goals = {"stopping": "stopped", "hibernating": "hibernated", "terminating": "terminated"}
    if state in UNDER_WAY and state in goals:
        for seen in follow(wire, name, goals[state]):
            state = seen["state"]
    return state


def _own(wire: Wire, name: str) -> dict[str, Any] | None:
    """The workspace of that name; on a shared daemon only one's own, unless named in full."""
    try:
        workspace: dict[str, Any] = wire.call(Workspaces.get, name)
    except NotFound:
        return None
    except Problem as problem:
        if problem.code != "AMBIGUOUS_NAME":
            raise
        return None  # several other people have one
    full_name = workspace.get("full_name")
    if full_name in {None, name}:
        return workspace
    own = wire.call(Workspaces.list, owner="me")
    return workspace if any(row.get("full_name") == full_name for row in own) else None


def _show(
    name: str, endpoints: dict[str, Any], template: str, *, as_json: bool, is_shared: bool
) -> None:
    service = main_service(endpoints["services"])
    if service is None:
        raise NotFound(
            f"{name} runs, and none of its services answers now",
            details=f"it was launched from {template}",
            remediation=f"See why: `prism logs {name}`; start it again: `prism restart {name}`"
            if template == TEMPLATE
            else "Choose another name: `prism quickstart NAME`",
        )
    url = address(service, endpoints["services"][service])
    if is_shared:
        return _show_tunnel(name, service, as_json=as_json)
    if as_json:
        return show_json({"name": name, "service": service, "url": url})
    say(
        f"{name} is running. Next:\n"
        f"  prism open {name}       opens it in the browser\n"
        f"  prism hibernate {name}  puts it to sleep, and keeps its memory\n"
        f"  prism resume {name}     wakes it again\n"
        f"  prism terminate {name}  destroys it\n"
        f"The web GUI: {gui_address(DaemonAddress.read())}\n"
        f"The address of its {service}, with its token:"
    )
    return print(url)


def _show_tunnel(name: str, service: str, *, as_json: bool) -> None:
    """Print the way to a service of a shared daemon, whose addresses are on its own computer."""
    if as_json:
        return show_json({"name": name, "service": service, "url": None})
    say(
        f"{name} is running. Next:\n"
        f"  prism hibernate {name}  puts it to sleep, and keeps its memory\n"
        f"  prism terminate {name}  destroys it\n"
        f"Give its {service} an address on your computer, for as long as this runs:"
    )
    return print(f"prism tunnel {name}")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", default="quickstart", help="default: quickstart"
    )
    parser.add_argument(
        "--project", metavar="PROJECT", help="the project that it belongs to, and that pays"
    )


VERBS = {"quickstart": (_arguments, _quickstart)}
