"""Prints kinds of answers that the commands of several nouns have in common."""

from __future__ import annotations

import sys

from prism.annotations import Any, Namespace
from prism.cli.output.clean_output import for_programs
from prism.cli.output.terminal import say


def show_changed(args: Namespace, resource: Any) -> None:
    """Print that a resource was changed."""
    print(f"{resource['name']} was changed")


def show_gone(args: Namespace, answer: Any) -> None:
    """Print that the named resource is deleted."""
    print(f"{args.name} was removed")


def show_state(args: Namespace, resource: Any) -> None:
    """Print the state of a resource."""
    print(f"{resource['name']} is {resource['state']}")


def show_message(args: Namespace, answer: Any) -> None:
    """Print the message of an answer."""
    print(answer["message"])


def write_answer(content: bytes, to: str | None) -> None:
    """Write an answer unchanged to stdout or to a file."""
    if to is None:
        print(content.decode().rstrip(), file=for_programs(sys.stdout))
    else:
        with open(to, "wb") as file:
            file.write(content)
        say(f"Written to {to}")


def state_or_unreachable(resource: dict[str, Any]) -> str:
    """The state of a volume or snapshot, or that no daemon serves it."""
    return "unreachable" if resource.get("unreachable") else str(resource["state"])


def show_hindrance(resource: dict[str, Any]) -> None:
    """Print why no daemon serves a volume or snapshot, or why a request for it waits."""
    if why := resource.get("unreachable"):
        say(f"{resource['name']} is unreachable: {why}")
    if why := resource.get("waiting"):
        say(f"{resource['name']} waits: {why}")


def show_notes(answer: dict[str, Any]) -> None:
    """Print the notes of an answer, if it has any."""
    for note in answer.get("notes", ()):
        say(f"note: {note}")
