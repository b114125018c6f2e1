"""Turns a problem in an answer into the exception that the daemon raised.

`prism.kit.envelope` does the same with msgspec, which is slow to import.
"""

from __future__ import annotations

import json

from prism.errors import PROBLEMS, Conflict, Denied, Invalid, NotFound, Problem, Unavailable

FAMILIES: dict[int, type[Problem]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Conflict,
    424: Unavailable,
    502: Unavailable,
    503: Unavailable,
}


class DaemonUnreachable(Unavailable, code="DAEMON_UNREACHABLE"):
    """No daemon answers at that address."""


def problem_of(status: int, content: bytes) -> Problem:
    """The problem in an answer; of its base class, if its own class is not imported."""
    family = FAMILIES.get(status, Problem if status >= 500 else Invalid)
    try:
        fault = json.loads(content)["error"]
        code, message = str(fault["code"]), str(fault["message"])
    except (ValueError, KeyError, TypeError):
        problem = family(f"The answer was {status}, without a reason")
        problem.code = "INTERNAL_ERROR" if status >= 500 else f"HTTP_{status}"
        return problem
    problem = PROBLEMS.get(code, family)(
        message,
        details=str(fault.get("details") or ""),
        remediation=str(fault.get("remediation") or ""),
        data=fault.get("data"),
    )
    problem.code = code
    return problem
