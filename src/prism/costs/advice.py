"""Ways to spend less, from what was measured: pure, and silent where too little was."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from prism.catalog.model import MachineType
from prism.catalog.plan import TYPES, price
from prism.costs.model import Advice, Observed, Usage
from prism.kit.money import CENT, Micros, amount

ENOUGH = 24.0  # hours
IDLE = 0.25  # a share of the time
ROOM = 0.8  # of a smaller machine, at the busiest moment that was measured
QUIET = 5.0  # percent of a GPU


def enough(observed: Sequence[Observed]) -> list[Observed]:
    """Those that were measured for a day or more."""
    return [it for it in observed if it.hours >= ENOUGH]


def advice(observed: Sequence[Observed], paid: Mapping[str, int] | None = None) -> list[Advice]:
    """What each workspace that was measured for a day or more could do without.

    `paid` is what each has cost while it ran, by its name: no advice, nor all that there is
    about one, would have saved more than that.
    """
    found: list[Advice] = []
    for it in enough(observed):
        most = None if paid is None else paid.get(it.workspace, 0)
        found += _within(most, _all(it))
    return sorted(found, key=lambda one: (-one.potential_savings, one.instance, one.type))


def _within(paid: int | None, found: Iterable[Advice]) -> Iterator[Advice]:
    """As it is, but altogether no more than what was paid."""
    if paid is None:
        yield from found
        return
    left = paid
    for one in found:
        saved = min(left, round(one.potential_savings * 1e6))
        left -= saved
        yield replace(one, potential_savings=amount(Micros(saved // CENT * CENT)))


def _all(it: Observed) -> Iterator[Advice]:
    if not it.hourly:
        return
    if it.idle_hours >= IDLE * it.hours:
        yield _sleep(it, it.hourly)
    # Both together: what slept would have cost nothing, whatever its type.
    slept = it.idle_hours if it.idle_hours >= IDLE * it.hours else 0.0
    if (less := _smaller(it, it.hourly, it.hours - slept)) is not None:
        yield less
    if (without := _without_gpu(it)) is not None:
        yield without


def _sleep(it: Observed, hourly: Micros) -> Advice:
    how = "automated hibernation" if it.hibernates else "automated stopping"
    said = (
        f"Enable {how}, or let it act sooner: it was idle for {it.idle_hours:.0f} "
        f"of {it.hours:.0f} measured hours (`prism idle configure {it.workspace} standard`)"
    )
    kind = "hibernation" if it.hibernates else "stop"
    return _advice(it, kind, int(hourly * it.idle_hours), said)


def _smaller(it: Observed, hourly: Micros, hours: float) -> Advice | None:
    """The cheapest type of its family that would have been enough at the busiest moment."""
    now = TYPES.get(it.instance_type)
    if now is None or not _known(it, it.cpu) or not _known(it, it.memory):
        return None
    assert it.cpu is not None, "it is known"
    assert it.memory is not None, "it is known"
    fitting = [
        (known.hourly, kind.name)
        for kind in _family(now)
        if it.cpu.max <= 100 * kind.vcpus * ROOM
        and it.memory.max * now.memory_gib <= 100 * kind.memory_gib * ROOM
        and (known := price(kind.name, it.region)) is not None
        and known.hourly < hourly
    ]
    if not fitting:
        return None
    less, name = min(fitting)
    mean, most = (part / now.vcpus for part in (it.cpu.mean, it.cpu.max))
    said = (
        f"Downsize from {it.instance_type} to {name}: in {it.hours:.0f} measured hours it used "
        f"{mean:.0f} % of its processors, {most:.0f} % at most, and at most "
        f"{it.memory.max:.0f} % of its memory "
        f"(`prism resize {it.workspace} --instance-type {name}`)"
    )
    return _advice(it, "rightsizing", int((hourly - less) * hours), said)


def _without_gpu(it: Observed) -> Advice | None:
    """A GPU that nobody used; what it would save depends on what is taken instead."""
    now = TYPES.get(it.instance_type)
    if now is None or not now.gpus or it.gpu is None or not _known(it, it.gpu):
        return None
    if it.gpu.max > QUIET:
        return None
    said = (
        f"Launch it without a GPU: in {it.hours:.0f} measured hours its GPU was used for "
        f"{it.gpu.max:.0f} % at most"
    )
    return _advice(it, "gpu", 0, said)


def _known(it: Observed, usage: Usage | None) -> bool:
    """Whether a figure was measured for long enough to be believed."""
    return usage is not None and usage.hours >= max(ENOUGH, it.hours / 2)


def _family(now: MachineType) -> list[MachineType]:
    """The smaller types of its family, with as many GPUs."""
    family = now.name.partition(".")[0]
    return [
        it
        for it in TYPES.values()
        if it.name.partition(".")[0] == family
        and it.gpus == now.gpus
        and (it.vcpus, it.memory_gib) < (now.vcpus, now.memory_gib)
    ]


def _advice(it: Observed, kind: str, saved: int, said: str) -> Advice:
    return Advice(
        type=kind,
        instance=it.workspace,
        potential_savings=amount(Micros(saved)),
        recommendation=said,
        measured=it,
    )
