"""The parts that show how a daemon is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from prism.daemon.migrations import MIGRATIONS_FOLDER
from prism.daemon.watching.metrics import EVERY_PROVIDER, Metrics, MetricSources
from prism.daemon.watching.readiness import ServiceReadiness, database_reasons
from prism.daemon.watching.readings import oldest_changes, size_of, workspace_counts
from prism.daemon.wiring.providers import ProviderWiring
from prism.kit.database.migrate import revisions
from prism.kit.request_counts import RequestCounts
from prism.profiles.providers import LOCAL, provider_of
from prism.providers.aws.api.call_counts import AWS_CALLS

if TYPE_CHECKING:
    from prism.kit.database.disk_reserve import Reserve
    from prism.kit.reconcile import Loop
    from prism.projects.service import ProjectService
    from prism.workspaces.read_model import ReadModel


class WatchingWiring(ProviderWiring):
    """A base class of `Wiring`."""

    if TYPE_CHECKING:  # `Wiring` makes them

        @cached_property
        def read_model(self) -> ReadModel: ...  # noqa: D102
        @cached_property
        def projects(self) -> ProjectService: ...  # noqa: D102
        @cached_property
        def reserve(self) -> Reserve: ...  # noqa: D102
        @property
        def loops(self) -> list[Loop[Any]]: ...  # noqa: D102

    @cached_property
    def readiness(self) -> ServiceReadiness:
        """Whether the daemon can serve requests now."""
        ask = partial(database_reasons, self.db, revisions(MIGRATIONS_FOLDER)[-1])
        return ServiceReadiness(ask, lambda: self.first_surveys.is_awaited)

    @cached_property
    def request_counts(self) -> RequestCounts:
        """Counts requests."""
        return RequestCounts()

    @cached_property
    def metrics(self) -> Metrics:
        """The numbers for Prometheus."""
        model, clock = self.read_model, self.clock
        return Metrics(
            MetricSources(
                loops=self._loops_by_provider,
                workspaces=lambda: workspace_counts(model.known),
                oldest_change=lambda: oldest_changes(model.known, clock.now()),
                requests=self.request_counts.snapshot,
                calls=AWS_CALLS.snapshot,
                database_size=lambda: size_of(self.db, self.settings.database),
                disk_free=lambda: self.reserve.free,
                projects=self.projects.every,
            )
        )

    def _loops_by_provider(self) -> Iterator[tuple[str, Loop[Any]]]:
        """Every loop with the provider whose rows it handles."""
        for loop in self.loops:
            yield LOCAL if loop in self.local_loops else EVERY_PROVIDER, loop
        for location, loops in [*self.joined_loops.items()]:
            yield from ((provider_of(location), loop) for loop in loops)
