"""`prism recover` and `prism orphans …`."""

from __future__ import annotations

import time

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.answers import show_notes, show_state
from prism.cli.output.money import aligned, usd
from prism.cli.output.terminal import confirm, say, show_columns, suggest
from prism.cli.output.time_format import duration
from prism.cli.parser import UsageError, add_flag, given
from prism.client.recovery import Recoveries
from prism.client.transport.wire import Wire

FIRST_SURVEY = 15.0  # seconds to wait for the first survey after a start of the daemon


def _recover(args: Namespace) -> Any:
    wire = daemon()
    _surveyed_orphans(wire)
    return wire.call(
        Recoveries.recover, **given(args, "dry_run", "everybody", "accept", "adopt_home")
    )


def _show_recovered(args: Namespace, answer: Any) -> None:
    if answer.get("database"):
        say(f"note: {answer['database']}")
    if answer.get("home"):
        print(answer["home"])
    done = "would be a workspace again" if answer["dry_run"] else "is a workspace again"
    for stored in answer["recovered"]:
        print(f"{stored['name']} {done} ({stored['state']}, {stored['instance_id']})")
        for note in stored["notes"]:
            say(f"  note: {note}")
    known = "would be known again" if answer["dry_run"] else "is known again"
    for stored in answer.get("storage", ()):
        print(f"{stored['kind']} {stored['name']} {known} ({stored['id']})")
        for note in stored["notes"]:
            say(f"  note: {note}")
    _show_left(answer)


def _show_left(answer: dict[str, Any]) -> None:
    """Print what was not recovered, and why."""
    for item in answer["left"]:
        say(f"left alone: {item['name'] or item['id']}: {item['why']}")
    if not answer["recovered"] and not answer.get("storage", ()):
        say("All your machines, volumes and snapshots are known.")
    if _report_unsurveyed(answer["places"]):
        suggest("A location has not answered yet. When it does: `prism recover`")
    if answer["left"]:
        suggest("Recover these too: `prism recover --everybody`")


def _orphans(args: Namespace) -> Any:
    if args.action is None:
        return _surveyed_orphans(daemon())
    if args.id is None:
        raise UsageError("the following arguments are required: ID", "See `prism orphans --help`")
    if args.action == "adopt":
        return daemon().call(Recoveries.adopt, args.id)
    command = f"prism orphans terminate {args.id} --yes"
    confirm(args, f"the machine {args.id} and its disk", args.id, command)
    return daemon().call(Recoveries.terminate, args.id)


def _show_orphans(args: Namespace, answer: Any) -> None:
    if args.action is not None:
        show_state(args, answer)
        return show_notes(answer)
    orphans = answer["orphans"]
    _report_unsurveyed(answer["places"])
    _show_storage(answer.get("storage", []))
    if not orphans:
        return say("Every machine that was seen has a workspace.")
    columns = {
        "ID": [orphan["id"] for orphan in orphans],
        "NAME": [orphan["name"] for orphan in orphans],
        "STATE": [orphan["state"] for orphan in orphans],
        "TYPE": [orphan["instance_type"] for orphan in orphans],
        "AGE": [_age(orphan) for orphan in orphans],
        "USD/HOUR": [usd(orphan["hourly_rate"], 4) for orphan in orphans],
        "SO FAR": aligned([orphan["cost_so_far"] for orphan in orphans]),
        "OWNER": [orphan["owner"] for orphan in orphans],
        "PLACE": [orphan["place"] for orphan in orphans],
    }
    show_columns(columns, "PLACE")
    return suggest(
        "`prism recover` takes back what is yours; `prism orphans adopt ID` one of them"
    )


def _show_storage(storage: list[dict[str, Any]]) -> None:
    """Print volumes and snapshots; only `prism recover` recovers them."""
    if not storage:
        return
    columns = {
        "ID": [stored["id"] for stored in storage],
        "NAME": [stored["name"] for stored in storage],
        "KIND": [stored["kind"] for stored in storage],
        "GB": [stored["size_gb"] for stored in storage],
        "AGE": [_age(stored) for stored in storage],
        "USD/MONTH": aligned([stored["monthly_cost"] for stored in storage]),
        "OWNER": [stored["owner"] for stored in storage],
        "PLACE": [stored["place"] for stored in storage],
    }
    show_columns(columns, "PLACE")
    for stored in storage:
        if command := stored.get("removed_by"):
            say(
                f"note: {stored['id']} has the tags of another {stored['kind']}; to remove it: "
                f"`{command}`"
            )
    suggest("`prism recover` restores your volumes and snapshots")


def _age(stored: dict[str, Any]) -> str | None:
    return None if stored["age_seconds"] is None else duration(stored["age_seconds"])


def _surveyed_orphans(wire: Wire) -> dict[str, Any]:
    """The orphans, once every location was surveyed, which takes time after a start."""
    until = time.monotonic() + FIRST_SURVEY
    while True:
        answer: dict[str, Any] = wire.call(Recoveries.orphans)
        known = all(place["looked_at"] or place["problem"] for place in answer["places"])
        if known or time.monotonic() > until:
            return answer
        time.sleep(0.2)


def _report_unsurveyed(places: list[dict[str, Any]]) -> bool:
    """Print which locations were not surveyed; returns whether there are any."""
    for place in places:
        if place["problem"]:
            say(f"note: {place['place']} did not answer: {place['problem']}")
        elif not place["looked_at"]:
            say(f"note: {place['place']} was not listed yet")
    return any(place["problem"] or not place["looked_at"] for place in places)


def _recover_arguments(parser: ArgumentParser) -> None:
    add_flag(parser, "--dry-run", help="only show what would be done")
    add_flag(parser, "--accept", help="continue with a database that is older than the machines")
    add_flag(
        parser, "--everybody", help="also machines that others launched in the same AWS account"
    )
    parser.add_argument(
        "--adopt-home",
        metavar="LOCATION",
        help="take over what is in a home that does not exist any more",
    )


def _orphans_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("adopt", "terminate"), help="default: show all orphans"
    )
    parser.add_argument("id", metavar="ID", nargs="?", help="the machine's id")


VERBS = {
    "recover": (_recover_arguments, _recover, _show_recovered),
    "orphans": (_orphans_arguments, _orphans, _show_orphans),
}
