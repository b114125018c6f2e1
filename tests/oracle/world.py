"""A cloud that remembers what every machine really was, and when: the truth of the oracle."""

from dataclasses import dataclass, field

from prism.workspaces.model import Observed
from tests.doubles.memory import Change, MemoryCompute


@dataclass
class Recording(MemoryCompute):
    """`log` is what each machine became, by the name of its workspace."""

    log: list = field(default_factory=list)

    def _change(self, id, meanwhile, then, failure=None):
        super()._change(id, meanwhile, then, failure)
        self._note(id, self._changes[id])

    def _expire(self, id, now):
        before = self._changes[id]
        super()._expire(id, now)
        if self._changes[id] is not before:
            self._note(id, self._changes[id])

    def _note(self, id, change: Change):
        self.log.append((self._orders[id].name, change))

    def phases(self, name):
        """What the machine of a workspace was: (from, to or None, what, whether it dozed off)."""
        found = []
        changes = [change for of, change in self.log if of == name]
        for change, later in zip(changes, [*changes[1:], None], strict=True):
            end = later.began if later else None
            if end is None or change.began < min(end, change.ends):
                dozes = (change.meanwhile, change.then) == (Observed.STOPPING, Observed.ASLEEP)
                until = change.ends if end is None else min(end, change.ends)
                if change.began < until:
                    found.append((second(change.began), second(until), change.meanwhile, dozes))
            if end is None or change.ends <= end:
                found.append((second(change.ends), second(end), change.then, False))
        return found


def second(at):
    """A time in whole seconds since 1970."""
    return None if at is None else int(at.timestamp())
