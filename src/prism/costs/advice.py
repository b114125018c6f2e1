"""Ways to spend less, from what was measured: pure, and silent where too little was."""

from collections.abc import Sequence

from prism.catalog.plan import TYPES, price
from prism.costs.model import MONTH_HOURS, Advice, Observed
from prism.kit.money import Micros, amount

ENOUGH = 24.0  # hours
IDLE, CALM = 0.25, 10.0  # a share of the time, and percent of the processor


def advice(observed: Sequence[Observed]) -> list[Advice]:
    """What each workspace that was measured for a day or more could do without."""
    found = []
    for it in observed:
        if it.hours < ENOUGH or not it.hourly:
            continue
        found += [one for one in (_sleep(it), _smaller(it)) if one is not None]
    return sorted(found, key=lambda one: (-one.potential_savings, one.instance))


def _sleep(it: Observed) -> Advice | None:
    if it.idle_hours < IDLE * it.hours or it.hourly is None:
        return None
    saved = amount(Micros(int(it.hourly * it.idle_hours)))
    said = (
        f"Enable automated hibernation: it was idle for {it.idle_hours:.0f} "
        f"of {it.hours:.0f} measured hours"
    )
    return Advice(
        type="hibernation", instance=it.workspace, potential_savings=saved, recommendation=said
    )


def _smaller(it: Observed) -> Advice | None:
    if it.cpu_percent is None or it.cpu_percent >= CALM or it.hourly is None:
        return None
    if (less := _next_smaller(it.instance_type)) is None:
        return None
    name, hourly = less
    if hourly >= it.hourly:
        return None
    saved = amount(Micros(int((it.hourly - hourly) * min(it.hours, MONTH_HOURS))))
    said = (
        f"Downsize from {it.instance_type} to {name}: "
        f"it used {it.cpu_percent:.0f} % of its processors"
    )
    return Advice(
        type="rightsizing", instance=it.workspace, potential_savings=saved, recommendation=said
    )


def _next_smaller(kind: str) -> tuple[str, Micros] | None:
    """The next smaller type of its family, with half the processors or half the memory."""
    now = TYPES.get(kind)
    if now is None:
        return None
    family = kind.partition(".")[0]
    known = [
        it
        for it in TYPES.values()
        if it.name.partition(".")[0] == family and it.memory_gib < now.memory_gib
    ]
    if not known:
        return None
    name = max(known, key=lambda it: (it.memory_gib, it.vcpus)).name
    found = price(name, "us-east-1")
    return None if found is None else (name, found.hourly)
