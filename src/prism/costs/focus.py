"""The ledger as rows of FOCUS 1.2, the FinOps Foundation's format for bills: pure functions.

https://focus.finops.org/focus-specification/v1-2/ defines the columns and their allowed values.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from prism.catalog.plan import size_words
from prism.costs.model import HOUR, CostKind, Segment
from prism.costs.months import elapsed
from prism.costs.plan import moment, month_of, segment_cost, unix_time
from prism.profiles.providers import TRAITS, provider_of, traits_of

SERVICE_CATEGORIES = {
    CostKind.COMPUTE: ("Compute", "Virtual machines"),
    CostKind.ADDRESS: ("Networking", "Public addresses"),
    CostKind.ROOT: ("Storage", "Disks of virtual machines"),
    CostKind.VOLUME: ("Storage", "Block storage"),
    CostKind.FILES: ("Storage", "Shared file systems"),
    CostKind.SNAPSHOT: ("Storage", "Snapshots"),
}
PRICING_UNITS = {1: "Hours"}  # what a price is for; else a month
QUANTITY_DECIMALS = 9  # decimals of a quantity
FOCUS_COLUMNS = (
    *("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"),
    *("ListUnitPrice", "ContractedUnitPrice", "PricingQuantity", "PricingUnit"),
    *("ConsumedQuantity", "ConsumedUnit", "BillingCurrency"),
    *("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"),
    *("BillingAccountId", "BillingAccountName", "SubAccountId", "SubAccountName"),
    *("ProviderName", "PublisherName", "InvoiceIssuerName"),
    *("ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency"),
    *("PricingCategory", "ServiceCategory", "ServiceName"),
    *("ResourceId", "ResourceName", "ResourceType", "SkuId", "Tags"),
)


def focus_rows(
    segments: Sequence[Segment],
    start: int,
    end: int,
    *,
    projects: Mapping[str, str],
    pools: Mapping[str, str],
    providers: Mapping[str, str],
) -> Iterator[dict[str, object]]:
    """What segments cost in a period, in a row for each calendar month in UTC.

    Costs of a price that is not known are empty. Savings are no costs, so they have no row.
    `providers` has the provider of each profile.
    """
    for segment in segments:
        if not segment.is_paid:
            continue
        begin = max(segment.began, start)
        stop = end if segment.until is None else min(segment.until, end)
        while begin < stop:
            opens, closes = map(unix_time, month_of(moment(begin)))
            until = min(stop, closes)
            yield {
                **_costs(segment, begin, until),
                "BillingPeriodStart": _time(opens),
                "BillingPeriodEnd": _time(closes),
                **_resource(segment, projects, pools, providers),
            }
            begin = until


def _costs(segment: Segment, begin: int, until: int) -> dict[str, object]:
    """The costs of a part of a segment: exact, so that all parts add up to the ledger's sum."""
    cost, price = "", ""
    if segment.amount is not None:
        cost = _usd(segment_cost(segment, until) - segment_cost(segment, begin))
        price = _usd(segment.amount)
    seconds = elapsed(segment.began, until, by_month=segment.by_month)
    seconds -= elapsed(segment.began, begin, by_month=segment.by_month)
    quantity = f"{Decimal(seconds) / (segment.hours * HOUR):.{QUANTITY_DECIMALS}f}"
    unit = PRICING_UNITS.get(segment.hours, "Months")
    return {
        **dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost),
        **dict.fromkeys(("ListUnitPrice", "ContractedUnitPrice"), price),
        **{"PricingQuantity": quantity, "PricingUnit": unit},
        **{"ConsumedQuantity": quantity, "ConsumedUnit": unit},
        "BillingCurrency": "USD",
        "ChargePeriodStart": _time(begin),
        "ChargePeriodEnd": _time(until),
    }


def _resource(
    segment: Segment,
    projects: Mapping[str, str],
    pools: Mapping[str, str],
    providers: Mapping[str, str],
) -> dict[str, object]:
    category, service = SERVICE_CATEGORIES[segment.kind]
    # Volumes and snapshots are booked on a location, of which only the provider has a name.
    provider, sku = providers.get(segment.profile, provider_of(segment.profile)), segment.detail
    if segment.kind is CostKind.COMPUTE and traits_of(provider).simulated_prices_of:
        sku = size_words(sku)  # the machine type is only that of the simulated price
    tags = {
        "owner": segment.owner,
        "template": segment.template,
        "budget": pools.get(segment.pool or ""),
        "price_source": segment.source,
    }
    return {
        "BillingAccountId": segment.profile,
        "BillingAccountName": segment.profile,
        "SubAccountId": segment.project or "",
        "SubAccountName": projects.get(segment.project or "", ""),
        **dict.fromkeys(
            ("ProviderName", "PublisherName", "InvoiceIssuerName"),
            provider if provider in TRAITS else "Unknown",
        ),
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": f"{service}: {sku}",
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Standard",
        "ServiceCategory": category,
        "ServiceName": service,
        "ResourceId": segment.resource,
        "ResourceName": segment.name,
        "ResourceType": service,
        "SkuId": sku,
        "Tags": json.dumps({key: value for key, value in tags.items() if value}),
    }


def _usd(micros: int) -> str:
    return f"{Decimal(micros) / 1_000_000:.6f}"


def _time(at: int) -> str:
    return f"{moment(at):%Y-%m-%dT%H:%M:%SZ}"
