"""`prism completion`: prints a shell's completion script."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection
from typing import Any

from prism.cli.parser import prepare
from prism.cli.registry import ALONE, COMMANDS, COMMON_OPTIONS, NOUNS, SHORTCUTS, meaning
from prism.client.errors import DaemonUnreachable
from prism.client.names import shortest_names
from prism.client.profiles import Profiles
from prism.client.projects import Projects
from prism.client.templates import Templates
from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.lifecycle import VERBS as LIFECYCLE

SHELLS = ("bash", "zsh", "fish")
# The lists that completion fetches, and the field of an entry that it completes.
LISTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "workspaces": (Workspaces.list, "name"),
    "templates": (Templates.list, "slug"),
    "profiles": (Profiles.list, "name"),
    "projects": (Projects.list, "name"),
}
# Lists of the workspaces in whose state a verb is possible.
TO = {f"workspaces-to-{name}": verb.bulk for name, verb in LIFECYCLE.items()}
NOUNS_BY_COMMAND = {"quickstart": "workspace", "events": "workspace"}
COMPLETION_TIMEOUT = 2.0  # seconds that Tab waits for the daemon


def tree(fill: Callable[[str], object] | None = None) -> ArgumentParser:
    """Every command in one parser; running a command builds only its own.

    `fill` returns what makes a shell complete with the entries of a list.
    """

    def with_arguments(parser: ArgumentParser, command: tuple[str, ...]) -> None:
        prepare(parser, command)
        if fill is not None:
            _add_completion(parser, command, fill)

    top = ArgumentParser("prism")
    top.add_argument("--version", action="store_true", help="print the version")
    for option, about in COMMON_OPTIONS.items():
        top.add_argument(option, action="store_true", help=about)
    words = top.add_subparsers()
    for word, about in ALONE.items():
        with_arguments(words.add_parser(word, help=about), (word,))
    for verb in SHORTCUTS:
        command = ("workspace", verb)
        with_arguments(words.add_parser(verb, help=meaning(command)), command)
    for noun, about in NOUNS.items():
        verbs = words.add_parser(noun, help=about).add_subparsers()
        for command in COMMANDS:
            if command[0] == noun:
                with_arguments(verbs.add_parser(command[1], help=meaning(command)), command)
    return top


def _completion(args: Namespace) -> None:
    if args.shell in LISTS:
        return _print_names(*LISTS[args.shell])
    if args.shell in TO:
        return _print_names(*LISTS["workspaces"], TO[args.shell])
    import shtab  # noqa: PLC0415  cold start: brings `logging` and more, for this command alone

    scripted = tree(lambda names: shtab.cmd(f"prism completion {names} 2>/dev/null"))
    return print(shtab.complete(scripted, args.shell))


def _add_completion(
    parser: ArgumentParser, command: tuple[str, ...], fill: Callable[[str], object]
) -> None:
    for action in parser._actions:
        if action.dest == "shell":
            action.choices = SHELLS  # completion does not offer the aliases
        elif names := _names(command, action.dest):
            vars(action)["complete"] = fill(names)  # where shtab looks for it


def _names(command: tuple[str, ...], argument: str) -> str | None:
    """The name of the list that completes an argument; None if the argument is a new name."""
    if argument in {"template", "project", "workspace"}:
        return f"{argument}s"
    if argument == "inherits":
        return "templates"
    noun, verb = NOUNS_BY_COMMAND.get(command[0], command[0]), command[-1]
    if argument == "names":
        return f"workspaces-to-{verb}"
    new = verb in {"create", "launch", "new"}
    return f"{noun}s" if argument == "name" and f"{noun}s" in LISTS and not new else None


def _print_names(
    method: Callable[[Any], object], field: str, states: Collection[str] = ()
) -> None:
    """Print one name per line; nothing if no daemon runs, since Tab does not start one."""
    try:
        rows = Wire(DaemonAddress.read(), COMPLETION_TIMEOUT).call(method)
    except DaemonUnreachable:
        return
    names = shortest_names(rows) if field == "name" else [row[field] for row in rows]
    for name, row in zip(names, rows, strict=True):
        if not states or row["state"] in states:
            print(name)


def _arguments(parser: ArgumentParser) -> None:
    words = (*SHELLS, *LISTS, *TO)
    parser.add_argument("shell", metavar="SHELL", choices=words, help="bash, zsh or fish")


VERBS = {"completion": (_arguments, _completion)}
