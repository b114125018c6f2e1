"""`prism volume …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Callable, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import (
    show_hindrance,
    show_notes,
    show_state,
    state_or_unreachable,
)
from prism.cli.output.terminal import confirm, say, show_fields, show_json, show_records, suggest
from prism.cli.parser import add_flag, argument, given, no_arguments
from prism.client.storage import Snapshots, Volumes
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.lifecycle import COMES_UP

DISKS = ("gp3", "gp2", "io2", "st1")


def _list(args: Namespace, answer: Any) -> None:
    volumes = [*answer["ebs_volumes"], *answer["efs_volumes"]]
    show_records(
        sorted(volumes, key=lambda volume: str(volume["name"])),
        ("NAME", "name"),
        ("KIND", lambda volume: "efs" if _is_shared(volume) else "ebs"),
        ("STATE", state_or_unreachable),
        ("SIZE GB", lambda volume: None if _is_shared(volume) else volume["size_gb"]),
        ("USED GB", lambda volume: volume["size_gb" if _is_shared(volume) else "used_gb"]),
        ("TYPE", "volume_type"),
        ("ATTACHED TO", lambda volume: ", ".join(_instances(volume))),
        ("USD/MONTH", monthly_cost),
        none="No volumes yet. Make one: `prism volume create NAME --size 10`",
    )
    for volume in volumes:
        show_hindrance(volume)


def _is_shared(volume: dict[str, Any]) -> bool:
    return "filesystem_id" in volume


def monthly_cost(resource: dict[str, Any]) -> str | None:
    """What a volume or a snapshot costs in a month."""
    cost = resource["monthly_cost"]
    return None if cost is None else f"{cost:.2f}"


def _instances(volume: dict[str, Any]) -> list[str]:
    if _is_shared(volume):
        return list(volume["attached_instances"])
    return [volume["attached_instance"]] if volume["attached_instance"] else []


def _create(args: Namespace) -> Any:
    wire = daemon()
    names = ("type", "volume_type", "iops", "throughput", "project", "budget")
    created = wire.call(Volumes.create, args.name, args.size, **given(args, *names))
    return wait_for_volume(args, wire, created)


def _created(args: Namespace, volume: Any) -> None:
    show_state(args, volume)
    show_notes(volume)
    suggest(f"Use it: `prism volume attach {volume['name']} WORKSPACE`")


def _show(args: Namespace, answer: Any) -> None:
    shared = _is_shared(answer)
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
    fields = {
        "name": answer["name"],
        "id": answer["filesystem_id"] if shared else answer["volume_id"],
        "state": state_or_unreachable(answer),
        **sizes,
        "attached to": ", ".join(_instances(answer)),
        "project": answer["project"],
        "from snapshot": answer["from_snapshot"],
        "USD/month": answer["monthly_cost"],
    }
    show_fields(fields)
    show_notes(answer)
    show_hindrance(answer)
    if answer["failure"]:
        say(f"error: {answer['failure']['message']}")


def _attach(args: Namespace) -> None:
    wire = daemon()
    volume = wire.call(Volumes.attach, args.name, args.workspace)
    is_on = volume["state"] == "attaching" and not args.no_wait and _is_up(wire, args.workspace)
    if is_on:
        volume = wait_for_volume(args, wire, volume)
    if args.json:
        return show_json(volume)
    print(f"{volume['name']} is {volume['state']}")
    when = "" if is_on or volume["state"] != "attaching" else ", once that runs"
    return suggest(f"In {args.workspace} it is at ~/volumes/{volume['name']}{when}")


def _is_up(wire: Wire, workspace: str) -> bool:
    """Whether a workspace runs or soon will, so that it takes a volume now."""
    return wire.call(Workspaces.get, workspace)["state"] in {"running", *COMES_UP}


def _detach(args: Namespace) -> Any:
    wire = daemon()
    answer = wire.call(Volumes.detach, args.name, args.workspace, force=args.force)
    return wait_for_volume(args, wire, answer)


def _delete(args: Namespace) -> None:
    delete(args, "volume", f"the volume {args.name} and what it holds", Volumes)


def delete(
    args: Namespace, noun: str, subject: str, methods: type[Volumes] | type[Snapshots]
) -> None:
    """Delete a volume or a snapshot, after a question, and wait until it is gone."""
    confirm(args, subject, args.name, f"prism {noun} delete {args.name} --yes")
    wire = daemon()
    answer = wire.call(methods.delete, args.name)
    gone = _wait_for_deletion(args, wire, methods.get, f"prism {noun} show {args.name}")
    if args.json:
        return show_json(answer)
    return print(f"{args.name} is {'deleted' if gone else 'deleting'}")


def wait_for_volume(args: Namespace, wire: Wire, volume: dict[str, Any]) -> dict[str, Any]:
    """The volume once no change is under way; unchanged with `--no-wait`."""
    if args.no_wait:
        return volume
    from prism.cli.storage.storage_wait import MOVES, WAIT_SECONDS, wait_until_settled  # noqa: PLC0415  cold start: only who waits

    patience = WAIT_SECONDS if volume["state"] in {"attaching", "detaching"} else None
    if volume["state"] not in MOVES:
        return volume
    show, name = f"prism volume show {volume['name']}", volume["name"]
    settled = wait_until_settled(
        wire, Volumes.get, name, show, silent=args.json, patience=patience
    )
    return settled or volume


def _wait_for_deletion(
    args: Namespace, wire: Wire, get: Callable[[Any, str], object], show: str
) -> bool:
    """Wait until a volume or snapshot is gone, except with `--no-wait`; returns whether it is."""
    if args.no_wait:
        return False
    from prism.cli.storage.storage_wait import wait_until_settled  # noqa: PLC0415  cold start: as above

    resource = wait_until_settled(wire, get, args.name, show, silent=args.json)
    return resource is None or resource["state"] == "deleted"


_name_argument = argument("name", metavar="NAME", help="the volume's name or id")


def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name to give it")
    parser.add_argument("--size", type=int, metavar="GB", help="the size of an ebs volume")
    parser.add_argument(
        "--type", choices=("ebs", "efs"), default="ebs", help="ebs: one workspace; efs: several"
    )
    parser.add_argument("--volume-type", choices=DISKS, help="disk type (default: gp3)")
    parser.add_argument("--iops", type=int, metavar="N", help="IOPS, for gp3 and io2")
    parser.add_argument("--throughput", type=int, metavar="MIB", help="for gp3, in MiB/s")
    parser.add_argument("--project", metavar="NAME", help="its project")
    parser.add_argument("--budget", metavar="NAME", help="the pool that pays, if several do")


def _attach_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("workspace", metavar="WORKSPACE", help="the workspace's name or id")


def _detach_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument(
        "workspace", metavar="WORKSPACE", nargs="?", help="only from this workspace"
    )
    add_flag(parser, "--force", help="stop the workspaces that run, whatever they have open")


VERBS = {
    "list": (no_arguments, asking(Volumes.list), _list),
    "create": (_create_arguments, _create, _created),
    "show": (_name_argument, asking(Volumes.get, "name"), _show),
    "attach": (_attach_arguments, _attach),
    "detach": (_detach_arguments, _detach, show_state),
    "delete": (_name_argument, _delete),
}
