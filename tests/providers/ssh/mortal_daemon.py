"""A real daemon that dies at any commit or request to a lab server, from a verb on.

`ARMED` names the method of `WorkspaceService` with which the points begin. There is a point before
and after each commit, and before and after each request to the server. It dies at the point with
the name `DIE_AT`, when that is passed for the time `TIME`; the order of points differs between
runs. The names of the points go to `POINTS`.
"""

import contextlib
import os
import signal
import threading
from collections import Counter
from typing import Any

from prism.daemon.main import main
from prism.kit.db import Database
from prism.providers.ssh.server import LabServer
from prism.workspaces.service import WorkspaceService

die_at, time_of_death = os.environ["DIE_AT"], int(os.environ["TIME"])
log = os.open(os.environ["POINTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
lock = threading.RLock()
passed: Counter[str] | None = None  # by name, from the verb on


def point(name: str) -> None:
    """Pass a point, and die there if it is the chosen one."""
    with lock:
        if passed is None:
            return
        os.write(log, f"{name}\n".encode())
        passed[name] += 1
        if name == die_at and passed[name] == time_of_death:
            os.kill(os.getpid(), signal.SIGKILL)


def armed(original: Any) -> Any:
    """The method, with which the points begin."""

    def verb(*args: Any, **options: Any) -> Any:
        global passed
        passed = Counter() if passed is None else passed
        return original(*args, **options)

    return verb


def announced_call(self: Any, do: str, original: Any = LabServer.call, **fields: Any) -> Any:
    """Announce a request to the server."""
    point(f"before {do}")
    answer = original(self, do, **fields)
    point(f"after {do}")
    return answer


@contextlib.contextmanager
def announced_write(self: Any, original: Any = Database.write) -> Any:
    """Announce a commit."""
    with original(self) as tx:
        yield tx
        point("before commit")
    point("after commit")


if __name__ == "__main__":
    Database.write = announced_write  # type: ignore[method-assign]
    LabServer.call = announced_call  # type: ignore[method-assign]
    name = os.environ["ARMED"]
    setattr(WorkspaceService, name, armed(getattr(WorkspaceService, name)))
    raise SystemExit(main())
