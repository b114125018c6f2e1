"""A process that has everything imported, and forks for each job that it reads, a line of JSON."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Job = Callable[[Any], object]  # what a fork does about a line of JSON

_told = -1  # where a fork says what it has found


def tell(**facts: object) -> None:
    """What a fork has to say; what it says last is the answer."""
    os.write(_told, json.dumps(facts, default=str).encode() + b"\n")


def serve(jobs: Mapping[str, Job]) -> None:
    """Fork for each job; `do` names it, and `killed` in the answer says how it ended."""
    for line in sys.stdin:
        answer = _done(jobs, json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _done(jobs: Mapping[str, Job], job: dict[str, Any]) -> dict[str, Any]:
    global _told
    ear, _told = os.pipe()
    child = os.fork()
    if not child:
        try:
            jobs[job["do"]](job)
        except BaseException:  # noqa: BLE001  whatever it was, the test says it
            tell(broke=traceback.format_exc())
        os._exit(0)
    os.close(_told)
    with os.fdopen(ear) as heard:
        lines = heard.read().splitlines()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {**(json.loads(lines[-1]) if lines else {}), "killed": killed}
