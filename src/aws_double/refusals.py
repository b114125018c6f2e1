"""The errors of AWS."""

from collections.abc import Iterable


class Refusal(Exception):
    """An error that AWS answers with: a documented code, a message, a status."""

    def __init__(self, code: str, message: str = "", status: int = 400, **extra: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.extra = extra


def no_such(code: str, noun: str, ids: Iterable[str]) -> Refusal:
    """EC2's error for unknown ids."""
    listed = ", ".join(ids)
    several = "s" if "," in listed else ""
    verb = "do" if several else "does"
    return Refusal(code, f"The {noun} ID{several} '{listed}' {verb} not exist")


def invalid(message: str) -> Refusal:
    """EC2's error for an invalid value."""
    return Refusal("InvalidParameterValue", message)


def missing(name: str) -> Refusal:
    """EC2's error for a missing parameter."""
    return Refusal("MissingParameter", f"The request must contain the parameter {name}")
