"""`prism logs`: the output of a workspace."""

from __future__ import annotations

import json
import re

from prism.annotations import ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import show_json, suggest
from prism.cli.parser import add_flag, workspace_argument
from prism.client.logs import Logs

LOG_TYPES = ("console", "cloud-init", "system", "application")
# Sequences that control a terminal; they are removed from a program's output.
CONTROL_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def _logs(args: Namespace) -> None:
    if args.follow:
        return _follow(args)
    answer = daemon().call(Logs.get, args.name, args.type, args.tail)
    if args.json:
        return show_json(answer)
    for line in answer["lines"]:
        print(CONTROL_SEQUENCES.sub("", line))
    if not answer["lines"]:
        suggest(f"This log is empty. Another type: `prism logs {args.name} --type system`")
    return None


def _follow(args: Namespace) -> None:
    """Print each new line until the workspace ends, the daemon stops, or Ctrl-C."""
    for line in daemon().call(Logs.follow, args.name, args.type, args.tail):
        # Only ASCII: a reader may split lines at other characters inside of a JSON text.
        output = json.dumps({"line": line}) if args.json else CONTROL_SEQUENCES.sub("", line)
        print(output, flush=True)


def _arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("--type", choices=LOG_TYPES, default="console", help="default: console")
    parser.add_argument(
        "-n", "--tail", type=int, default=100, metavar="N", help="how many lines; default: 100"
    )
    add_flag(parser, "-f", "--follow", help="continue with new lines")


VERBS = {"logs": (_arguments, _logs)}
