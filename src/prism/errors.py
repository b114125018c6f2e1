"""The one error type.

A `Problem` is an error that the caller can understand and act on. Any other exception that
reaches the caller is a bug, and is shown as one.

    Problem
    ├── Invalid          the request is wrong
    │   ├── InvalidJson
    │   └── ValidationFailed
    ├── Denied           you do not have the right
    ├── NotFound         there is no such thing
    ├── Conflict         it is there, but not in a state that allows this
    │   ├── AlreadyExists
    │   ├── InUse
    │   └── InvalidState
    └── Unavailable      try again: a service that Prism needs does not answer

Packages add their own below these. A problem without a message uses its docstring.
"""

from __future__ import annotations

from prism.annotations import Any, Self

PROBLEMS: dict[str, type[Problem]] = {}


class Problem(Exception):
    """Something went wrong."""

    code: str = "INTERNAL_ERROR"

    def __init_subclass__(cls, *, code: str = "") -> None:
        if code in PROBLEMS:
            raise TypeError(f"two problems share the code {code}")
        if code:
            cls.code = code
            PROBLEMS[code] = cls

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

    @property
    def message_with_remediation(self) -> str:
        """The message, and what helps if that is known; for a failure, which has one text only."""
        if not self.remediation or self.remediation in self.message:
            return self.message
        return f"{self.message.rstrip('.')}. {self.remediation}"

    @classmethod
    def copied(cls, problem: Problem) -> Self:
        """The problem, as an instance of this class."""
        copy = cls(
            problem.message,
            details=problem.details,
            remediation=problem.remediation,
            data=problem.data,
        )
        copy.code = problem.code
        return copy


class Invalid(Problem):
    """The request is wrong."""


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
    """You do not have the right to do that."""


class NotFound(Problem):
    """There is no such thing."""


class Conflict(Problem):
    """Its state does not allow this."""


class AlreadyExists(Conflict, code="ALREADY_EXISTS"):
    """One with that name already exists."""


class InUse(Conflict, code="IN_USE"):
    """It is still in use."""


class InvalidState(Conflict, code="INVALID_STATE"):
    """Its state does not allow this."""


class Unavailable(Problem, code="UNAVAILABLE"):
    """A service that Prism needs does not answer; try again."""

    @classmethod
    def because(cls, problem: Problem) -> Unavailable:
        """The problem as an instance of this class, since a refused query tells nothing either."""
        return problem if isinstance(problem, Unavailable) else cls.copied(problem)
