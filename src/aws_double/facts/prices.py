"""On-demand prices from Prism's own table, so that the double and the catalog agree."""

from decimal import Decimal

from prism.catalog.table import HOURLY, PRICED_REGIONS, PRICES_AS_OF, STORAGE


def hourly(type: str, region: str) -> Decimal | None:
    """USD an hour, Linux, on demand; None if the table has no price."""
    if region not in PRICED_REGIONS or type not in HOURLY:
        return None
    return Decimal(HOURLY[type])


def storage(kind: str, region: str) -> tuple[Decimal, str] | None:
    """USD, and per what."""
    if region not in PRICED_REGIONS or kind not in STORAGE:
        return None
    usd, unit = STORAGE[kind]
    return Decimal(usd), unit


def as_of() -> str:
    """The day of these prices."""
    return PRICES_AS_OF
