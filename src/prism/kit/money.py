"""Money is integer micro-dollars inside, and JSON numbers in USD on the wire."""

from collections.abc import Hashable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import NewType, TypeVar

Micros = NewType("Micros", int)
Key = TypeVar("Key", bound=Hashable)
CENT = 10_000
MAX_DOLLARS = 10**12  # dollars; beyond is a mistake


def micros(usd: str) -> Micros:
    """The amount of a text such as `0.0416`; a float could be rounded."""
    try:
        written = Decimal(usd)
    except InvalidOperation as error:
        raise ValueError(f"{usd!r} is not an amount") from error
    if not written.is_finite() or abs(written) >= MAX_DOLLARS:
        raise ValueError(f"{usd!r} is not an amount")
    return Micros(int((written * 1_000_000).to_integral_value(ROUND_HALF_EVEN)))


def rate(amount: Micros) -> float:
    """An hourly rate for the API: USD with 4 decimals, halves to even."""
    return round(amount, -2) / 1_000_000


def amount(total: Micros) -> float:
    """An amount for the API: USD with 2 decimals, halves to even."""
    return round(total, -4) / 1_000_000


def apportioned(parts: Mapping[Key, int]) -> dict[Key, float]:
    """Parts in USD, in whole cents that add up to the total; the largest remainders round up."""
    cents = shares(parts, CENT)
    return {name: part * CENT / 1_000_000 for name, part in cents.items()}


def shares(exact: Mapping[Key, int | float], unit: int) -> dict[Key, int]:
    """Parts in whole units that add up to their rounded total; the largest remainders round up."""
    whole = {name: int(part // unit) for name, part in exact.items()}
    missing = round(sum(exact.values()) / unit) - sum(whole.values())
    order = {name: at for at, name in enumerate(exact)}
    rests = sorted(exact, key=lambda name: (-(exact[name] % unit), order[name]))
    up = set(rests[: max(missing, 0)])
    return {name: part + (name in up) for name, part in whole.items()}


def shown(hourly: Micros) -> str:
    """An hourly rate for people."""
    return f"${rate(hourly):.4f}"


def of_usd(usd: float) -> Micros:
    """The amount of a number in JSON, from its shortest text, which is the text that was sent."""
    return micros(repr(usd))
