"""The numbers of `/metrics`, in the format of Prometheus.

Labels have few values, and none names a workspace or a person. Projects are named where their
money is shown, which only the operator gets. What is unknown is left out, never 0.

Counting is Prism's own, since it is a part of each request. The library only writes the answer,
and is loaded at the first one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from prism import __version__
from prism.access.rules import PARAMETER
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.request_counts import BOUNDS, RequestKind, Tally
from prism.providers.aws.api.call_counts import CallKind

if TYPE_CHECKING:
    from prometheus_client import Metric

    from prism.kit.reconcile import Loop
    from prism.projects.model import ProjectShown

LabelValues = TypeVar("LabelValues", bound=tuple[str, ...])
EVERY_PROVIDER = "all"  # of loops that serve all providers, such as the one of mails


class DatabaseNumbers(Struct, frozen=True):
    """What only the database knows: its size, and by loop, for how long work has been overdue."""

    size: int
    overdue: Mapping[tuple[str, str], float]


class MetricSources(Struct, frozen=True):
    """Where the numbers come from. Each part is asked at each reading."""

    loops: Callable[[], Iterable[tuple[str, Loop[Any]]]]
    """Every loop with its provider."""
    workspaces: Callable[[], Mapping[tuple[str, str], int]]
    """How many workspaces there are, by state and provider."""
    oldest_change: Callable[[], Mapping[str, float]]
    """By provider, the seconds since the oldest request that is not carried out yet."""
    requests: Callable[[], Mapping[RequestKind, Tally]]
    calls: Callable[[], Mapping[CallKind, int]]
    database_size: Callable[[], int]
    disk_free: Callable[[], int]
    projects: Callable[[], Sequence[ProjectShown]]


class Metrics:
    """Reads all numbers, and writes them down."""

    def __init__(self, sources: MetricSources) -> None:
        self._sources = sources

    def text(self, accept: str, readers: int, *, with_money: bool) -> tuple[bytes, str]:
        """The numbers, and their media type; `accept` is that header of the request."""
        from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415  cold start: 0.1 s, at the first reading
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415  cold start

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Collector(self._sources, readers, with_money=with_money))
        encode, media_type = choose_encoder(accept)
        return encode(registry), media_type


class _Collector:
    def __init__(self, sources: MetricSources, readers: int, *, with_money: bool) -> None:
        self._sources, self._readers, self._with_money = sources, readers, with_money

    def describe(self) -> list[Metric]:
        """Nothing: a registry would otherwise read all numbers to learn their names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric of Prism."""
        sources = self._sources
        yield gauge("build_info", "1; the version is a label", {(__version__,): 1}, "version")
        loops = [(loop.name, provider, loop) for provider, loop in sources.loops()]
        yield from loop_metrics(loops)
        yield from request_metrics(sources.requests())
        yield from call_metrics(sources.calls())
        text = "Workspaces, also terminated ones in the list"
        yield gauge("workspaces", text, sources.workspaces(), "state", "provider")
        oldest = {(key,): age for key, age in sources.oldest_change().items()}
        text = "Seconds since the oldest request about a workspace that is not carried out yet"
        yield gauge("oldest_unfinished_request_seconds", text, oldest, "provider")
        yield gauge("event_readers", "Open streams of events", {(): self._readers})
        text = "Bytes that are free on the disk of the home"
        yield gauge("disk_free_bytes", text, {(): sources.disk_free()})
        yield from self._of_database(loops)

    def _of_database(self, loops: Iterable[tuple[str, str, Loop[Any]]]) -> Iterator[Metric]:
        """What the database tells; if it is away, only that."""
        try:
            numbers = DatabaseNumbers(self._sources.database_size(), overdue_by_loop(loops))
            projects = self._sources.projects() if self._with_money else None
        except DatabaseUnavailable:
            yield gauge("database_up", "Whether the database answers", {(): 0})
            return
        yield gauge("database_up", "Whether the database answers", {(): 1})
        yield gauge("database_size_bytes", "Size of the database", {(): numbers.size})
        text = "Seconds for which the oldest row has been due without work"
        yield gauge("loop_overdue_seconds", text, numbers.overdue, "loop", "provider")
        if projects is not None:
            yield from money_metrics(projects)


def gauge(name: str, text: str, values: Mapping[LabelValues, float], *labels: str) -> Metric:
    """A gauge; `values` by the values of its labels."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415  cold start

    family = GaugeMetricFamily(f"prism_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def loop_metrics(loops: Iterable[tuple[str, str, Loop[Any]]]) -> Iterator[Metric]:
    """How the loops are: the worst of those with the same labels."""
    ages, failing = dict[tuple[str, str], float](), Counter[tuple[str, str]]()
    for name, provider, loop in loops:
        failing[name, provider] += loop.failing_rows
        if (age := loop.age) is not None:
            ages[name, provider] = max(age, ages.get((name, provider), 0.0))
    text = "Seconds since a loop last looked for work, which it does every few seconds"
    yield gauge("loop_age_seconds", text, ages, "loop", "provider")
    text = "Rows whose last attempt failed, and which are tried again"
    yield gauge("loop_failing_rows", text, failing, "loop", "provider")


def overdue_by_loop(
    loops: Iterable[tuple[str, str, Loop[Any]]],
) -> dict[tuple[str, str], float]:
    """By the name and the provider of loops, for how long their oldest work is overdue."""
    overdue: dict[tuple[str, str], float] = defaultdict(float)
    for name, provider, loop in loops:
        overdue[name, provider] = max(overdue[name, provider], loop.overdue())
    return dict(overdue)


def request_metrics(tallies: Mapping[RequestKind, Tally]) -> Iterator[Metric]:
    """Requests by route, method and status; times by route and method, to have fewer lines."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily  # noqa: PLC0415  cold start

    counts = CounterMetricFamily(
        "prism_http_requests", "Requests", labels=("route", "method", "status")
    )
    times = HistogramMetricFamily(
        "prism_http_request_seconds",
        "Seconds from a request to the begin of its answer",
        labels=("route", "method"),
    )
    buckets: dict[tuple[str, str], list[int]] = {}
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for kind, tally in sorted(tallies.items()):
        route = PARAMETER.sub(r"{\1}", kind.route)
        filled = list(tally.buckets)
        counts.add_metric((route, kind.method, kind.status), sum(filled))
        before = buckets.get((route, kind.method), [0] * len(filled))
        buckets[route, kind.method] = [sum(pair) for pair in zip(before, filled, strict=True)]
        seconds[route, kind.method] += tally.seconds
    bounds = [*map(str, BOUNDS), "+Inf"]
    for key, filled in buckets.items():
        cumulative = [*zip(bounds, accumulate(filled), strict=True)]
        times.add_metric(key, buckets=cumulative, sum_value=seconds[key])
    yield counts
    yield times


def call_metrics(calls: Mapping[CallKind, int]) -> Iterator[Metric]:
    """Calls to AWS by operation and result."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415  cold start

    family = CounterMetricFamily(
        "prism_aws_calls", "Calls to AWS; each try counts", labels=("operation", "result")
    )
    for kind, count in sorted(calls.items()):
        family.add_metric(kind, count)
    yield family


def money_metrics(projects: Sequence[ProjectShown]) -> Iterator[Metric]:
    """The money of each project in USD, as `prism project list` shows it."""
    texts = {
        "spent": "USD that a project has spent",
        "reserved": "USD that are reserved for what may still be spent",
        "left": "USD that a project can still use",
    }
    for part, text in texts.items():
        amounts = {
            (project.name,): float(amount)
            for project in projects
            if (amount := getattr(project.budget, part)) is not None
        }
        yield gauge(f"project_{part}_dollars", text, amounts, "project")
