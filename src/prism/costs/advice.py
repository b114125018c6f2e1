"""Advice on spending less, from measurements, if there are enough: pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from prism.catalog.model import MachineType
from prism.catalog.plan import TYPES, price
from prism.costs.model import CostRecommendation, MeasuredUsage, UsageStatistics
from prism.kit.money import CENT, Micros, amount

ENOUGH = 24.0  # hours
IDLE = 0.25  # a share of the time
ROOM = 0.8  # of a smaller machine, the most that the busiest measured moment may use
QUIET = 5.0  # percent of a GPU


def enough(observed: Sequence[MeasuredUsage]) -> list[MeasuredUsage]:
    """The workspaces that were measured for a day or more."""
    return [usage for usage in observed if usage.hours >= ENOUGH]


def advice(observed: Sequence[MeasuredUsage], paid: Mapping[str, int]) -> list[CostRecommendation]:
    """How to spend less on each workspace that was measured for a day or more.

    `paid` is what each has cost while it ran, by name; all advice about a workspace together saves
    at most that.
    """
    suggestions: list[CostRecommendation] = []
    for usage in enough(observed):
        suggestions += _capped(paid.get(usage.workspace, 0), _advice_about(usage))
    return sorted(suggestions, key=lambda tip: (-tip.potential_savings, tip.instance, tip.type))


def _capped(paid: int, suggestions: Iterable[CostRecommendation]) -> Iterator[CostRecommendation]:
    """The suggestions, limited to savings of at most what was paid."""
    left = paid
    for advice in suggestions:
        saved = min(left, round(advice.potential_savings * 1e6))
        left -= saved
        yield replace(advice, potential_savings=amount(Micros(saved // CENT * CENT)))


def _advice_about(usage: MeasuredUsage) -> Iterator[CostRecommendation]:
    if not usage.hourly:
        return
    if usage.idle_hours >= IDLE * usage.hours:
        yield _sleep_advice(usage, usage.hourly)
    # Hours of sleep cost nothing, so a smaller type saves nothing in them.
    slept = usage.idle_hours if usage.idle_hours >= IDLE * usage.hours else 0.0
    if (downsize := _downsize_advice(usage, usage.hourly, usage.hours - slept)) is not None:
        yield downsize
    if (without := _gpu_advice(usage)) is not None:
        yield without


def _sleep_advice(usage: MeasuredUsage, hourly: Micros) -> CostRecommendation:
    how = "automated hibernation" if usage.hibernates else "automated stopping"
    text = (
        f"Enable {how}, or let it act sooner: it was idle for {usage.idle_hours:.0f} "
        f"of {usage.hours:.0f} measured hours (`prism idle configure {usage.workspace} standard`)"
    )
    kind = "hibernation" if usage.hibernates else "stop"
    return _new_advice(usage, kind, int(hourly * usage.idle_hours), text)


def _downsize_advice(
    usage: MeasuredUsage, hourly: Micros, hours: float
) -> CostRecommendation | None:
    """The cheapest type of the family that would have been enough at the busiest moment."""
    now = TYPES.get(usage.instance_type)
    if now is None or not _is_measured(usage, usage.cpu) or not _is_measured(usage, usage.memory):
        return None
    assert usage.cpu is not None, "it is known"
    assert usage.memory is not None, "it is known"
    fitting = [
        (known.hourly, kind.name)
        for kind in _smaller_types(now)
        if usage.cpu.max <= 100 * kind.vcpus * ROOM
        and usage.memory.max * now.memory_gib <= 100 * kind.memory_gib * ROOM
        and (known := price(kind.name, usage.region)) is not None
        and known.hourly < hourly
    ]
    if not fitting:
        return None
    less, name = min(fitting)
    mean, most = (part / now.vcpus for part in (usage.cpu.mean, usage.cpu.max))
    text = (
        f"Downsize from {usage.instance_type} to {name}: "
        f"in {usage.hours:.0f} measured hours it used "
        f"{mean:.0f} % of its processors, {most:.0f} % at most, and at most "
        f"{usage.memory.max:.0f} % of its memory "
        f"(`prism resize {usage.workspace} --instance-type {name}`)"
    )
    return _new_advice(usage, "rightsizing", int((hourly - less) * hours), text)


def _gpu_advice(usage: MeasuredUsage) -> CostRecommendation | None:
    """Advice to use no GPU, if it was not used; the savings depend on the other type."""
    now = TYPES.get(usage.instance_type)
    if now is None or not now.gpus or usage.gpu is None or not _is_measured(usage, usage.gpu):
        return None
    if usage.gpu.max > QUIET:
        return None
    text = (
        f"Launch it without a GPU: in {usage.hours:.0f} measured hours its GPU was used for "
        f"{usage.gpu.max:.0f} % at most"
    )
    return _new_advice(usage, "gpu", 0, text)


def _is_measured(measured: MeasuredUsage, usage: UsageStatistics | None) -> bool:
    """Whether a figure was measured for long enough."""
    return usage is not None and usage.hours >= max(ENOUGH, measured.hours / 2)


def _smaller_types(now: MachineType) -> list[MachineType]:
    """The smaller types of the same family, with as many GPUs."""
    family = now.name.partition(".")[0]
    return [
        machine_type
        for machine_type in TYPES.values()
        if machine_type.name.partition(".")[0] == family
        and machine_type.gpus == now.gpus
        and (machine_type.vcpus, machine_type.memory_gib) < (now.vcpus, now.memory_gib)
    ]


def _new_advice(
    usage: MeasuredUsage, kind: str, saved: int, recommendation: str
) -> CostRecommendation:
    return CostRecommendation(
        type=kind,
        instance=usage.workspace,
        potential_savings=amount(Micros(saved)),
        recommendation=recommendation,
        measured=usage,
    )
