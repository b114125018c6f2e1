"""`prism files …`: files of workspaces through the daemon, without SSH."""

from __future__ import annotations

import os
import shlex
import sys

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import confirm, is_terminal, say, show_json, show_records
from prism.cli.output.time_format import local_time
from prism.cli.parser import add_flag, add_renamed, workspace_argument
from prism.client.files import Files
from prism.client.transport.transfer import download, upload
from prism.errors import AlreadyExists, NotFound

MAX_ENTRIES = 5000


def _list(args: Namespace) -> Any:
    return daemon().call(Files.list, args.name, _relative_path(args.path), MAX_ENTRIES)


def _show(args: Namespace, listing: Any) -> None:
    show_records(
        listing["entries"],
        ("NAME", "name"),
        ("KIND", "kind"),
        ("BYTES", "size"),
        ("MODIFIED", lambda entry: entry["modified"] and local_time(entry["modified"])),
        flexible="NAME",
        none="The folder is empty",
    )
    if listing["truncated"]:
        say(f"There are more than {MAX_ENTRIES} names in it; the others are not shown")


def _get(args: Namespace) -> None:
    path, target = _relative_path(args.path), args.target
    last = os.path.basename(path)
    if os.path.isdir(target):
        target = os.path.join(target, last)
    if os.path.lexists(target) and not args.replace:
        raise AlreadyExists(
            f"{target} already exists",
            remediation=f"Replace it: `prism files get {args.name} PATH TARGET --replace`",
        )
    size = download(daemon(), args.name, path, target, _progress)
    if args.json:
        return show_json({"path": path, "target": target, "bytes": size})
    return print(f"{target} has {size} bytes")


def _put(args: Namespace) -> None:
    path = _relative_path(args.path) if args.path else ""
    if not path or args.path.endswith("/"):
        path = "/".join(filter(None, (path, os.path.basename(args.source))))
    try:
        file = open(args.source, "rb")  # noqa: SIM115  the next line closes it
    except FileNotFoundError:
        raise NotFound(f"{args.source} does not exist") from None
    with file:
        answer = upload(
            daemon(),
            args.name,
            file,
            path,
            replace=args.replace,
            progress=_progress,
        )
    if args.json:
        return show_json(answer)
    return print(f"{path} has {answer['received']} bytes")


def _remove(args: Namespace) -> None:
    path = _relative_path(args.path)
    subject = f"{path} of the workspace {args.name}"
    options = ["--recursive"] if args.recursive else []
    command = shlex.join(["prism", "files", "rm", args.name, path, *options, "--yes"])
    confirm(args, subject, path, command)
    answer = daemon().call(Files.remove, args.name, path, recursive=args.recursive)
    return show_json(answer) if args.json else print(f"{path} is removed")


def _move(args: Namespace) -> None:
    path = _relative_path(args.path)
    answer = daemon().call(Files.rename, args.name, path, _relative_path(args.to))
    return show_json(answer) if args.json else print(f"{path} is now {answer['path']}")


def _make_folder(args: Namespace) -> None:
    answer = daemon().call(Files.make_folder, args.name, _relative_path(args.path))
    return show_json(answer) if args.json else print(f"{answer['path']} was made")


def _relative_path(path: str) -> str:
    """A path as the API takes it: relative to the home, which a shell calls `~`."""
    if path in {"~", "."}:
        return ""
    return path[2:] if path.startswith("~/") else path


def _progress(done: int, size: int | None = None) -> None:
    """Print how much is copied, on one line that is rewritten."""
    if is_terminal(sys.stderr):
        part = f" of {size / 1e6:,.1f}" if size else ""
        sys.stderr.write(f"\r{done / 1e6:,.1f}{part} MB" + ("\n" if done == size else ""))
        sys.stderr.flush()


def _path_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("path", metavar="PATH", help="a path in the workspace's home")


def _ls_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("path", metavar="PATH", nargs="?", default="", help="default: the home")


def _get_arguments(parser: ArgumentParser) -> None:
    _path_arguments(parser)
    parser.add_argument("target", metavar="TARGET", nargs="?", default=".", help="default: here")
    help_text = "replace an existing file"
    add_renamed(parser, "--replace", "--force", action="store_true", help=help_text)


def _put_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("source", metavar="SOURCE", help="a file of this computer")
    path_help = "a path in the home, a folder if it ends with / (default: the home)"
    parser.add_argument("path", metavar="PATH", nargs="?", default="", help=path_help)
    replace_help = "replace an existing file"
    add_renamed(parser, "--replace", "--force", action="store_true", help=replace_help)


def _rm_arguments(parser: ArgumentParser) -> None:
    _path_arguments(parser)
    add_flag(parser, "-r", "--recursive", help="remove a folder and its content")


def _mv_arguments(parser: ArgumentParser) -> None:
    _path_arguments(parser)
    parser.add_argument("to", metavar="TO", help="its new path in the home")


VERBS = {
    "ls": (_ls_arguments, _list, _show),
    "get": (_get_arguments, _get),
    "put": (_put_arguments, _put),
    "rm": (_rm_arguments, _remove),
    "mv": (_mv_arguments, _move),
    "mkdir": (_path_arguments, _make_folder),
}
