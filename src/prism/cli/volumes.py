"""`prism volume …`."""

from __future__ import annotations

from prism.cli.connection import daemon
from prism.cli.parser import given, nothing
from prism.cli.terminal import confirm, say, show_fields, show_json, show_table, suggest
from prism.client.storage import Volumes

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from prism.cli.storage_wait import Get
    from prism.client.wire import Wire

HEADS = ("NAME", "KIND", "STATE", "SIZE GB", "USED GB", "TYPE", "ATTACHED TO", "USD/MONTH")
DISKS = ("gp3", "gp2", "io2", "st1")


def _list(asked: Namespace, found: Any) -> None:
    every = [*found["ebs_volumes"], *found["efs_volumes"]]
    if not every:
        return say("No volumes yet. Make one: `prism volume create NAME --size 10`")
    return show_table(
        HEADS, [_row(volume) for volume in sorted(every, key=lambda it: str(it["name"]))]
    )


def _row(volume: dict[str, Any]) -> tuple[object, ...]:
    shared = "filesystem_id" in volume
    cost = volume["monthly_cost"]
    return (
        volume["name"],
        "efs" if shared else "ebs",
        volume["state"],
        None if shared else volume["size_gb"],
        volume["size_gb"] if shared else volume["used_gb"],
        None if shared else volume["volume_type"],
        ", ".join(_instances(volume)),
        None if cost is None else f"{cost:.2f}",
    )


def _instances(volume: dict[str, Any]) -> list[str]:
    if "filesystem_id" in volume:
        return list(volume["attached_instances"])
    return [volume["attached_instance"]] if volume["attached_instance"] else []


def _create(asked: Namespace) -> None:
    wire = daemon()
    names = ("type", "volume_type", "iops", "throughput", "project", "budget")
    made = wire.call(Volumes.create, asked.name, asked.size, **given(asked, *names))
    volume = followed(asked, wire, made)
    if asked.json:
        return show_json(volume)
    print(f"{volume['name']} is {volume['state']}")
    for note in volume["notes"]:
        say(f"note: {note}")
    return suggest(f"Use it: `prism volume attach {volume['name']} WORKSPACE`")


def _show(asked: Namespace, answer: Any) -> None:
    shared = "filesystem_id" in answer
    sizes = {"used GB": answer["size_gb"] if shared else answer["used_gb"]}
    if not shared:
        sizes = {
            "size GB": answer["size_gb"],
            "type": answer["volume_type"],
            "IOPS": answer["iops"],
            "throughput": answer["throughput"],
            "zone": answer["zone"],
            **sizes,
        }
    show_fields(
        {
            "name": answer["name"],
            "id": answer["filesystem_id"] if shared else answer["volume_id"],
            "state": answer["state"],
            **sizes,
            "attached to": ", ".join(_instances(answer)),
            "project": answer["project"],
            "from snapshot": answer["from_snapshot"],
            "USD/month": answer["monthly_cost"],
        }
    )
    for note in answer["notes"]:
        say(f"note: {note}")
    if answer["failure"]:
        say(f"error: {answer['failure']['message']}")


def _attach(asked: Namespace) -> None:
    wire = daemon()
    volume = wire.call(Volumes.attach, asked.name, asked.workspace)
    is_on = volume["state"] == "attaching" and not asked.no_wait and _takes(wire, asked.workspace)
    if is_on:
        volume = followed(asked, wire, volume)
    if asked.json:
        return show_json(volume)
    print(f"{volume['name']} is {volume['state']}")
    when = "" if is_on or volume["state"] != "attaching" else ", once that runs"
    return suggest(f"In {asked.workspace} it is at ~/volumes/{volume['name']}{when}")


def _takes(wire: Wire, instance: str) -> bool:
    from prism.cli.storage_wait import takes_volumes  # noqa: PLC0415  cold start: only who waits

    return takes_volumes(wire, instance)


def _detach(asked: Namespace) -> None:
    wire = daemon()
    volume = followed(asked, wire, wire.call(Volumes.detach, asked.name, asked.workspace))
    return show_json(volume) if asked.json else print(f"{volume['name']} is {volume['state']}")


def _delete(asked: Namespace) -> None:
    if not asked.yes:
        what = f"the volume {asked.name} and what it holds"
        confirm(what, asked.name, f"prism volume delete {asked.name} --yes")
    wire = daemon()
    answer = wire.call(Volumes.delete, asked.name)
    gone = removed(asked, wire, Volumes.get, f"prism volume show {asked.name}")
    if asked.json:
        return show_json(answer)
    return print(f"{asked.name} is {'deleted' if gone else 'deleting'}")


def followed(asked: Namespace, wire: Wire, volume: dict[str, Any]) -> dict[str, Any]:
    """A volume when nothing of it is under way any more; as it is where nobody waits."""
    if asked.no_wait:
        return volume
    from prism.cli.storage_wait import MOVES, PATIENCE, settled  # noqa: PLC0415  cold start: as above

    patience = PATIENCE if volume["state"] in {"attaching", "detaching"} else None
    if volume["state"] not in MOVES:
        return volume
    show, name = f"prism volume show {volume['name']}", volume["name"]
    silent: bool = asked.json
    return settled(wire, Volumes.get, name, show, silent=silent, patience=patience) or volume


def removed(asked: Namespace, wire: Wire, get: Get, show: str) -> bool:
    """Wait until something is gone, unless nobody waits; whether it is."""
    if asked.no_wait:
        return False
    from prism.cli.storage_wait import settled  # noqa: PLC0415  cold start: as above

    resource = settled(wire, get, asked.name, show, silent=asked.json)
    return resource is None or resource["state"] == "deleted"


def _named(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="the volume's name or id")


def _new(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="what to call it")
    made.add_argument("--size", type=int, metavar="GB", help="GB, for an ebs volume")
    made.add_argument(
        "--type", choices=("ebs", "efs"), default="ebs", help="ebs, or efs, which is shared"
    )
    made.add_argument("--volume-type", choices=DISKS, help="disk type (default: gp3)")
    made.add_argument("--iops", type=int, metavar="N", help="for gp3 and io2")
    made.add_argument("--throughput", type=int, metavar="MIB", help="for gp3, in MiB/s")
    made.add_argument("--project", metavar="NAME", help="its project")
    made.add_argument("--budget", metavar="NAME", help="which of its pools pays")


def _one_more(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("workspace", metavar="WORKSPACE", help="the workspace's name or id")


def _perhaps_one_more(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("workspace", metavar="WORKSPACE", nargs="?", help="only from this workspace")


VERBS = {
    "list": (nothing, lambda asked: daemon().call(Volumes.list), _list),
    "create": (_new, _create),
    "show": (_named, lambda asked: daemon().call(Volumes.get, asked.name), _show),
    "attach": (_one_more, _attach),
    "detach": (_perhaps_one_more, _detach),
    "delete": (_named, _delete),
}
