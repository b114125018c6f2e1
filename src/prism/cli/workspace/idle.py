"""`prism idle …`, `prism why`, `prism keep-awake`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_notes
from prism.cli.output.terminal import say, show_records, show_table
from prism.cli.output.time_format import days_between, duration, hours, local_time, minutes, until
from prism.cli.parser import UsageError, add_flag, argument, given, workspace_argument
from prism.client.idle import Idle
from prism.client.models import idle

THRESHOLDS = {
    "cpu": ("percent of one core", float),
    "memory": ("growth in percent of what it may use", float),
    "network": ("KB/s", int),
    "disk": ("KB/s", int),
    "gpu": ("percent of the busiest GPU", float),
}
FOREVER = 24 * 100_000  # hours; the daemon refuses too long a time
VERDICTS = ("active", "idle", "unknown")
PAST_PARTICIPLES = {"hibernate": "put to sleep", "stop": "stopped"}


def _profile(args: Namespace) -> Any:
    if args.action == "list":
        return daemon().call(Idle.profiles)
    if args.name is None:
        raise UsageError(
            "the following arguments are required: NAME", "See `prism idle profile --help`"
        )
    if args.action == "create":
        return daemon().call(Idle.create_profile, _new_profile(args))
    return daemon().call(Idle.delete_profile, args.name)


def _show_profile(args: Namespace, answer: Any) -> None:
    if args.action != "list":
        return print(f"{args.name} was {'added' if args.action == 'create' else 'removed'}")
    return show_records(
        answer,
        ("NAME", "name"),
        ("IDLE", lambda profile: f"{profile['idle_threshold_minutes']}m"),
        ("ACTION", "action"),
        *((name.upper(), f"{name}_threshold") for name in THRESHOLDS),
        ("DESCRIPTION", "description"),
        flexible="DESCRIPTION",
    )


def _new_profile(args: Namespace) -> idle.NewIdleProfile:
    limits = {f"{name}_threshold": limit for name, limit in given(args, *THRESHOLDS).items()}
    return idle.NewIdleProfile(
        name=args.name,
        idle_threshold_minutes=args.minutes,
        action=args.then,
        description=args.description,
        **limits,
    )


def _configure(args: Namespace) -> Any:
    return daemon().call(
        Idle.configure, args.name, args.profile, enabled=not args.off, minutes=args.minutes
    )


def _configured(args: Namespace, answer: Any) -> None:
    show_notes(answer)
    if not answer["enabled"]:
        return print(
            f"{answer['instance_name']} is watched by {answer['profile']}, and never put to sleep"
        )
    after = f"after {answer['idle_threshold_minutes']} idle minutes"
    return print(f"{answer['instance_name']} is {PAST_PARTICIPLES[answer['action']]} {after}")


def _history(args: Namespace, actions: Any) -> None:
    show_records(
        actions,
        ("WHEN", lambda action: local_time(action["trigger_time"])),
        ("WORKSPACE", "instance_name"),
        ("ACTION", "action"),
        ("IDLE", "idle_duration"),
        ("PROFILE", "profile"),
        ("SAVED", _saved),
        ("", lambda action: action.get("note") or ""),
        none="No workspace has gone to sleep yet because it was idle",
    )


def _saved(action: dict[str, Any]) -> str | None:
    amount = action["estimated_savings"]
    return None if amount is None else f"${amount:.2f}"


def _activity(args: Namespace, activity: Any) -> None:
    if not activity["points"]:
        return say(f"{activity['instance_name']} was not measured in the last 24 hours")
    figures = [
        figure
        for figure in activity["figures"]
        if any(point["figures"][figure["name"]] is not None for point in activity["points"])
    ]
    names = [figure["name"] for figure in figures]
    heads = ("FROM", "FOR", "WAS", *(name.upper() for name in names), "BECAUSE")
    rows = [
        (
            local_time(period[0]["at"]),
            duration(sum(point[f"{verdict}_seconds"] for point in period for verdict in VERDICTS)),
            period[0]["verdict"],
            *(_figure_over(name, period) for name in names),
            "; ".join(period[-1]["because"]),
        )
        for period in periods(activity["points"], activity["step_seconds"])
    ]
    show_table(heads, rows, flexible="BECAUSE")
    units = (f"{figure['name']} in {figure['unit']}" for figure in figures)
    return say(f"Averages over each step: {', '.join(units)}")


def periods(points: list[dict[str, Any]], step: int) -> list[list[dict[str, Any]]]:
    """Group successive points with the same verdict; a step without a point ends a group."""
    groups: list[list[dict[str, Any]]] = []
    for point in points:
        last = groups[-1][-1] if groups else None
        follows = last is not None and round(days_between(last["at"], point["at"]) * 86400) == step
        if last is not None and follows and last["verdict"] == point["verdict"]:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def _figure_over(name: str, period: list[dict[str, Any]]) -> str | None:
    values = [point["figures"][name] for point in period if point["figures"][name] is not None]
    return f"{sum(values) / len(values):.1f}" if values else None


def _show_why(args: Namespace, answer: Any) -> None:
    print("\n".join(sentences(answer)))


def sentences(idleness: dict[str, Any]) -> list[str]:
    """Why a workspace is awake or asleep, in sentences."""
    name, lines = idleness["instance_name"], []
    if idleness["state"] != "running":
        lines.append(f"{name} is {idleness['state']}.")
    elif idleness["profile"] is None:
        lines.append(f"{name} is awake: no idle profile watches it.")
        lines.append(f"To have it watched: `prism idle configure {name} standard`")
    elif idleness["verdict"] is None:
        lines.append(f"{name} is awake: nothing was measured yet.")
    else:
        lines += _verdict_sentences(idleness)
    if last := idleness.get("last"):
        how, when = PAST_PARTICIPLES[last["action"]], local_time(last["trigger_time"])
        note = f" ({last['note']})" if last.get("note") else ""
        lines.append(f"It was last {how} {when}, after {last['idle_duration']} idle{note}.")
    return lines


def _verdict_sentences(idleness: dict[str, Any]) -> list[str]:
    name, because = idleness["instance_name"], "; ".join(idleness["because"])
    if idleness["verdict"] == "idle":
        lines = [f"{name} has been idle for {_minutes(idleness['idle_minutes'])}: {because}."]
    elif idleness["verdict"] == "active":
        lines = [f"{name} is active: {because}."]
    else:
        lines = [f"{name} may be active: {because}. Unknown is not idle."]
        since = f" since {local_time(idleness['since'])}" if idleness.get("since") else ""
        lines.append(
            f"Unknown{since}: it runs and costs money until that is known, it expires, or you "
            f"stop it: `prism stop {name}`"
        )
    lines += [f"  {_figure(figure)}" for figure in idleness["measured"]]
    rule = f"{idleness['idle_threshold_minutes']} idle minutes (profile {idleness['profile']})"
    if not idleness["enabled"]:
        lines.append("It is never put to sleep because it is idle: this is switched off.")
    elif idleness["acts_at"]:
        verb = PAST_PARTICIPLES[idleness["action"]]
        lines.append(f"It is {verb} in {until(idleness['acts_at'])} if it stays so: after {rule}.")
    else:
        lines.append(f"It is {PAST_PARTICIPLES[idleness['action']]} after {rule}.")
    if idleness["keep_awake_until"]:
        lines.append(f"It is kept awake until {local_time(idleness['keep_awake_until'])}.")
    return lines


def _figure(figure: dict[str, Any]) -> str:
    value = "not measured" if figure["value"] is None else f"{figure['value']:g} {figure['unit']}"
    return f"{figure['what']:<8} {value}, idle up to {figure['limit']:g}"


def _minutes(count: int) -> str:
    return "1 minute" if count == 1 else f"{count} minutes"


def _keep_awake(args: Namespace) -> Any:
    return daemon().call(Idle.keep_awake, args.name, _whole_minutes(args.minutes))


def _show_awake_until(args: Namespace, answer: Any) -> None:
    show_notes(answer)
    at = answer["keep_awake_until"]
    name = answer["instance_name"]
    print(f"{name} stays awake until {local_time(at)}" if at else f"{name} may go to sleep")


def _whole_minutes(time: str) -> int:
    """The minutes in `90m`, `3h`, `2d` or `0`; a plain number is hours, as in other commands."""
    try:
        if 0 <= (in_hours := hours(time)) < FOREVER:
            return round(in_hours * 60)
    except ValueError:
        pass
    raise UsageError(f"`{time}` is not a length of time", "Write it as 90m, 3h or 2d; 0 ends it")


def _profile_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "create", "delete"), help="what to do")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the profile's name")
    parser.add_argument(
        "--minutes",
        type=minutes,
        metavar="TIME",
        default=30,
        help="how long it must be idle, such as 30 or 2h",
    )
    parser.add_argument(
        "--then", choices=tuple(PAST_PARTICIPLES), default="hibernate", help="what happens then"
    )
    parser.add_argument("--description", default="", help="what it is for")
    for name, (unit, kind) in THRESHOLDS.items():
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=f"idle up to this: {unit}")


def _configure_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("profile", metavar="PROFILE", help="one of `prism idle profile list`")
    parser.add_argument(
        "--minutes",
        type=minutes,
        metavar="TIME",
        help="how long it must be idle, instead of the profile's time",
    )
    add_flag(parser, "--off", help="measure, but never put it to sleep")


_history_argument = argument("--limit", type=int, default=100, help="how many; default: 100")


def _keep_awake_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("minutes", metavar="TIME", help="90m, 3h, 2d, or hours; 0 ends it")


VERBS = {
    "profile": (_profile_arguments, _profile, _show_profile),
    "configure": (_configure_arguments, _configure, _configured),
    "history": (_history_argument, asking(Idle.history, "limit"), _history),
    "activity": (workspace_argument, asking(Idle.activity, "name"), _activity),
    "why": (workspace_argument, asking(Idle.why, "name"), _show_why),
    "keep-awake": (_keep_awake_arguments, _keep_awake, _show_awake_until),
}
