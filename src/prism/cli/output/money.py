"""Formats amounts of money: aligned columns, percent bars, a text chart."""

from __future__ import annotations

import sys

from prism.annotations import Any, Sequence
from prism.cli.output.terminal import say

BLOCKS, FULL_BLOCK, REST = " ▏▎▍▌▋▊▉", "█", "░"
BAR = 10


def usd(amount: float | None, places: int = 2) -> str | None:
    """An amount, or `none` if unknown; less than a cent is not shown as 0."""
    if amount is None:
        return None
    least = 10**-places
    if 0 < abs(amount) < least:
        return f"<${least:.{places}f}" if amount > 0 else f">-${least:.{places}f}"
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{places}f}"


def cap(amount: float | None) -> float | None:
    """A limit that is never 0: 0.0 stands for less than a cent."""
    return 0.001 if amount == 0 else amount


def without_price(names: Sequence[str]) -> None:
    """Print what the sums above lack because its price is unknown."""
    if not names:
        return
    kind = "thing" if any(name.endswith(")") for name in names) else "workspace"
    many = "" if len(names) == 1 else "s"
    say(f"note: {len(names)} {kind}{many} without a price: {', '.join(names)}; not in these sums")


def in_dollars(data: dict[str, Any]) -> dict[str, Any]:
    """The data of an event with dollars in place of micro-dollars."""
    converted = {}
    for name, value in data.items():
        if f"{name}_usd" in data:
            continue
        exact = name.endswith("_usd") and value is not None
        converted[name.removesuffix("_usd")] = dollars(value) if exact else value
    return converted


def dollars(amount: float) -> str:
    """An amount in cents, or with all its digits where it has more than cents."""
    sign, cents = "-" if amount < 0 else "", f"{abs(amount):,.2f}"
    if round(amount, 6) == round(amount, 2):
        return f"{sign}${cents}"
    return f"{sign}${abs(amount):,.6f}".rstrip("0")


def aligned(amounts: Sequence[float | None], places: int = 2) -> list[str]:
    """A column of amounts with aligned decimal points."""
    texts = [usd(amount, places) or "-" for amount in amounts]
    wide = max(map(len, texts), default=0)
    return [text.rjust(wide) for text in texts]


def percent(part: float | None) -> str:
    """`███░░░░░░░  31.0%` of a fraction; more than 100 % fills the bar."""
    if part is None:
        return "-"
    filled = round(max(0.0, min(1.0, part)) * BAR)
    full, empty = _letters()
    return f"{full * filled}{empty * (BAR - filled)} {100 * part:5.1f}%"


def text_bar(amount: float, most: float, wide: int) -> str:
    """A bar for an amount; the greatest amount is `wide` letters long."""
    if most <= 0 or amount <= 0:
        return ""
    full, _ = _letters()
    eighths = max(1, round(8 * wide * amount / most))
    if full != FULL_BLOCK:
        return full * max(1, eighths // 8)
    return (full * (eighths // 8) + BLOCKS[eighths % 8]).rstrip()


def _letters() -> tuple[str, str]:
    """The characters of a bar: blocks if the terminal can show them, else ASCII."""
    return (
        (FULL_BLOCK, REST) if (sys.stdout.encoding or "").lower().startswith("utf") else ("#", ".")
    )
