"""`prism launch`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.answers import show_notes
from prism.cli.output.money import aligned, usd
from prism.cli.output.terminal import say, show_columns, show_fields, show_json, suggest
from prism.cli.output.time_format import hours, local_time
from prism.cli.parser import UsageError, add_flag, add_renamed, given
from prism.cli.workspace.locations import machine_words
from prism.client.names import unique_name
from prism.client.templates import Templates
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Problem

LAUNCH_OPTIONS = (
    *("size", "instance_type", "profile", "region", "project", "budget", "ttl_hours"),
    *("idle_profile", "disk_gb", "from_snapshot", "max_hourly_rate", "owner"),
)
FLAGS = ("spot", "open_ports", "unlimited", "restart")
SIZES = ("XS", "S", "M", "L", "XL")
MOST_AT_ONCE = 100  # workspaces of one command
BOOLEANS = {"true": True, "false": False}


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("template", metavar="TEMPLATE", help="the template's name or slug")
    parser.add_argument("name", metavar="NAME", help="the name of the workspace")
    parser.add_argument("--size", choices=SIZES, help="the size (default: the template's, or M)")
    parser.add_argument("--instance-type", metavar="TYPE", help="a type, in place of --size")
    parser.add_argument("--profile", metavar="NAME", help="its profile (default: the one in use)")
    parser.add_argument("--region", help="its region (default: the profile's)")
    add_flag(parser, "--spot", help="cheaper, but AWS may stop it")
    unlimited_help = "in the cloud: let a burstable machine use more CPU than its price covers"
    add_flag(parser, "--unlimited", help=unlimited_help)
    add_flag(parser, "--open-ports", help="on AWS: open the ports to your address")
    parser.add_argument("--project", help="the project that pays")
    parser.add_argument("--budget", help="the pool that pays, if the project has several")
    parser.add_argument(
        "--ttl",
        dest="ttl_hours",
        type=hours,
        metavar="TIME",
        help="the time until it expires: 8, 8h, 2d or 90m",
    )
    several: dict[str, Any] = {"action": "append", "default": []}
    help_text = "a parameter of the template; repeat it for several"
    add_renamed(parser, "--parameter", "--param", **several, metavar="K=V", help=help_text)
    parser.add_argument(
        "--volume", action="append", default=[], metavar="NAME", help="a volume to attach"
    )
    parser.add_argument("--idle-profile", metavar="NAME", help="its idle profile")
    parser.add_argument("--disk", dest="disk_gb", type=int, metavar="GB", help="root disk in GB")
    snapshot_help = "begin with the files of this snapshot of a workspace"
    parser.add_argument("--from-snapshot", metavar="SNAPSHOT", help=snapshot_help)
    price_help = "launch nothing if an hour costs more than this, or its price is not known"
    parser.add_argument("--max-hourly-rate", type=float, metavar="USD", help=price_help)
    owner_help = "whose it is: somebody who belongs or is invited to the project, of its admins"
    parser.add_argument("--owner", metavar="EMAIL", help=owner_help)
    count_help = "so many workspaces: NAME-1, NAME-2 …; those that exist are left alone"
    parser.add_argument("--count", type=int, default=1, metavar="N", help=count_help)
    add_flag(parser, "--no-hibernation", help="stop, never hibernate")
    add_flag(parser, "--restart", help="start it again after a reboot")
    add_flag(parser, "--dry-run", help="only show the plan and its cost")


def _options(args: Namespace, wire: Wire) -> dict[str, Any]:
    """The options that were given; the daemon has defaults for the others."""
    options = given(args, *LAUNCH_OPTIONS)
    options |= {flag: True for flag in FLAGS if getattr(args, flag)}
    options |= {"volumes": args.volume} if args.volume else {}
    options |= {"hibernation": False} if args.no_hibernation else {}
    options |= {"parameters": _parameters(args, wire)} if args.parameter else {}
    return options


def _launch(args: Namespace) -> None:
    wire = daemon()
    options = _options(args, wire)
    if not 1 <= args.count <= MOST_AT_ONCE:
        raise UsageError(f"--count is 1 to {MOST_AT_ONCE}", "As in --count 5")
    if args.dry_run:
        name = args.name if args.count == 1 else f"{args.name}-1"
        plan = wire.call(Workspaces.plan, args.template, name, **options)
        return show_json(plan) if args.json else _plan(plan, args.count)
    if args.count != 1:
        return _launch_several(args, wire, options)
    answer = wire.call(Workspaces.launch, args.template, args.name, **options)
    show_notes(answer)
    if args.no_wait:
        return show_json(answer) if args.json else print(f"{args.name} is {answer['state']}")
    if args.owner:  # the name alone may mean another workspace, for whoever launches it
        full_name = unique_name(wire.call(Workspaces.get, answer["workspace"]))
        answer = {**answer, "name": full_name}
    return wait_and_report(wire, answer, as_json=args.json)


def _launch_several(args: Namespace, wire: Wire, options: dict[str, Any]) -> None:
    """Launch so many workspaces, and do not wait for them; repeated, it launches the rest."""
    answers = []
    for number in range(1, args.count + 1):
        name = f"{args.name}-{number}"
        try:
            answer = wire.call(Workspaces.launch, args.template, name, **options)
        except Problem as problem:
            if problem.code != "NAME_TAKEN":
                raise
            answer = {"name": name, "state": "already there"}
        answers.append(answer)
        if not args.json:
            show_notes(answer)
            print(f"{name} is {answer['state']}")
    if args.json:
        show_json(answers)


def wait_and_report(wire: Wire, answer: dict[str, Any], *, as_json: bool) -> None:
    """Wait until the workspace runs, and print how to connect."""
    from prism.cli.output.progress import wait_with_progress  # noqa: PLC0415  cold start: only for those who wait

    name = answer["name"]
    seen = wait_with_progress(
        wire, name, "running", answer.get("estimated_ready_time"), silent=as_json
    )
    if as_json:
        show_json(seen)
    else:
        if (lacking := (seen.get("idle") or {}).get("note")) and not answer.get("notes"):
            say(f"note: {lacking}")
        print(f"{name} is running")
        suggest(connect_hint(wire, name))


def connect_hint(wire: Wire, name: str) -> str:
    """The command that connects to a workspace: to a service, or by SSH."""
    from prism.client.transport.connection import connection  # noqa: PLC0415  cold start: as above

    try:
        endpoints = connection(wire, name)
    except Problem:
        endpoints = {}
    if endpoints.get("services"):
        return f"Open it: `prism open {name}`; addresses and secrets: `prism connect {name}`"
    if endpoints.get("ssh", {}).get("host"):
        return f"Log in: `prism ssh {name}`; run a program in it: `prism exec {name} COMMAND`"
    return f"See how to connect: `prism connect {name}`"


def _plan(plan: dict[str, Any], count: int) -> None:
    fields = {
        "type": machine_words(plan),
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
        "runs out on": local_time(until) if (until := plan.get("lasts_until")) else "",
        "creates": ", ".join(plan["creates"]),
        "notes": "; ".join(plan["notes"]),
    }
    show_fields(fields)
    if len(caps := plan.get("caps") or []) > 1:
        print()
        columns = {
            "LIMIT": [cap["cap"] for cap in caps],
            "RESERVES": aligned([cap["reserves"] for cap in caps]),
            "LEAVES": aligned([cap["leaves"] for cap in caps]),
        }
        show_columns(columns, "LIMIT")
    if count > 1:
        hourly = plan["hourly"]
        together = "" if hourly is None else f"; {usd(hourly * count, 4)} an hour together"
        say(f"This is one of {count}{together}.")
    say("Nothing was created.")


def _dollars(amount: float | None, places: int, per: str = "") -> str | None:
    return None if amount is None else f"{usd(amount, places)}{per}"


def _parameters(args: Namespace, wire: Wire) -> dict[str, Any]:
    """`--parameter` by name, each of the type that the template gives it."""
    info = wire.call(Templates.info, args.template)
    known = info["resolved"]["parameters"]
    parameters: dict[str, Any] = {}
    for pair in args.parameter:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--parameter {pair} is not K=V", "Write it like --parameter cores=4")
        parameters[name] = _typed(value, known.get(name, {}).get("type", "string"))
    return parameters


def _typed(value: str, kind: str) -> Any:
    """The value as that type, or the text itself, which the daemon refuses."""
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
    except ValueError:
        return value
    return BOOLEANS.get(value.lower(), value) if kind == "boolean" else value


VERBS = {"launch": (_arguments, _launch)}
