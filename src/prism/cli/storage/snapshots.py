"""`prism snapshot …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_hindrance, show_state, state_or_unreachable
from prism.cli.output.terminal import say, show_fields, show_records, suggest
from prism.cli.output.time_format import local_time
from prism.cli.parser import UsageError, argument, given, no_arguments
from prism.cli.storage.volumes import delete, monthly_cost, wait_for_volume
from prism.client.storage import Snapshots

VERIFY_PERIODS = ("daily", "weekly", "monthly")


def _list(args: Namespace, snapshots: Any) -> None:
    show_records(
        snapshots,
        ("NAME", "name"),
        ("STATE", state_or_unreachable),
        ("OF", lambda snapshot: f"{snapshot['source_type']} {snapshot['source']}"),
        ("SIZE GB", "size_gb"),
        ("USED GB", "used_gb"),
        ("TAKEN", lambda snapshot: local_time(snapshot["creation_time"])),
        ("VERIFIED", _verified),
        ("USD/MONTH", monthly_cost),
        none="No snapshots yet. Take one: `prism snapshot create NAME --volume VOLUME`",
    )
    for snapshot in snapshots:
        show_hindrance(snapshot)
        for why in filter(None, (snapshot["failure"], snapshot.get("verification_failure"))):
            say(f"error: {snapshot['name']}: {why['message']}")


def _verified(snapshot: dict[str, Any]) -> str | None:
    """When it was verified, or the state of the verification."""
    if snapshot.get("verification") == "passed":
        return local_time(snapshot["verified_at"])
    return snapshot.get("verification")


def _show(args: Namespace, snapshot: Any) -> None:
    fields = {
        "name": snapshot["name"],
        "id": snapshot["snapshot_id"],
        "state": state_or_unreachable(snapshot),
        "progress": None if snapshot["progress"] is None else f"{snapshot['progress']} %",
        "of": f"{snapshot['source_type']} {snapshot['source']}",
        "size GB": snapshot["size_gb"],
        "used GB": snapshot["used_gb"],
        "taken": local_time(snapshot["creation_time"]),
        "one moment": {True: "yes", False: "no"}.get(snapshot.get("one_moment")),
        "verified": _verified(snapshot),
        "verify": snapshot.get("verify"),
        "project": snapshot["project"],
        "USD/month": snapshot["monthly_cost"],
    }
    show_fields(fields)
    show_hindrance(snapshot)
    for why in filter(None, (snapshot["failure"], snapshot.get("verification_failure"))):
        say(f"error: {why['message']}")


def _verifying(args: Namespace, snapshot: Any) -> None:
    print(f"{snapshot['name']} is being verified")
    suggest(f"See how it ended: `prism snapshot show {snapshot['name']}`")


def _create(args: Namespace) -> Any:
    if (args.volume is None) == (args.workspace is None):
        raise UsageError(
            "give either --volume or --workspace", "See `prism snapshot create --help`"
        )
    wire = daemon()
    options = given(args, "volume", "workspace", "verify")
    snapshot = wire.call(Snapshots.create, args.name, **options)
    if snapshot["state"] == "pending" and not args.no_wait:
        from prism.cli.storage.storage_wait import wait_until_settled  # noqa: PLC0415  cold start: only who waits

        show = f"prism snapshot show {args.name}"
        settled = wait_until_settled(wire, Snapshots.get, args.name, show, silent=args.json)
        snapshot = settled or snapshot
    return snapshot


def _delete(args: Namespace) -> None:
    delete(args, "snapshot", f"the snapshot {args.name}", Snapshots)


def _restore(args: Namespace) -> Any:
    wire = daemon()
    return wait_for_volume(args, wire, wire.call(Snapshots.restore, args.name, args.volume))


def _restored(args: Namespace, volume: Any) -> None:
    print(f"{volume['name']} is {volume['state']}")
    suggest(f"Use it: `prism volume attach {volume['name']} WORKSPACE`")


_name_argument = argument("name", metavar="NAME", help="the snapshot's name or id")


def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name to give it")
    parser.add_argument("--volume", metavar="NAME", help="the volume to copy")
    parser.add_argument("--workspace", metavar="NAME", help="the workspace whose disk to copy")
    parser.add_argument("--verify", choices=VERIFY_PERIODS, help="how often to test its restore")


def _verify_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    words = "also test it regularly from now on"
    parser.add_argument("--every", choices=(*VERIFY_PERIODS, "never"), help=words)


def _restore_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("volume", metavar="VOLUME", help="what to call the new volume")


VERBS = {
    "list": (no_arguments, asking(Snapshots.list), _list),
    "show": (_name_argument, asking(Snapshots.get, "name"), _show),
    "create": (_create_arguments, _create, show_state),
    "delete": (_name_argument, _delete),
    "restore": (_restore_arguments, _restore, _restored),
    "verify": (_verify_arguments, asking(Snapshots.verify, "name", "every"), _verifying),
}
