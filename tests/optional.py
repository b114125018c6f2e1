"""Values that may be missing, where a test knows that they are there."""

from typing import TypeVar

Value = TypeVar("Value")


def not_none(value: Value | None) -> Value:
    """The value; fails if it is missing."""
    assert value is not None
    return value
