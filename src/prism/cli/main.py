"""`prism`: answers `--help` and `--version` without imports; `run.py` runs commands.

Nothing else may be imported here: `prism --help` answers in twice the time of an empty Python.
"""

import io
import os
import sys
from collections.abc import Sequence

from prism import __version__
from prism.cli.registry import overview


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code."""
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:  # `prism … | head`; Python would report it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(words: Sequence[str] | None) -> int:
    words = sys.argv[1:] if words is None else list(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without `…` shows a `?`
    if words in ([], ["--help"], ["-h"], ["help"]):
        print(overview())
        return 0
    if words in (["--version"], ["version"]):
        print(f"prism {__version__}")
        return 0
    if words[0] == "help":
        words = [*words[1:], "--help"]
    from prism.cli.run import run  # noqa: PLC0415  cold start: it brings argparse, json and sockets

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
