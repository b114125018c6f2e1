"""`prism snapshot copy …`: copies of snapshots on other disks, computers and in S3."""

from __future__ import annotations

import os

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_message, show_state
from prism.cli.output.terminal import confirm, say, show_records, suggest
from prism.cli.output.time_format import local_time
from prism.cli.parser import UsageError, argument, given, no_arguments
from prism.client.storage import Snapshots

COPY_PERIODS = ("daily", "weekly", "monthly")
WHERE = "a folder, ssh://HOST/PATH or s3://BUCKET/PATH"


def _destination(word: str) -> str:
    """A destination as the daemon wants it: a folder is absolute."""
    return word if "://" in word else os.path.abspath(os.path.expanduser(word))


def _copy(args: Namespace) -> Any:
    wire = daemon()
    options = given(args, "verify", "profile")
    copy = wire.call(Snapshots.copy, args.name, _destination(args.destination), **options)
    if args.no_wait:
        return copy
    from prism.cli.storage.storage_wait import wait_until_settled  # noqa: PLC0415  cold start: only who waits

    show, title = "prism snapshot copies", f"the copy of {copy['snapshot']}"
    settled = wait_until_settled(
        wire, Snapshots.get_copy, copy["id"], show, silent=args.json, title=title
    )
    return settled or copy


def _copied(args: Namespace, copy: Any) -> None:
    if copy["state"] != "completed":
        print(f"{copy['snapshot']} is being copied to {copy['destination']}")
        suggest("See how far it is: `prism snapshot copies`")
        return
    total, added = _size(copy["total_bytes"]), _size(copy["added_bytes"])
    print(f"{copy['snapshot']} is at {copy['destination']}: {total}, {added} of it new there")
    if copy["verified_at"]:
        say("all of it was read there again, and is what the manifest says")
    else:
        say("all parts of it are there; their content was not read again (`--verify full` does)")
    if copy["same_disk"]:
        say(
            f"warning: {copy['destination']} is on the same disk as Prism's home. If that disk "
            "fails, both are lost"
        )
    suggest(
        f"On another computer: `prism snapshot fetch {copy['snapshot']} {copy['destination']}`"
    )


def _ask_copies(args: Namespace) -> Any:
    if args.destination is None:
        return daemon().call(Snapshots.list_copies)
    destination = _destination(args.destination)
    return daemon().call(Snapshots.remote_copies, destination, **given(args, "profile"))


def _list(args: Namespace, copies: Any) -> None:
    if args.destination is not None:
        show_records(
            copies,
            ("SNAPSHOT", "snapshot"),
            ("OF", lambda copy: f"{copy['source_type']} {copy['source']}"),
            ("TAKEN", lambda copy: local_time(copy["taken_at"])),
            ("SIZE", lambda copy: _size(copy["total_bytes"])),
            ("COMPUTER", "host"),
            ("ID", lambda copy: copy["id"][:16]),
            none=f"There are no copies at {args.destination}",
        )
        return
    show_records(
        copies,
        ("SNAPSHOT", "snapshot"),
        ("AT", "destination"),
        ("STATE", _state),
        ("COPIED", lambda copy: copy["ended_at"] and local_time(copy["ended_at"])),
        ("SIZE", lambda copy: _size(copy["total_bytes"])),
        ("NEW THERE", lambda copy: _size(copy["added_bytes"])),
        ("VERIFIED", lambda copy: copy["verified_at"] and local_time(copy["verified_at"])),
        ("ID", "id"),
        none="No copies yet. Make one: `prism snapshot copy NAME DEST`",
    )
    for copy in copies:
        if copy["failure"]:
            say(f"error: {copy['snapshot']}: {copy['failure']['message']}")


def _state(copy: dict[str, Any]) -> str:
    share = "" if copy["progress"] is None else f" {copy['progress']}%"
    return f"{copy['state']}{share}"


def _size(count: int | None) -> str | None:
    if count is None:
        return None
    units = ("bytes", "kB", "MB", "GB", "TB")
    value, unit = float(count), 0
    while value >= 1000 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.{1 if unit else 0}f} {units[unit]}"


def _fetch(args: Namespace) -> Any:
    wire = daemon()
    destination = _destination(args.destination)
    options = given(args, "profile")
    snapshot = wire.call(Snapshots.fetch, destination, args.copy, args.name, **options)
    if args.no_wait:
        return snapshot
    from prism.cli.storage.storage_wait import wait_until_settled  # noqa: PLC0415  cold start: as above

    name = snapshot["name"]
    show = f"prism snapshot show {name}"
    settled = wait_until_settled(wire, Snapshots.get, name, show, silent=args.json)
    return settled or snapshot


def _fetched(args: Namespace, snapshot: Any) -> None:
    show_state(args, snapshot)
    if snapshot["state"] == "completed":
        say("every file in it is what the manifest says")
        name = snapshot["name"]
        suggest(f"Make a volume of it: `prism snapshot restore {name} {name}-volume`")


def _delete_copy(args: Namespace) -> Any:
    destination, id = _destination(args.destination), args.id
    subject = f"the copy {id} at {destination}, which may be the last one"
    hint = f"prism snapshot delete-copy {id} {args.destination} --yes"
    confirm(args, subject, id, hint)
    return daemon().call(Snapshots.delete_copy, id, destination, **given(args, "profile"))


def _schedule(args: Namespace) -> Any:
    if (args.volume is None) == (args.workspace is None):
        raise UsageError(
            "give either --volume or --workspace", "See `prism snapshot schedule --help`"
        )
    options = given(args, "volume", "workspace", "keep", "verify", "profile")
    destination = _destination(args.destination)
    return daemon().call(Snapshots.schedule, destination, args.every, **options)


def _scheduled(args: Namespace, schedule: Any) -> None:
    source, where = schedule["source"], schedule["destination"]
    print(f"{source} is copied to {where} {schedule['every']}, the first time now")
    say(f"the last {schedule['keep']} copies stay there")
    suggest("See how it goes: `prism snapshot schedules`")


def _list_schedules(args: Namespace, schedules: Any) -> None:
    show_records(
        schedules,
        ("OF", lambda schedule: f"{schedule['source_type']} {schedule['source']}"),
        ("TO", "destination"),
        ("EVERY", "every"),
        ("KEEPS", "keep"),
        (
            "LAST COPY",
            lambda schedule: schedule["last_success"] and local_time(schedule["last_success"]),
        ),
        ("NEXT", lambda it: "now" if it["running"] else local_time(it["next_run"])),
        ("ID", "id"),
        none="No schedules yet. See `prism snapshot schedule --help`",
    )
    for schedule in schedules:
        if schedule["failure"]:
            say(f"error: {schedule['source']}: {schedule['failure']['message']}")


_id_argument = argument("id", metavar="ID", help="its id, from the list")


def _destination_argument(parser: ArgumentParser, *, is_optional: bool = False) -> None:
    parser.add_argument(
        "destination", metavar="DEST", nargs="?" if is_optional else None, help=WHERE
    )
    parser.add_argument(
        "--profile", metavar="NAME", help="for s3://: the profile whose AWS login is used"
    )


def _verify_argument(parser: ArgumentParser) -> None:
    words = "full: read all of it there again; quick: only check that all parts are there"
    parser.add_argument("--verify", choices=("full", "quick"), help=f"{words} (default: full)")


def _copy_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the snapshot's name or id")
    _destination_argument(parser)
    _verify_argument(parser)


def _list_arguments(parser: ArgumentParser) -> None:
    _destination_argument(parser, is_optional=True)


def _fetch_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("copy", metavar="NAME", help="the snapshot's name, or an id, at DEST")
    _destination_argument(parser)
    parser.add_argument("--name", metavar="NAME", help="what to call the snapshot here")


def _schedule_arguments(parser: ArgumentParser) -> None:
    _destination_argument(parser)
    parser.add_argument("--volume", metavar="NAME", help="the volume to copy")
    parser.add_argument("--workspace", metavar="NAME", help="the workspace whose disk to copy")
    parser.add_argument("--every", choices=COPY_PERIODS, required=True, help="how often")
    words = "how many copies stay at DEST (default: 7)"
    parser.add_argument("--keep", type=int, metavar="N", help=words)
    _verify_argument(parser)


def _delete_copy_arguments(parser: ArgumentParser) -> None:
    words = "its id, from `prism snapshot copies DEST`"
    parser.add_argument("id", metavar="ID", help=words)
    _destination_argument(parser)


VERBS = {
    "copy": (_copy_arguments, _copy, _copied),
    "copies": (_list_arguments, _ask_copies, _list),
    "forget": (_id_argument, asking(Snapshots.forget_copy, "id"), show_message),
    "delete-copy": (_delete_copy_arguments, _delete_copy, show_message),
    "fetch": (_fetch_arguments, _fetch, _fetched),
    "schedule": (_schedule_arguments, _schedule, _scheduled),
    "schedules": (no_arguments, asking(Snapshots.schedules), _list_schedules),
    "unschedule": (_id_argument, asking(Snapshots.unschedule, "id"), show_message),
}
