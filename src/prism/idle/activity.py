"""Records the activity of workspaces in the last 24 hours, in steps of ten minutes, for charts.

A read adds the sums that are not written yet.
"""

from collections.abc import Hashable, Iterator
from threading import Lock
from typing import TypeVar

from prism.idle import store
from prism.idle.model import SHOWN_FIGURES, STEP_SECONDS, ActivityStep, FigureSum
from prism.idle.recorder import Recorder
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.workspaces import store as workspaces
from prism.workspaces.idleness import Idleness

STEPS_SHOWN = 24 * 3600 // STEP_SECONDS
MOST_REASONS, LONGEST_REASON = 5, 200

Steps = dict[tuple[str, int], ActivityStep]
K = TypeVar("K", bound=Hashable)


class ActivityRecorder(Recorder):
    """Sums up the measurements of each workspace, and writes the sums."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock)
        self._new: Steps = {}
        self._being_written: Steps = {}
        self._lock = Lock()  # measurements and reads come from different threads

    def write(self) -> None:
        """Write the sums, and delete those older than a day; retried at the next measurement."""
        oldest = self.oldest()
        with self._lock:
            for key, activity_step in self._new.items():
                _join(self._being_written, key, activity_step)
            self._new = {}
            steps = {key: step for key, step in self._being_written.items() if key[1] >= oldest}
            self._being_written = steps
        if not steps:
            return
        with self._db.write() as tx:
            ids = sorted({key for key, _ in steps})
            existing = {workspace.id for workspace in workspaces.by_ids(tx.sql, ids)}
            store.save_steps(tx, {key: step for key, step in steps.items() if key[0] in existing})
            store.forget_steps(tx, oldest)
        with self._lock:
            self._being_written = {}

    def steps(self, workspace: str) -> list[ActivityStep]:
        """The steps of one workspace in the last 24 hours, the oldest first."""
        oldest = self.oldest()
        with self._lock:
            both = (self._being_written, self._new)
            pending = [
                activity_step
                for buffer in both
                for (key, _), activity_step in buffer.items()
                if key == workspace
            ]
        with self._db.read() as sql:
            steps = store.steps_of(sql, workspace, oldest)
        for activity_step in pending:
            if activity_step.number >= oldest:
                _join(steps, activity_step.number, activity_step)
        return [steps[number] for number in sorted(steps)]

    def oldest(self) -> int:
        """The number of the first step of the last 24 hours."""
        return int(self._clock.now().timestamp()) // STEP_SECONDS - STEPS_SHOWN

    def _add(self, key: str, idleness: Idleness, since: int, until: int) -> None:
        state = idleness.state or "unknown"
        because = tuple(why[:LONGEST_REASON] for why in idleness.because[:MOST_REASONS])
        with self._lock:
            for number, began, ended in steps_between(since, until):
                length = ended - began
                new = ActivityStep(
                    number=number,
                    began=began,
                    until=ended,
                    seconds={state: length},
                    reasons={state: because},
                    figures={
                        name: FigureSum().more(length, value)
                        for name, figure in SHOWN_FIGURES.items()
                        if (value := idleness.figures.get(figure)) is not None
                    },
                )
                _join(self._new, (key, number), new)


def _join(steps: dict[K, ActivityStep], key: K, later: ActivityStep) -> None:
    """Add a step, joined with the one that is there."""
    before = steps.get(key)
    steps[key] = before.joined(later) if before else later


def steps_between(since: int, until: int) -> Iterator[tuple[int, int, int]]:
    """The steps that a period overlaps: the number of each, and the overlapping part of it."""
    while since < until:
        ended = min(until, (since // STEP_SECONDS + 1) * STEP_SECONDS)
        yield since // STEP_SECONDS, since, ended
        since = ended
