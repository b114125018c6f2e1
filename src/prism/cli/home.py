"""`prism new-identity`."""

from __future__ import annotations

from prism.annotations import Any, Namespace
from prism.cli.backup import run_daemon_program
from prism.cli.parser import no_arguments
from prism.cli.terminal import say, suggest


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


VERBS = {"new-identity": (no_arguments, _new_identity, _show_identity)}
