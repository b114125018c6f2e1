"""A real daemon that dies, or whose lab server dies, at any commit or call from a verb on.

`ARMED` names the method of `WorkspaceService` with which the points begin. There is a point before
and after each commit, and before and after each request to the server. At the point `DIE_AT`,
`HOW` says what dies: `daemon`, or `server`, of which `SERVER` has the pid of sshd and the uid of
the account. Before a request, a dead server carries nothing out; after it, the answer is lost.
The names of the points go to `POINTS`.
"""

import contextlib
import os
import signal
import threading
from typing import Any

import psutil

from prism.daemon.main import main
from prism.kit.db import Database
from prism.providers.ssh.model import ServerUnreachable
from prism.providers.ssh.server import LabServer
from prism.workspaces.service import WorkspaceService

die_at, how = int(os.environ["DIE_AT"]), os.environ["HOW"]
log = os.open(os.environ["POINTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
lock = threading.RLock()
passed = None  # counts from the verb on


def point(name: str, *, of_server: bool = False) -> bool:
    """Pass a point; returns whether the server has died there."""
    global passed
    with lock:
        if passed is None:
            return False
        os.write(log, f"{name}\n".encode())
        number, passed = passed, passed + 1
        if number != die_at:
            return False
        if how == "daemon":
            os.kill(os.getpid(), signal.SIGKILL)
        if of_server:
            _kill_server(*map(int, os.environ["SERVER"].split()))
        return of_server


def _kill_server(sshd: int, uid: int) -> None:
    """Kill the server, and everything that runs for the account."""
    os.killpg(sshd, signal.SIGKILL)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == uid:
                process.kill()


def armed(original: Any) -> Any:
    """The method, with which the points begin."""

    def verb(*args: Any, **options: Any) -> Any:
        global passed
        passed = 0 if passed is None else passed
        return original(*args, **options)

    return verb


def announced_call(self: Any, do: str, original: Any = LabServer.call, **fields: Any) -> Any:
    """Announce a request; a server that dies after it has carried it out."""
    if point(f"before {do}", of_server=True):
        raise ServerUnreachable("the server died")
    answer = original(self, do, **fields)
    if point(f"after {do}", of_server=True):
        raise ServerUnreachable("the server died")
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
