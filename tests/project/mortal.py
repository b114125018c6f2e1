"""A real daemon that can be killed at any point of a launch.

Points are not listed anywhere. From the moment a launch is asked for, each commit announces
itself before and after, and each thing the daemon does to the world (a file it writes, makes,
renames or removes, a process it starts or signals) announces itself through the interpreter's
own audit hook, so that a new call is a new point without anybody thinking of it. The call
after a point is the point after its call. `DIE_AT` says at which point to die; each point's
name is appended to `POINTS`, so a run that survives tells how many there are.
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


def hear(event, args):
    """Announce what changes the world outside of the database."""
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    if (event in OUTSIDE or writes) and machines in str(args):
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
sys.addaudithook(hear)
raise SystemExit(main())
