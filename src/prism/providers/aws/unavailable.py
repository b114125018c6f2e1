"""A place that cannot be asked now, and says why to whoever asks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn

from prism.connections.ports import Spot
from prism.errors import Problem
from prism.logs.ports import Kind, LogChunk
from prism.workspaces.idleness import IdleRule
from prism.workspaces.ports import Access, Machine, MachineOrder


class UnavailableProvider:
    """Implements `Compute`, `Reach` and `Logs`: every call raises the reason, made anew."""

    busy = timedelta(seconds=2)
    calm = timedelta(seconds=30)
    patience = timedelta(minutes=1)

    def __init__(self, reason: Problem) -> None:
        self.reason = reason

    def survey(self) -> Sequence[Machine]:
        """Nobody knows what is there."""
        self._refuse()

    def launch(self, order: MachineOrder) -> Machine:
        """Not now."""
        self._refuse()

    def start(self, id: str) -> None:
        """Not now."""
        self._refuse()

    def stop(self, id: str) -> None:
        """Not now."""
        self._refuse()

    def hibernate(self, id: str) -> None:
        """Not now."""
        self._refuse()

    def terminate(self, id: str) -> None:
        """Not now."""
        self._refuse()

    def expire(self, id: str, at: datetime | None, action: Literal["hibernate", "stop"]) -> None:
        """Not now."""
        self._refuse()

    def resize(self, id: str, instance_type: str) -> None:
        """Not now."""
        self._refuse()

    def change_template(self, id: str, order: MachineOrder) -> None:
        """Not now."""
        self._refuse()

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Not now."""
        self._refuse()

    def describe(self, id: str, order: MachineOrder) -> None:
        """Not now."""
        self._refuse()

    def access(self, id: str) -> Access:
        """There is no way in now."""
        self._refuse()

    def spot(self, id: str, port: int) -> Spot | None:
        """There is no way there now."""
        self._refuse()

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """Not to be read now."""
        self._refuse()

    def after(self, id: str, kind: Kind, mark: Any) -> LogChunk:
        """Not to be read now."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise anew(self.reason)


def anew(problem: Problem) -> Problem:
    """The same problem, for one more to raise: an exception remembers who raised it."""
    fresh = type(problem)(
        problem.message,
        details=problem.details,
        remediation=problem.remediation,
        data=problem.data,
    )
    fresh.code = problem.code
    return fresh
