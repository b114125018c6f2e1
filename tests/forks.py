"""A process with all imports made, which forks for each job, a line of JSON."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Job = Callable[[Any], object]  # the work of a fork for a line of JSON

_answers = -1  # the file descriptor of a fork's answers


def tell(**facts: object) -> None:
    """Writes an answer of a fork; only the last one counts."""
    os.write(_answers, json.dumps(facts, default=str).encode() + b"\n")


def serve(jobs: Mapping[str, Job]) -> None:
    """Forks for each job; `do` names it, and `killed` in the answer tells how it ended."""
    for line in sys.stdin:
        answer = _done(jobs, json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _done(jobs: Mapping[str, Job], job: dict[str, Any]) -> dict[str, Any]:
    global _answers
    read_end, _answers = os.pipe()
    child = os.fork()
    if not child:
        try:
            jobs[job["do"]](job)
        except BaseException:  # noqa: BLE001  the test reports it
            tell(broke=traceback.format_exc())
        os._exit(0)
    os.close(_answers)
    with os.fdopen(read_end) as answers:
        lines = answers.read().splitlines()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {**(json.loads(lines[-1]) if lines else {}), "killed": killed}
