"""`prism snapshot …`."""

from __future__ import annotations

from prism.cli.connection import daemon
from prism.cli.parser import UsageError, given, nothing
from prism.cli.terminal import confirm, say, show_fields, show_json, show_table, suggest
from prism.cli.time_format import here
from prism.cli.volumes import followed, removed
from prism.client.storage import Snapshots

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

HEADS = ("NAME", "STATE", "OF", "SIZE GB", "USED GB", "TAKEN", "VERIFIED", "USD/MONTH")
PERIODS = ("daily", "weekly", "monthly")


def _list(asked: Namespace, found: Any) -> None:
    if not found:
        return say("No snapshots yet. Take one: `prism snapshot create NAME --volume VOLUME`")
    rows = [
        (
            snapshot["name"],
            snapshot["state"],
            f"{snapshot['source_type']} {snapshot['source']}",
            snapshot["size_gb"],
            snapshot["used_gb"],
            here(snapshot["creation_time"]),
            _verified(snapshot),
            None if snapshot["monthly_cost"] is None else f"{snapshot['monthly_cost']:.2f}",
        )
        for snapshot in found
    ]
    show_table(HEADS, rows)
    for snapshot in found:
        for why in filter(None, (snapshot["failure"], snapshot.get("verification_failure"))):
            say(f"error: {snapshot['name']}: {why['message']}")
    return None


def _verified(snapshot: dict[str, Any]) -> str | None:
    """When it was verified, or how that ended."""
    if snapshot.get("verification") == "passed":
        return here(snapshot["verified_at"])
    return snapshot.get("verification")


def _show(asked: Namespace, snapshot: Any) -> None:
    show_fields(
        {
            "name": snapshot["name"],
            "id": snapshot["snapshot_id"],
            "state": snapshot["state"],
            "progress": None if snapshot["progress"] is None else f"{snapshot['progress']} %",
            "of": f"{snapshot['source_type']} {snapshot['source']}",
            "size GB": snapshot["size_gb"],
            "used GB": snapshot["used_gb"],
            "taken": here(snapshot["creation_time"]),
            "one moment": {True: "yes", False: "no"}.get(snapshot.get("one_moment")),
            "verified": _verified(snapshot),
            "verify": snapshot.get("verify"),
            "project": snapshot["project"],
            "USD/month": snapshot["monthly_cost"],
        }
    )
    for why in filter(None, (snapshot["failure"], snapshot.get("verification_failure"))):
        say(f"error: {why['message']}")


def _verify(asked: Namespace) -> None:
    snapshot = daemon().call(Snapshots.verify, asked.name, every=asked.every)
    if asked.json:
        return show_json(snapshot)
    print(f"{snapshot['name']} is being verified")
    return suggest(f"See how it ended: `prism snapshot show {snapshot['name']}`")


def _create(asked: Namespace) -> None:
    if (asked.volume is None) == (asked.workspace is None):
        raise UsageError(
            "give either --volume or --workspace", "See `prism snapshot create --help`"
        )
    wire = daemon()
    said = given(asked, "volume", "workspace", "verify")
    snapshot = wire.call(Snapshots.create, asked.name, **said)
    if snapshot["state"] == "pending" and not asked.no_wait:
        from prism.cli.storage_wait import settled  # noqa: PLC0415  cold start: only who waits

        show, silent = f"prism snapshot show {asked.name}", asked.json
        snapshot = settled(wire, Snapshots.get, asked.name, show, silent=silent) or snapshot
    return (
        show_json(snapshot) if asked.json else print(f"{snapshot['name']} is {snapshot['state']}")
    )


def _delete(asked: Namespace) -> None:
    if not asked.yes:
        what, command = "the snapshot", f"prism snapshot delete {asked.name} --yes"
        confirm(f"{what} {asked.name}", asked.name, command)
    wire = daemon()
    answer = wire.call(Snapshots.delete, asked.name)
    gone = removed(asked, wire, Snapshots.get, f"prism snapshot show {asked.name}")
    if asked.json:
        return show_json(answer)
    return print(f"{asked.name} is {'deleted' if gone else 'deleting'}")


def _restore(asked: Namespace) -> None:
    wire = daemon()
    volume = followed(asked, wire, wire.call(Snapshots.restore, asked.name, asked.volume))
    if asked.json:
        return show_json(volume)
    print(f"{volume['name']} is {volume['state']}")
    return suggest(f"Use it: `prism volume attach {volume['name']} WORKSPACE`")


def _named(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="the snapshot's name or id")


def _new(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="what to call it")
    made.add_argument("--volume", metavar="NAME", help="the volume to copy")
    made.add_argument("--workspace", metavar="NAME", help="the workspace whose disk to copy")
    made.add_argument("--verify", choices=PERIODS, help="how often to test its restore")


def _check(made: ArgumentParser) -> None:
    _named(made)
    words = "also test it regularly from now on"
    made.add_argument("--every", choices=(*PERIODS, "never"), help=words)


def _back(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("volume", metavar="VOLUME", help="what to call the new volume")


VERBS = {
    "list": (nothing, lambda asked: daemon().call(Snapshots.list), _list),
    "show": (_named, lambda asked: daemon().call(Snapshots.get, asked.name), _show),
    "create": (_new, _create),
    "delete": (_named, _delete),
    "restore": (_back, _restore),
    "verify": (_check, _verify),
}
