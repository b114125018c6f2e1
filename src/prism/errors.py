"""The one error type.

A `Problem` is something the caller can understand and act on. Anything else that
escapes is a bug, and is shown as one.

    Problem
    ├── Invalid          the request makes no sense
    │   ├── InvalidJson
    │   └── ValidationFailed
    ├── Denied           we know what you want, and you may not
    ├── NotFound         there is no such thing
    ├── Conflict         it is there, but not in a state that allows this
    │   ├── AlreadyExists
    │   ├── InUse
    │   └── InvalidState
    └── Unavailable      try again: someone we depend on is not answering

Rooms add their own below these. A problem without a message says its docstring.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # cold start: `typing` costs every command line two milliseconds
    from typing import Any

KNOWN: dict[str, type[Problem]] = {}


class Problem(Exception):
    """Something went wrong."""

    code: str = "INTERNAL_ERROR"

    def __init_subclass__(cls, *, code: str = "") -> None:
        if code in KNOWN:
            raise TypeError(f"two problems share the code {code}")
        if code:
            cls.code = code
            KNOWN[code] = cls

    def __init__(
        self,
        message: str = "",
        *,
        details: str = "",
        remediation: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        self.message = message or (self.__doc__ or self.code).strip().splitlines()[0]
        self.details = details
        self.remediation = remediation
        self.data = data
        super().__init__(self.message)


class Invalid(Problem):
    """The request makes no sense."""


class InvalidJson(Invalid, code="INVALID_JSON"):
    """The body is not JSON."""


class ValidationFailed(Invalid, code="VALIDATION_FAILED"):
    """A field is missing, unknown, of the wrong type or out of range."""

    @classmethod
    def of(cls, *fields: tuple[str, str], remediation: str = "") -> ValidationFailed:
        """The problem for these `(field, why)` pairs, in words and for programs."""
        return cls(
            details="; ".join(f"{field}: {why}" for field, why in fields),
            remediation=remediation,
            data={"fields": [{"field": field, "why": why} for field, why in fields]},
        )


class Denied(Problem):
    """You may not do that."""


class NotFound(Problem):
    """There is no such thing."""


class Conflict(Problem):
    """It is not in a state that allows this."""


class AlreadyExists(Conflict, code="ALREADY_EXISTS"):
    """There is one of that name already."""


class InUse(Conflict, code="IN_USE"):
    """Something still needs it."""


class InvalidState(Conflict, code="INVALID_STATE"):
    """It is not in a state that allows this."""


class Unavailable(Problem, code="UNAVAILABLE"):
    """Something we depend on is not answering; try again."""

    @classmethod
    def because(cls, problem: Problem) -> Unavailable:
        """The same in this family: who may not look knows as little as who gets no answer."""
        if isinstance(problem, Unavailable):
            return problem
        away = cls(
            problem.message,
            details=problem.details,
            remediation=problem.remediation,
            data=problem.data,
        )
        away.code = problem.code
        return away
