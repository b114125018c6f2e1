"""`prism new-identity` and `prism move-home`."""

from __future__ import annotations

import os
import shlex

from prism.annotations import Any, Namespace
from prism.cli.installation.backup import run_daemon_program
from prism.cli.output.terminal import say, suggest
from prism.cli.parser import argument, no_arguments


def _new_identity(args: Namespace) -> Any:
    return run_daemon_program("home_identity")


def _show_identity(args: Namespace, answer: Any) -> None:
    print(f"{answer['home']} is a home of its own now")
    if count := answer["shared_workspaces"]:
        say(
            f"note: {count} workspaces are not on this computer, and both homes have them: "
            "use them from one of the homes only"
        )
    suggest("Start its daemon: `prism daemon start`")


def _move(args: Namespace) -> Any:
    dest = args.dest if ":" in args.dest else os.path.abspath(args.dest)
    return run_daemon_program("home_move", "--", dest)


def _show_move(args: Namespace, answer: Any) -> None:
    home, old = shlex.quote(answer["home"]), shlex.quote(answer["kept"])
    print(f"The home is {answer['dest']} now, and {answer['home']} leads there")
    say(f"The old one is kept: {answer['kept']}. When all works, remove it: rm -r {old}")
    suggest(f"The way back: `prism daemon stop`, then rm {home}; mv {old} {home}")


VERBS = {
    "new-identity": (no_arguments, _new_identity, _show_identity),
    "move-home": (
        argument("dest", metavar="DEST", help="a folder that does not exist yet, or a new disk"),
        _move,
        _show_move,
    ),
}
