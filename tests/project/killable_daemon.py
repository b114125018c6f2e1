"""A real daemon that can be killed at any point of a launch.

The points are not listed anywhere. From the request of a launch on, there is a point before and
after each commit, and one before each effect outside of the database (a file that is written,
renamed or removed, a process that is started or signalled, a message with an open file, which
starts a supervisor). An audit hook of Python reports these
effects, so new code has its points, too; the point after an effect is the next point. `DIE_AT` is
the number of the point at which the daemon is killed. The name of each point is appended to the
file `POINTS`, so a run that survives tells how many there are.
"""

import contextlib
import os
import signal
import sys
import threading

from prism.daemon.main import main
from prism.kit.db import Database
from prism.workspaces.service import WorkspaceService

OUTSIDE = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.symlink",
    "os.kill",
    "os.posix_spawn",
    "subprocess.Popen",
    "shutil.rmtree",
}
die_at = int(os.environ["DIE_AT"])
log = os.open(os.environ["POINTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
machines = os.path.join(os.environ["PRISM_HOME"], "workspaces")
lock = threading.RLock()
passed = None  # counts from the launch on


def point(name):
    global passed
    with lock:
        if passed is None:
            return
        os.write(log, f"{name}\n".encode())
        if passed == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1


def announce(event, args):
    """Announces effects outside of the database."""
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    if event == "socket.sendmsg" or ((event in OUTSIDE or writes) and machines in str(args)):
        point(f"before {event}")


def armed(original):
    def launch(*args):
        global passed
        passed = 0
        return original(*args)

    return launch


@contextlib.contextmanager
def announced_write(self, original=Database.write):
    with original(self) as tx:
        yield tx
        point("before commit")
    point("after commit")


Database.write = announced_write  # type: ignore[method-assign]
WorkspaceService.launch = armed(WorkspaceService.launch)  # type: ignore[method-assign]
sys.addaudithook(announce)
raise SystemExit(main())
