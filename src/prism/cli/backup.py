"""`prism backup` and `prism restore`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from prism.cli.terminal import confirm, say, show_json, suggest
from prism.client.address import DaemonAddress
from prism.errors import Conflict, Problem

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any


def _backup(asked: Namespace) -> None:
    place = DaemonAddress.read()
    file = asked.file or time.strftime("prism-%Y%m%dT%H%M%SZ.backup", time.gmtime())
    answer = done_here(place, "backups", "backup", "--", os.path.abspath(file))
    if asked.json:
        return show_json(answer)
    print(answer["file"])
    say(
        f"{answer['bytes']} bytes of {answer['kind']}; workspaces' files and volumes are not in it"
    )
    return suggest("Restore it with `prism restore FILE`")


def _restore(asked: Namespace) -> None:
    place = DaemonAddress.read()
    if not asked.yes:
        confirm("the state that is there now", "restore", f"prism restore {asked.file} --yes")
    answer = done_here(place, "backups", "restore", "--", os.path.abspath(asked.file))
    if asked.json:
        return show_json(answer)
    print(f"Restored: {answer['file']}, made at {answer['made_at']}")
    if answer["kept"]:
        say(f"The previous state is kept: {answer['kept']}")
    return suggest("See which machines are missing in it with `prism recover --dry-run`")


def done_here(place: DaemonAddress, program: str, *words: str) -> dict[str, Any]:
    """What one of the daemon's own programs answers, where no daemon is needed."""
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


def _optional(made: ArgumentParser) -> None:
    made.add_argument("file", metavar="FILE", nargs="?", help="default: one named after the time")


def _required(made: ArgumentParser) -> None:
    made.add_argument("file", metavar="FILE", help="a file that `prism backup` has written")


VERBS = {"backup": (_optional, _backup), "restore": (_required, _restore)}
