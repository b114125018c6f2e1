"""`prism files …`: files of workspaces through the daemon, without SSH."""

from __future__ import annotations

import os
import sys

from prism.cli.connection import daemon
from prism.cli.parser import renamed
from prism.cli.terminal import confirm, is_terminal, say, show_json, show_table
from prism.cli.time_format import here
from prism.client.files import Files
from prism.client.transfer import download, upload
from prism.errors import AlreadyExists, NotFound

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

HEADS = ("NAME", "KIND", "BYTES", "MODIFIED")
MOST = 5000


def _list(asked: Namespace) -> None:
    path = _below(asked.path)
    found = daemon().call(Files.list, asked.name, path, MOST)
    if asked.json:
        return show_json(found)
    if not found["entries"]:
        return say("The folder is empty")
    rows = [
        (
            entry["name"],
            entry["kind"],
            entry["size"],
            entry["modified"] and here(entry["modified"]),
        )
        for entry in found["entries"]
    ]
    show_table(HEADS, rows, flexible="NAME")
    if found["truncated"]:
        say(f"There are more than {MOST} names in it; the others are not shown")
    return None


def _get(asked: Namespace) -> None:
    path, target = _below(asked.path), asked.target
    last = os.path.basename(path)
    if os.path.isdir(target):
        target = os.path.join(target, last)
    if os.path.lexists(target) and not asked.replace:
        raise AlreadyExists(
            f"There is a {target} already",
            remediation=f"Replace it: `prism files get {asked.name} PATH TARGET --replace`",
        )
    size = download(daemon(), asked.name, path, target, _progress)
    if asked.json:
        return show_json({"path": path, "target": target, "bytes": size})
    return print(f"{target} has {size} bytes")


def _put(asked: Namespace) -> None:
    path = _below(asked.path) if asked.path else ""
    if not path or asked.path.endswith("/"):
        path = "/".join(filter(None, (path, os.path.basename(asked.source))))
    try:
        file = open(asked.source, "rb")  # noqa: SIM115  the next line closes it
    except FileNotFoundError:
        raise NotFound(f"There is no {asked.source}") from None
    with file:
        answer = upload(
            daemon(),
            asked.name,
            file,
            path,
            replace=asked.replace,
            told=_progress,
        )
    if asked.json:
        return show_json(answer)
    return print(f"{path} has {answer['received']} bytes")


def _remove(asked: Namespace) -> None:
    path = _below(asked.path)
    if not asked.yes:
        what = f"{path} of the workspace {asked.name}"
        confirm(what, path, f"prism files rm {asked.name} PATH --yes")
    answer = daemon().call(Files.remove, asked.name, path, recursive=asked.recursive)
    return show_json(answer) if asked.json else print(f"{path} is removed")


def _move(asked: Namespace) -> None:
    path = _below(asked.path)
    answer = daemon().call(Files.rename, asked.name, path, _below(asked.to))
    return show_json(answer) if asked.json else print(f"{path} is now {answer['path']}")


def _make(asked: Namespace) -> None:
    answer = daemon().call(Files.make_folder, asked.name, _below(asked.path))
    return show_json(answer) if asked.json else print(f"{answer['path']} is there")


def _below(path: str) -> str:
    """A path as the API takes it: relative to the home, which a shell calls `~`."""
    if path in {"~", "."}:
        return ""
    return path[2:] if path.startswith("~/") else path


def _progress(done: int, size: int | None = None) -> None:
    """How much there is, on a line of its own that is written anew."""
    if is_terminal(sys.stderr):
        part = f" of {size / 1e6:,.1f}" if size else ""
        sys.stderr.write(f"\r{done / 1e6:,.1f}{part} MB" + ("\n" if done == size else ""))
        sys.stderr.flush()


def _named(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="the workspace's name or instance id")


def _one(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("path", metavar="PATH", help="a path in the workspace's home")


def _folder(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("path", metavar="PATH", nargs="?", default="", help="default: the home")


def _out(made: ArgumentParser) -> None:
    _one(made)
    made.add_argument("target", metavar="TARGET", nargs="?", default=".", help="default: here")
    what = "replace an existing file"
    renamed(made, "--replace", "--force", action="store_true", help=what)


def _in(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("source", metavar="SOURCE", help="a file of this computer")
    help = "a path in the home, a folder if it ends with / (default: the home)"
    made.add_argument("path", metavar="PATH", nargs="?", default="", help=help)
    what = "replace an existing file"
    renamed(made, "--replace", "--force", action="store_true", help=what)


def _away(made: ArgumentParser) -> None:
    _one(made)
    made.add_argument(
        "-r", "--recursive", action="store_true", help="remove a folder and its content"
    )


def _other(made: ArgumentParser) -> None:
    _one(made)
    made.add_argument("to", metavar="TO", help="its new path in the home")


VERBS = {
    "ls": (_folder, _list),
    "get": (_out, _get),
    "put": (_in, _put),
    "rm": (_away, _remove),
    "mv": (_other, _move),
    "mkdir": (_one, _make),
}
