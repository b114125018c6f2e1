"""The answer of a program that a command runs instead of asking a daemon: one line of JSON."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from prism.errors import Problem, Unavailable


def print_answer(verb: str, act: Callable[[], Mapping[str, Any]]) -> int:
    """Print what `act` returns, or its error; the exit code."""
    os.umask(0o077)  # what is written contains everything
    try:
        sys.stdout.write(json.dumps(act()) + "\n")
    except (Problem, OSError, SQLAlchemyError) as error:
        failed = Unavailable(f"The {verb} failed", details=str(error))
        problem = error if isinstance(error, Problem) else failed
        fields = {"message": problem.message, "details": problem.details, "code": problem.code}
        sys.stdout.write(json.dumps({"error": fields | {"hint": problem.remediation}}) + "\n")
        return 1
    return 0
