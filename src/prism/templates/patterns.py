"""Compares texts with regular expressions of templates, each in a process of its own.

For some expressions Python's `re` needs more time than there is, and lets no other thread run
meanwhile: one launch would freeze the daemon for ever. The kernel ends the process after a second
of processor time.
"""

import json
import re
import subprocess
import sys
from functools import lru_cache

MOST_SECONDS = 1
"""The processor time of a comparison; usual ones need less than a hundredth of it."""
MATCH_PROGRAM = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({MOST_SECONDS}, {MOST_SECONDS}))
pattern, text = json.load(sys.stdin)
sys.exit(0 if re.fullmatch(pattern, text) else {{no_match}})
"""
MATCH, NO_MATCH = 0, 100
COMMAND = (sys.executable, "-I", "-S", "-c", MATCH_PROGRAM.format(no_match=NO_MATCH))


def why_unusable(pattern: str) -> str:
    """Why a text is no regular expression; empty if it is one."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        return str(error)
    except RecursionError:
        return "nested too deeply"
    return ""


@lru_cache(maxsize=16)
def mismatch(pattern: str, text: str) -> str:
    """Why a whole text does not fit a pattern; empty if it fits."""
    question = json.dumps([pattern, text]).encode()
    ended = subprocess.run(COMMAND, input=question, capture_output=True, check=False)
    if ended.returncode == MATCH:
        return ""
    if ended.returncode == NO_MATCH:
        return f"must match {pattern}"
    return f"cannot be compared with {pattern} in a second"
