"""`prism logs`: what a workspace has said, and says."""

from __future__ import annotations

import json
import re

from prism.cli.connection import daemon
from prism.cli.parser import named
from prism.cli.terminal import show_json, suggest
from prism.client.logs import Logs

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

KINDS = ("console", "cloud-init", "system", "application")
# What drives a terminal; a program's words are shown, not obeyed.
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def _logs(asked: Namespace) -> None:
    if asked.follow:
        return _follow(asked)
    answer = daemon().call(Logs.get, asked.name, asked.type, asked.tail)
    if asked.json:
        return show_json(answer)
    for line in answer["lines"]:
        print(CONTROL.sub("", line))
    if not answer["lines"]:
        suggest(f"This log is empty. Another type: `prism logs {asked.name} --type system`")
    return None


def _follow(asked: Namespace) -> None:
    """Each line, as it comes, until the workspace ends, the daemon stops, or Ctrl-C."""
    for line in daemon().call(Logs.follow, asked.name, asked.type, asked.tail):
        # All but ASCII is escaped: a program may split lines where JSON does not end.
        said = json.dumps({"line": line}) if asked.json else CONTROL.sub("", line)
        print(said, flush=True)


def _arguments(made: ArgumentParser) -> None:
    named(made)
    made.add_argument("--type", choices=KINDS, default="console", help="default: console")
    made.add_argument(
        "-n", "--tail", type=int, default=100, metavar="N", help="how many lines; default: 100"
    )
    made.add_argument("-f", "--follow", action="store_true", help="continue with new lines")


VERBS = {"logs": (_arguments, _logs)}
