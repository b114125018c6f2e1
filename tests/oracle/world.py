"""A cloud that records the real states of every machine, from which the oracle computes costs."""

from dataclasses import dataclass, field
from datetime import datetime

from prism.workspaces.model import Observed, WorkspaceFailure
from tests.doubles.memory import Change, MemoryCompute

Phase = tuple[int, int | None, Observed, bool]  # from, to, state, whether it was hibernating


@dataclass
class Recording(MemoryCompute):
    """`log` has the changes of each machine, with the name of its workspace."""

    log: list[tuple[str, Change]] = field(default_factory=list)

    def _change(
        self, id: str, meanwhile: Observed, then: Observed, failure: WorkspaceFailure | None = None
    ) -> None:
        super()._change(id, meanwhile, then, failure)
        self._note(id, self._changes[id])

    def _expire(self, id: str, now: datetime) -> None:
        before = self._changes[id]
        super()._expire(id, now)
        if self._changes[id] is not before:
            self._note(id, self._changes[id])

    def _note(self, id: str, change: Change) -> None:
        self.log.append((self._specs[id].name, change))

    def phases(self, name: str) -> list[Phase]:
        """The phases of a machine: (from, to or None, state, whether it was hibernating)."""
        phases: list[Phase] = []
        changes = [change for of, change in self.log if of == name]
        for change, later in zip(changes, [*changes[1:], None], strict=True):
            end = later.began if later else None
            if end is None or change.began < min(end, change.ends):
                dozes = (change.meanwhile, change.then) == (Observed.STOPPING, Observed.ASLEEP)
                until = change.ends if end is None else min(end, change.ends)
                if change.began < until:
                    phases.append((second(change.began), second(until), change.meanwhile, dozes))
            if end is None or change.ends <= end:
                until_later = None if end is None else second(end)
                phases.append((second(change.ends), until_later, change.then, False))
        return phases


def second(at: datetime) -> int:
    """A time in whole seconds since 1970."""
    return int(at.timestamp())
