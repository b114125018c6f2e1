"""`prism backup` and `prism restore`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.terminal import confirm, say, show_json, suggest
from prism.client.address import DaemonAddress
from prism.errors import Conflict, Problem


def _backup(args: Namespace) -> None:
    place = DaemonAddress.read()
    file = args.file or time.strftime("prism-%Y%m%dT%H%M%SZ.backup", time.gmtime())
    answer = run_daemon_program(place, "backups", "backup", "--", os.path.abspath(file))
    if args.json:
        return show_json(answer)
    print(answer["file"])
    say(
        f"{answer['bytes']} bytes of {answer['kind']}; workspaces' files and volumes are not in it"
    )
    return suggest("Restore it with `prism restore FILE`")


def _restore(args: Namespace) -> None:
    place = DaemonAddress.read()
    if not args.yes:
        confirm("the state that is there now", "restore", f"prism restore {args.file} --yes")
    answer = run_daemon_program(place, "backups", "restore", "--", os.path.abspath(args.file))
    if args.json:
        return show_json(answer)
    print(f"Restored: {answer['file']}, made at {answer['made_at']}")
    if answer["kept"]:
        say(f"The previous state is kept: {answer['kept']}")
    return suggest("See which machines are missing in it with `prism recover --dry-run`")


def run_daemon_program(place: DaemonAddress, program: str, *words: str) -> dict[str, Any]:
    """Run a program of the daemon's package that needs no running daemon; its answer."""
    if place.url:
        raise Conflict(
            f"The state of {place} is not on this machine",
            remediation="Run the command where that daemon runs, or unset PRISM_URL",
        )
    command = [sys.executable, "-m", f"prism.daemon.{program}", *words]
    environ = os.environ | {"PRISM_HOME": place.home}
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


def _backup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="default: one named after the time"
    )


def _restore_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file that `prism backup` has written")


VERBS = {"backup": (_backup_arguments, _backup), "restore": (_restore_arguments, _restore)}
