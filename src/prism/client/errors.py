"""Turns a problem in an answer into the exception that the daemon raised.

`prism.kit.envelope` does the same with msgspec, which is slow to import.
"""

from __future__ import annotations

import json

from prism.annotations import Any
from prism.errors import PROBLEMS, Conflict, Denied, Invalid, NotFound, Problem, Unavailable

BASES_BY_STATUS: dict[int, type[Problem]] = {
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


class ProxyFailed(OSError):
    """There is no connection through a proxy; the text says why, and names no password."""


MEANINGS = {
    401: "wants a login",
    403: "refused",
    404: "not found",
    413: "too large",
    502: "no answer from the daemon",
    503: "not available",
    504: "no answer in time",
}


def _meaning(status: int) -> str:
    return f" ({MEANINGS[status]})" if status in MEANINGS else ""


def _remedy(status: int) -> str:
    if status == 413:
        return "Raise the proxy's limit for bodies (nginx: `client_max_body_size`)"
    if status >= 500:
        return "See whether the daemon runs, on its own computer: `prism daemon status`"
    return "Check PRISM_URL, and what the proxy says in its log"


def parsed_json(content: bytes | str) -> Any:
    """JSON of a daemon; raises `ValueError` for anything else, and if it is nested too deeply."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("its answer is nested too deeply") from error


def problem_of(status: int, content: bytes) -> Problem:
    """The problem in an answer; of its base class, if its own class is not imported."""
    family = BASES_BY_STATUS.get(status, Problem if status >= 500 else Invalid)
    try:
        fault = parsed_json(content)["error"]
        code, message = str(fault["code"]), str(fault["message"])
    except (ValueError, KeyError, TypeError):
        problem = family(
            f"The answer was {status}{_meaning(status)}, and not the daemon's own",
            details="a program in front of the daemon answered, such as a proxy",
            remediation=_remedy(status),
        )
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
