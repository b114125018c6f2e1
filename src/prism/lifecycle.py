"""The states in which a workspace is changing, and the verbs that lead to another state.

Each is declared once, by name. From a verb follow the states in `workspaces/plan.py`, the
rights, what works on a full disk, the goal that clients wait for, the commands and their
completion. It imports nothing, since `prism --help` imports it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

COMES_UP = frozenset({"launching", "starting", "resuming"})
UNDER_WAY = COMES_UP | {"stopping", "hibernating", "terminating"}


class Verb:
    """One verb: in which states it is possible, and to which one it leads.

    `done` are the states in which there is nothing left to do. `bulk` are those in which `--all`
    and the GUI offer it: where it is possible, unless stated otherwise.
    """

    def __init__(
        self,
        summary: str,
        *,
        possible: Iterable[str],
        done: Iterable[str] = (),
        goal: str,
        bulk: Iterable[str] | None = None,
        frees_space: bool = False,
    ) -> None:
        self.summary, self.goal, self.frees_space = summary, goal, frees_space
        self.possible, self.done = frozenset(possible), frozenset(done)
        self.bulk = self.possible if bulk is None else frozenset(bulk)


VERBS = {
    "stop": Verb(
        "Stop a workspace, keeping its disk",
        possible=("running", "launching"),
        done=("stopping", "stopped"),
        goal="stopped",
        frees_space=True,
    ),
    "start": Verb(
        "Start a stopped, hibernated or failed workspace",
        possible=("stopped", "failed", "hibernated"),
        done=("starting", "running"),
        goal="running",
    ),
    "restart": Verb(
        "Stop a workspace and start it again",
        possible=("running", "stopped", "failed"),
        goal="running",
        bulk=("running",),  # by its name, one that is stopped is started
    ),
    "hibernate": Verb(
        "Pause a workspace and keep its memory (on this computer in RAM)",
        possible=("running",),
        done=("hibernating", "hibernated"),
        goal="hibernated",
        frees_space=True,
    ),
    "resume": Verb(
        "Resume a hibernated workspace",
        possible=("hibernated",),
        done=("resuming", "running"),
        goal="running",
    ),
    "terminate": Verb(
        "Destroy a workspace and its data",
        possible=(
            *("running", "stopped", "failed", "hibernated"),
            *UNDER_WAY - {"terminating"},
        ),
        done=("terminating", "terminated"),
        goal="terminated",
        frees_space=True,
    ),
}
