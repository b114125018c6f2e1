"""What a machine may see of the computer it runs on: the words for bubblewrap.

The system and the interpreter, read-only; its own home, environment and temporary files;
devices, processes and semaphores of its own. Not the user's home, not other machines, not
the daemon's state or socket, not the sockets in /run. The network is shared.
"""

import os
from collections.abc import Iterable
from pathlib import Path

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
    bwrap: str, argv: list[str], folder: Path, reachable: Iterable[str], volumes: Iterable[str]
) -> list[str]:
    """The command that runs `argv` in a place of its own.

    `reachable` can be read there; `volumes` are there to be written, and others may come to
    where volumes are (`grafts.py`), which is empty but for them.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    words = [bwrap, "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"]
    words += [*_system(), *_kept_from_it(), *_devices()]
    for place in ("/tmp", "/var/tmp"):
        words += ["--bind", str(folder / "tmp"), place]
    for path in _outside_the_system([*map(os.path.realpath, NAMES), *reachable]):
        words += ["--ro-bind-try", path, path]
    kept = [volumes_of(folder)] if os.geteuid() == 0 else []  # only root can bring any there
    words += ["--tmpfs", *kept] if kept else []
    for own in (str(folder / "home"), str(folder / "venv"), *volumes):
        words += ["--bind", own, own]
    for place in (*kept, "/"):
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


def _outside_the_system(paths: Iterable[str]) -> list[str]:
    """What is not there anyway, each once, the wider before what lies within."""
    found: list[str] = []
    for path in sorted({os.path.normpath(one) for one in paths}):
        if not any(Path(path).is_relative_to(known) for known in (*SYSTEM, *found)):
            found.append(path)
    return found
