"""Processes: starts them, finds their descendants, ends them."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

LINUX = sys.platform == "linux"
MACHINE_VARIABLE = "PRISM_MACHINE"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STOPPED, DEAD = frozenset("Tt"), frozenset("ZX")


class Process(NamedTuple):
    """One process; `began` distinguishes it from a later one with the same pid."""

    pid: int
    parent: int
    state: str
    began: str


class Start(NamedTuple):
    """How a program is started."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    prepare: Callable[[], object] = lambda: None  # runs in the child, just before the program


def prctl(option: int, value: int) -> None:
    """Call the Linux kernel's `prctl` for this process; does nothing on other systems."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent dies, instead of init."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def spawn(start: Start) -> tuple[int, int]:
    """Start a program in a session of its own: its pid, and the pipe with its output."""
    read_end, write_end = os.pipe()
    failed, failure = os.pipe()
    ours = os.getpid()
    pid = os.fork()
    if not pid:
        _exec(start, write_end, failure, ours)
    os.close(write_end)
    os.close(failure)
    with os.fdopen(failed, "rb") as file:
        number = file.read()  # ends when the program has started: the pipe closes on exec
    if number:
        os.close(read_end)
        os.waitpid(pid, 0)
        raise OSError(int(number), os.strerror(int(number)), start.argv[0])
    os.set_blocking(read_end, False)
    return pid, read_end


def succeeds(argv: list[str], environment: Mapping[str, str]) -> bool:
    """Run a program without input and output, to its end; whether it exits with 0."""
    quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
    try:
        pid = os.posix_spawn(argv[0], argv, environment, file_actions=quiet)
    except OSError:
        return False
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _exec(start: Start, output: int, failure: int, parent: int) -> NoReturn:
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before PR_SET_PDEATHSIG was set
            os._exit(1)
        for number in signal.valid_signals():  # a program inherits ignored signals
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in enumerate((nothing, output, output)):
            os.dup2(source, target)
        os.umask(0o077)
        os.chdir(start.folder)
        start.prepare()
        os.execve(start.argv[0], list(start.argv), dict(start.environment))
    except OSError as error:
        os.write(failure, str(error.errno).encode())
    finally:
        os._exit(127)


def which(program: str, path: str, real: Callable[[str], str] = str) -> str | None:
    """The path of a program, as a shell finds it; `real` maps a path of the program to ours."""
    folders = [""] if "/" in program else path.split(":")
    for folder in folders:
        real_path = real(candidate := os.path.join(folder, program))
        if os.access(real_path, os.X_OK) and os.path.isfile(real_path):
            return candidate
    return None


def table() -> dict[int, Process]:
    """Every process of this computer."""
    if not LINUX:
        return _listed_by_ps()
    processes = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (entry := process(int(name))):
            processes[entry.pid] = entry
    return processes


def process(pid: int) -> Process | None:
    """One process, on Linux."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    rest = line[line.rindex(b")") + 2 :].split()  # the name before it may contain any character
    return Process(pid, int(rest[1]), rest[0].decode(), rest[19].decode())


def _listed_by_ps() -> dict[int, Process]:
    columns = "pid=,ppid=,state=,lstart="
    with os.popen(f"/bin/ps -axo {columns}") as out:
        rows = [line.split(None, 3) for line in out]
    return {int(r[0]): Process(int(r[0]), int(r[1]), r[2][0], r[3].strip()) for r in rows}


def descendants(of: int) -> list[Process]:
    """All living descendants of a process, parents before children."""
    children: dict[int, list[Process]] = {}
    for entry in table().values():
        children.setdefault(entry.parent, []).append(entry)
    processes: list[Process] = []
    queue = [of]
    while queue:
        for child in children.get(queue.pop(0), ()):
            queue.append(child.pid)
            if child.state not in DEAD:
                processes.append(child)
    return processes


def marked(folder: Path) -> list[int]:
    """Our own processes that have a machine's mark in their environment."""
    mark = f"{MACHINE_VARIABLE}={folder}".encode()
    if not LINUX:
        with os.popen("/bin/ps -axEwwo pid=,command=") as out:
            return [
                int(line.split(None, 1)[0])
                for line in out
                if f" {MACHINE_VARIABLE}={folder} " in line
            ]
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        pids.append(int(name))
            except OSError:  # it belongs to another user, or has just ended
                continue
    return pids


def send(number: signal.Signals, pids: Sequence[int]) -> None:
    """Signal processes, some of which may have ended."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
