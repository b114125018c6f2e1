"""A problem that came over the wire, as the class that the daemon raised.

`prism.kit.envelope` does the same with msgspec; the command line cannot wait for that.
"""

from __future__ import annotations

import json

from prism.errors import KNOWN, Conflict, Denied, Invalid, NotFound, Problem, Unavailable

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
    """The problem in an answer; its family, if its class was never imported."""
    family = FAMILIES.get(status, Problem if status >= 500 else Invalid)
    try:
        fault = json.loads(content)["error"]
        code, message = str(fault["code"]), str(fault["message"])
    except (ValueError, KeyError, TypeError):
        problem = family(f"The answer was {status}, without a reason")
        problem.code = "INTERNAL_ERROR" if status >= 500 else f"HTTP_{status}"
        return problem
    problem = KNOWN.get(code, family)(
        message,
        details=str(fault.get("details") or ""),
        remediation=str(fault.get("remediation") or ""),
        data=fault.get("data"),
    )
    problem.code = code
    return problem
