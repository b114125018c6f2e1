"""`prism launch`."""

from __future__ import annotations

from prism.cli.connection import daemon
from prism.cli.money import aligned, usd
from prism.cli.parser import UsageError, given, renamed
from prism.cli.terminal import say, show_fields, show_json, show_table, suggest
from prism.cli.time_format import here, hours
from prism.client.templates import Templates
from prism.client.workspaces import Workspaces
from prism.errors import Problem

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from prism.client.wire import Wire

OPTIONS = (
    *("size", "instance_type", "region", "project", "budget", "ttl_hours", "idle_profile"),
    "disk_gb",
)
FLAGS = ("spot", "open_ports", "unlimited", "restart")
SIZES = ("XS", "S", "M", "L", "XL")
WORDS = {"true": True, "false": False}


def _arguments(made: ArgumentParser) -> None:
    made.add_argument("template", metavar="TEMPLATE", help="the template's name or slug")
    made.add_argument("name", metavar="NAME", help="the name of the workspace")
    made.add_argument("--size", choices=SIZES, help="its size (default: the template's, or M)")
    made.add_argument("--instance-type", metavar="TYPE", help="a machine type, not a --size")
    made.add_argument("--region", help="its region (default: the profile's)")
    made.add_argument("--spot", action="store_true", help="cheaper, but AWS may stop it")
    made.add_argument(
        "--unlimited",
        action="store_true",
        help="in the cloud: let a burstable machine use more CPU than its price covers",
    )
    made.add_argument(
        "--open-ports", action="store_true", help="in the cloud: open its ports to your address"
    )
    made.add_argument("--project", help="the project it belongs to")
    made.add_argument("--budget", help="the pool that pays, if the project has several")
    made.add_argument(
        "--ttl",
        dest="ttl_hours",
        type=hours,
        metavar="TIME",
        help="its time until it sleeps: 8, 8h, 2d or 90m",
    )
    several: dict[str, Any] = {"action": "append", "default": []}
    what = "a parameter's value"
    renamed(made, "--parameter", "--param", **several, metavar="K=V", help=what)
    made.add_argument(
        "--volume", action="append", default=[], metavar="NAME", help="a volume to attach"
    )
    made.add_argument("--idle-profile", metavar="NAME", help="what to do when it is idle")
    made.add_argument("--disk", dest="disk_gb", type=int, metavar="GB", help="its disk in GB")
    made.add_argument("--no-hibernation", action="store_true", help="it can only stop")
    made.add_argument("--restart", action="store_true", help="start it again after a reboot")
    made.add_argument("--dry-run", action="store_true", help="only show the plan and its cost")


def _options(asked: Namespace, wire: Wire) -> dict[str, Any]:
    """What the words say of the workspace; what was not said is left to the daemon."""
    said = given(asked, *OPTIONS)
    said |= {flag: True for flag in FLAGS if getattr(asked, flag)}
    said |= {"volumes": asked.volume} if asked.volume else {}
    said |= {"hibernation": False} if asked.no_hibernation else {}
    said |= {"parameters": _parameters(asked, wire)} if asked.parameter else {}
    return said


def _launch(asked: Namespace) -> None:
    wire = daemon()
    options = _options(asked, wire)
    if asked.dry_run:
        plan = wire.call(Workspaces.plan, asked.template, asked.name, **options)
        return show_json(plan) if asked.json else _plan(plan)
    answer = wire.call(Workspaces.launch, asked.template, asked.name, **options)
    for note in answer.get("notes", ()):
        say(f"note: {note}")
    if asked.no_wait:
        return show_json(answer) if asked.json else print(f"{asked.name} is {answer['state']}")
    return bring_up(wire, answer, as_json=asked.json)


def bring_up(wire: Wire, answer: dict[str, Any], *, as_json: bool) -> None:
    """Wait for what was launched, and say how to get in."""
    from prism.cli.progress import accompany  # noqa: PLC0415  cold start: only for those who wait

    name = answer["name"]
    seen = accompany(wire, name, "running", answer.get("estimated_ready_time"), silent=as_json)
    if as_json:
        show_json(seen)
    else:
        if (lacking := (seen.get("idle") or {}).get("note")) and not answer.get("notes"):
            say(f"note: {lacking}")
        print(f"{name} is running")
        suggest(way_in(wire, name))


def way_in(wire: Wire, name: str) -> str:
    """How to get into a workspace that runs, by what it has: a service, SSH, neither."""
    from prism.client.connection import connection  # noqa: PLC0415  cold start: as above

    try:
        found = connection(wire, name)
    except Problem:
        found = {}
    if found.get("services"):
        return f"Open it: `prism open {name}`; addresses and secrets: `prism connect {name}`"
    if found.get("ssh", {}).get("host"):
        return f"Log in: `prism ssh {name}`; run a program in it: `prism exec {name} COMMAND`"
    return f"See how to connect: `prism connect {name}`"


def _plan(plan: dict[str, Any]) -> None:
    show_fields(
        {
            "type": plan["instance_type"],
            "image": plan["image"],
            "an hour": _dollars(plan["hourly"], 4),
            "a day": _dollars(plan["daily"], 2),
            "a month": _dollars(plan["monthly"], 2),
            "its disk": _dollars(plan.get("disk_monthly"), 2, " a month"),
            "its address": _dollars(plan.get("address_monthly"), 2, " a month"),
            "price from": plan.get("price_source"),
            "budget": plan["budget"],
            "reserves": _dollars(plan.get("reserves"), 2),
            "leaves": _dollars(plan.get("leaves"), 2),
            "runs out on": here(until) if (until := plan.get("lasts_until")) else "",
            "creates": ", ".join(plan["creates"]),
            "notes": "; ".join(plan["notes"]),
        }
    )
    if len(caps := plan.get("caps") or []) > 1:
        print()
        sums = [aligned([cap[name] for cap in caps]) for name in ("reserves", "leaves")]
        rows = zip([cap["cap"] for cap in caps], *sums, strict=True)
        show_table(("LIMIT", "RESERVES", "LEAVES"), list(rows), "LIMIT")
    say("Nothing was created.")


def _dollars(amount: float | None, places: int, per: str = "") -> str | None:
    return None if amount is None else f"{usd(amount, places)}{per}"


def _parameters(asked: Namespace, wire: Wire) -> dict[str, Any]:
    """`--parameter` by name, each of the type that the template gives it."""
    info = wire.call(Templates.info, asked.template)
    known = info["resolved"]["parameters"]
    found: dict[str, Any] = {}
    for said in asked.parameter:
        name, equals, value = said.partition("=")
        if not name or not equals:
            raise UsageError(f"--parameter {said} is not K=V", "Write it like --parameter cores=4")
        found[name] = _typed(value, known.get(name, {}).get("type", "string"))
    return found


def _typed(value: str, kind: str) -> Any:
    """The value as that type; as it was written where it is not one, so the daemon says why."""
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
    except ValueError:
        return value
    return WORDS.get(value.lower(), value) if kind == "boolean" else value


VERBS = {"launch": (_arguments, _launch)}
