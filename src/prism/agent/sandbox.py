"""What a machine may see of the computer it runs on: the words for bubblewrap.

The system and the interpreter, read-only; its own home, environment and temporary files;
devices, processes and semaphores of its own. Not the user's home, not other machines, not
the daemon's state or socket, not the sockets in /run; wherever they lie (`layers.py`). The
network is shared, and with it sockets of Unix that have a name and no file.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prism.agent.layers import homes, layers
from prism.agent.processes import LINUX, which

PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix")
SECRETS = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers")
SECRET_FOLDERS = ("/etc/ssh", "/etc/ssl/private", "/etc/sudoers.d")
KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/acpi")
NAMES = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime")
ACCELERATORS = ("nvidia", "dri", "kfd", "infiniband")


def bubblewrap() -> str | None:
    """Where bubblewrap is, if it is."""
    return which("bwrap", PROGRAMS) if LINUX else None


def enclosed(
    bwrap: str,
    argv: list[str],
    folder: Path,
    reachable: Iterable[str],
    volumes: Iterable[str],
    *,
    private: Iterable[str] = (),
) -> list[str]:
    """The command that runs `argv` in a place of its own.

    `reachable` can be read there; `volumes` are there to be written, and others may come to
    where volumes are (`grafts.py`), which is empty but for them. `private` is what is hidden
    wherever it lies, as are the home that the machine belongs to, and the user's.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    words = [bwrap, "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"]
    words += [*_system(), *_kept_from_it(), *_devices()]
    for place in ("/tmp", "/var/tmp"):
        words += ["--bind", str(folder / "tmp"), place]
    reachable = [*map(os.path.realpath, NAMES), *reachable]
    empty = []
    for path, shown in layers(SYSTEM, reachable, [str(folder.parent.parent), *homes(), *private]):
        words += ["--ro-bind-try", path, path] if shown else ["--tmpfs", path]
        empty += [] if shown else [path]
    if os.geteuid() == 0:  # only root can bring any volumes there later
        words += ["--tmpfs", kept := volumes_of(folder)]
        empty.append(kept)
    for own in (str(folder / "home"), str(folder / "venv"), *volumes):
        words += ["--bind", own, own]
    for place in (*empty, "/"):
        words += ["--remount-ro", place]
    return [*words, "--", *argv]


def volumes_of(folder: Path) -> str:
    """Where the volumes of all machines are, beside the machines."""
    return str(folder.parent.parent / "storage" / "volumes")


def _system() -> list[str]:
    words = ["--proc", "/proc", "--dir", "/run", "--dir", "/var"]
    kernel = KERNEL if os.geteuid() == 0 else ()  # root may write there, with no capability
    for path in (*filter(os.path.exists, kernel), *SYSTEM, "/sys"):
        words += ["--ro-bind-try", path, path]
    return words


def _kept_from_it() -> list[str]:
    words: list[str] = []
    for path in filter(os.path.exists, SECRETS):
        words += ["--ro-bind", os.devnull, path]
    for path in filter(os.path.isdir, SECRET_FOLDERS):
        words += ["--tmpfs", path]
    return words


def _devices() -> list[str]:
    words = ["--dev", "/dev"]
    for path in _accelerators():
        words += ["--dev-bind-try", path, path]
    return words


def _accelerators() -> list[str]:
    names = [name for name in os.listdir("/dev") if name.startswith(ACCELERATORS)]
    return [f"/dev/{name}" for name in sorted(names)]
