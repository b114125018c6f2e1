"""`prism backup` and `prism restore`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from prism.annotations import Any, Namespace
from prism.cli.output.terminal import confirm, say, suggest
from prism.cli.parser import argument
from prism.client.transport.address import DaemonAddress
from prism.errors import Conflict, Problem


def _backup(args: Namespace) -> Any:
    file = args.file or time.strftime("prism-%Y%m%dT%H%M%SZ.backup", time.gmtime())
    return run_daemon_program("backups", "backup", "--", os.path.abspath(file))


def _show_backup(args: Namespace, answer: Any) -> None:
    print(answer["file"])
    say(
        f"{answer['bytes']} bytes of {answer['kind']}; workspaces' files and volumes are not in it"
    )
    suggest("Restore it with `prism restore FILE`")


def _restore(args: Namespace) -> Any:
    state = "the state that is there now"
    confirm(args, state, "restore", f"prism restore {args.file} --yes")
    return run_daemon_program("backups", "restore", "--", os.path.abspath(args.file))


def _restored(args: Namespace, answer: Any) -> None:
    print(f"Restored: {answer['file']}, made at {answer['made_at']}")
    if answer["kept"]:
        say(f"The previous state is kept: {answer['kept']}")
    suggest("See which machines are missing in it with `prism recover --dry-run`")


def run_daemon_program(program: str, *words: str) -> dict[str, Any]:
    """Run a program of the daemon's package that needs no running daemon; its answer."""
    address = DaemonAddress.of_variables()
    if address.url:
        raise Conflict(
            f"The state of {address} is not on this machine",
            remediation="Run the command where that daemon runs, or unset PRISM_URL",
        )
    command = [sys.executable, "-m", f"prism.daemon.{program}", *words]
    environ = os.environ | {"PRISM_HOME": address.home}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise Problem(f"{program} ended with {done.returncode} and printed nothing") from None
    if "error" not in answer:
        return answer
    error = answer["error"]
    problem = Problem(error["message"], details=error["details"], remediation=error["hint"])
    problem.code = error["code"]
    raise problem


VERBS = {
    "backup": (
        argument("file", metavar="FILE", nargs="?", help="default: one named after the time"),
        _backup,
        _show_backup,
    ),
    "restore": (
        argument("file", metavar="FILE", help="a file that `prism backup` has written"),
        _restore,
        _restored,
    ),
}
