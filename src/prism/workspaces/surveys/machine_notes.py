"""What machines lack while they run, such as a limit of memory."""

from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Lock

from prism.workspaces.model import Workspace
from prism.workspaces.ports import Machine

Notes = Mapping[str, tuple[str, ...]]


class MachineNotes:
    """Implements `MachineObserver`; remembers the notes that machines were last seen with."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_location: dict[str, Notes] = {}
        self.changed: list[Callable[[Collection[str]], object]] = []
        """Called with the ids of the workspaces whose notes have changed."""

    def saw(self, machines: Mapping[str, Iterable[Machine]]) -> None:
        """Replace the notes of all machines in these locations."""
        for location, group in machines.items():
            now = {machine.key: machine.notes for machine in group if machine.notes}
            with self._lock:
                before = self._by_location.get(location, {})
                self._by_location[location] = now
            self._tell({id for id in before.keys() | now.keys() if before.get(id) != now.get(id)})

    def looked_at(self, location: str, machine: Machine) -> None:
        """Replace the notes of one machine."""
        with self._lock:
            before = self._by_location.get(location, {})
            if before.get(machine.key, ()) == machine.notes:
                return
            self._by_location[location] = {**before, machine.key: machine.notes}
        self._tell({machine.key})

    def of(self, workspace: Workspace) -> tuple[str, ...]:
        """The notes about the machine of a workspace."""
        return self._by_location.get(workspace.location, {}).get(workspace.id, ())

    def _tell(self, ids: Collection[str]) -> None:
        if ids:
            for listener in self.changed:
                listener(ids)
