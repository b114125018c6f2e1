"""Finds the command, runs it, and prints errors."""

from __future__ import annotations

import sys

from prism.annotations import Sequence
from prism.cli.output.clean_output import clean_streams
from prism.cli.output.terminal import VERBOSE, complain
from prism.cli.parser import Help, UsageError, build_parser, find
from prism.cli.registry import overview, verbs_of
from prism.client.errors import DaemonUnreachable
from prism.errors import Problem

REFUSED_EXIT_CODE, USAGE, INTERRUPTED = 1, 2, 130
EXIT = {DaemonUnreachable: 3, Problem: REFUSED_EXIT_CODE}  # the nearest base class decides


def run(words: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    clean_streams()
    try:
        _run(words)
        sys.stdout.flush()
    except Help as request:
        print(verbs_of(request.noun) if request.noun else overview())
    except UsageError as error:
        complain(error.message, hint=error.hint)
        return USAGE
    except Problem as problem:
        sys.stdout.flush()
        complain(problem.message, problem.details, problem.remediation)
        return next(EXIT[kind] for kind in type(problem).__mro__ if kind in EXIT)
    except OSError as error:
        if error.filename is None:  # a bug, or a closed pipe
            raise
        complain(f"{error.filename}: {error.strerror}")
        return REFUSED_EXIT_CODE
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _run(words: Sequence[str]) -> None:
    command, rest = find(words)
    parser = build_parser(command)
    args = parser.parse_all(rest)
    if args.verbose:
        VERBOSE.append("--verbose")
    try:
        args.run(args)
    except Problem as problem:
        if problem.data:
            from prism.cli.field_names import translate  # noqa: PLC0415  cold start: only for refusals

            translate(problem, parser)
        raise
