"""The supervisor of one machine: brings it to the intent in its folder, and reports its state.

    python -I -S supervisor.py FOLDER

A lock on the folder allows one supervisor per machine; it outlives the daemon that started it. The
command returns when it has the lock and has written `seen.json`, or when another supervisor has
the lock, so every start may be repeated. The loop reads the intent each time, does one step, and
writes its report. The supervisor itself is never frozen, stops the machine at its expiry without
the daemon, and ends when the machine is off.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from prism.agent.machine.folder import Folder
from prism.agent.machine.output_logs import Selector
from prism.agent.machine.supervised_machine import SupervisedMachine
from prism.agent.system.kernel_limits import raise_file_limit
from prism.agent.system.processes import adopt_orphans

READY = b"1"


def main(argv: list[str], not_inherited: Sequence[int] = ()) -> int:
    """Become a folder's supervisor in the background, at a lower priority than the daemon.

    The supervisor closes the descriptors `not_inherited`.
    """
    os.nice(5)
    raise_file_limit()
    folder = Path(argv[1]).resolve()
    home = Path(argv[1]).absolute().parents[1]  # the folder of all machines may be a link
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(ready, 1) == READY else 1
    for descriptor in (ready, *not_inherited):
        os.close(descriptor)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    _redirect(folder / "supervisor.log")
    supervise(Folder(folder, home), lambda: _report_ready(tell))
    return 0


def supervise(folder: Folder, ready: Callable[[], None]) -> None:
    """Supervise until the machine is off and nothing more is requested."""
    poked = _signal_pipe()  # before the lock: once it is held, signals may come
    if not folder.acquire_lock():
        ready()
        return
    adopt_orphans()
    selector = Selector(poked)
    machine = SupervisedMachine(folder, selector)
    signal.signal(signal.SIGTERM, lambda *_: machine.shut_down())
    try:
        machine.take_over()
        machine.step()
        machine.write_report()
        ready()
        _loop(folder, machine, selector)
    finally:
        machine.process_group.kill()


def _loop(folder: Folder, machine: SupervisedMachine, selector: Selector) -> None:
    while True:
        if machine.is_over:
            # A new intent is written before we release the lock, and then we see it here, or
            # its writer finds the lock free.
            folder.release_lock()
            if machine.is_over or not folder.acquire_lock():
                return
        selector.wait(machine.pause)
        machine.process_group.reap()
        if not folder.is_present:  # somebody removed it by hand: what ran in it ends with it
            return
        machine.step()
        machine.write_report()


def _signal_pipe() -> int:
    """A pipe that becomes readable at each signal."""
    poked, poke = os.pipe()
    for end in (poked, poke):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
    for number in (signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    return poked


def _report_ready(tell: int) -> None:
    os.write(tell, READY)
    os.close(tell)


def _redirect(log: Path) -> None:
    """Write our own output into a file; there is some only after a failure."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in enumerate((nothing, output, output)):
        os.dup2(source, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
