"""What a machine may see of this computer: the arguments for bubblewrap.

Visible are the system and the interpreter, read-only; the machine's own home, environment and
temporary files; its own devices, processes and semaphores. Hidden are the user's home, other
machines, the daemon's state and socket, and the sockets in /run, wherever they are
(`sandbox_layers.py`). The network is that in which bubblewrap is started (`network.py`).
"""

import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from prism.agent.machine.slots import hidden_devices
from prism.agent.sandbox.etc_copy import ETC, OWN_ETC, EtcCopy, tree_of
from prism.agent.sandbox.installation_access import is_readable_by_all
from prism.agent.sandbox.sandbox_layers import homes, layers, within
from prism.agent.system.overlay import bubblewrap_words
from prism.agent.system.processes import LINUX, which

PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
SYSTEM_FOLDERS = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
)
KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/acpi")
TIME_ZONE = "/etc/localtime"
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
SANDBOXED, NETWORKED = "sandboxed", "networked"
ACCELERATORS = ("nvidia", "dri", "kfd", "infiniband")
# The capabilities with which the first program changes its user; then it drops them. The last one
# lets it be started from files that only their owner can read: their mounts make them the
# workspace's, so they are no longer root's.
TO_BECOME = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")


def bubblewrap() -> str | None:
    """The path of bubblewrap, if it is installed."""
    return which("bwrap", PROGRAMS) if LINUX else None


def has_worked(folder: Path, feature: str = SANDBOXED) -> bool:
    """Whether a machine of this home ever ran in a sandbox: then none runs without one.

    A workspace might prevent new sandboxes, for example by using up namespaces or processes.
    Another `feature` is recorded in the same way.
    """
    return _marker(folder, feature).exists()


def remember_that_it_works(folder: Path, feature: str = SANDBOXED) -> None:
    """Record for all machines of this home that a sandbox, or that feature, works."""
    if not has_worked(folder, feature):
        _marker(folder, feature).touch()


def _marker(folder: Path, feature: str) -> Path:
    return folder.parent.parent / feature


def bubblewrap_command(
    bwrap: str,
    argv: list[str],
    folder: Path,
    reachable: Iterable[str],
    volumes: Iterable[str],
    *,
    private: Iterable[str] = (),
    another_user: bool = False,
    closed: bool = False,
    lower: str | None = None,
    gpus: Collection[str] | None = None,
) -> list[str]:
    """The command that runs `argv` in a sandbox.

    There, `reachable` can be read and `volumes` can be written. The folder of all volumes is
    otherwise empty; later volumes are mounted in it (`bind_mounts.py`). The paths in `private` are
    hidden, as are Prism's home and the user's. With `another_user`, `argv` can change its user.
    In a `closed` sandbox, no program can make another user namespace. A shared package tree,
    `lower`, is mounted below the environment. Of the GPUs, only `gpus` are shown; None shows all.
    Call `refresh_etc` before.
    """
    words = [bwrap, "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--as-pid-1"]
    reachable, empty = [os.path.realpath(TIME_ZONE), *own_certificates(), *reachable], []
    hidden = [str(folder.parent.parent), *homes(), *private]
    words += [*_capabilities(another_user, closed), *_system()]
    words += etc_words(folder.parent.parent, etc_of(folder), reachable)
    words += [*_devices(another_user, gpus), *_temporary(folder, another_user)]
    if another_user:
        hidden += closed_to_others([str(folder), *reachable])
    for path, is_shown in layers(SYSTEM_FOLDERS, reachable, hidden):
        words += [*parents(path), "--ro-bind-try", path, path] if is_shown else ["--tmpfs", path]
        empty += [] if is_shown else [path]
    home, venv = map(str, own_folders(folder))
    words += [*parents(home), *(_volumes_words(folder) if another_user else ())]
    for own in (home, venv, *volumes):
        words += bubblewrap_words(lower, own) if lower and own == venv else ["--bind", own, own]
    for closed_to_all in (*empty, "/"):
        words += ["--remount-ro", closed_to_all]
    return [*words, "--", *argv]


def _capabilities(another_user: bool, closed: bool) -> list[str]:
    words = ["--cap-drop", "ALL"]
    if another_user:
        return words + [word for name in TO_BECOME for word in ("--cap-add", name)]
    return words + (["--unshare-user", "--disable-userns"] if closed else [])


def _temporary(folder: Path, another_user: bool) -> list[str]:
    for own in (*own_folders(folder), folder / "tmp"):
        own.mkdir(exist_ok=True)
    if another_user:  # as usual for `/tmp`: only its owner can remove an entry
        (folder / "tmp").chmod(0o1777)
    return [
        word for target in ("/tmp", "/var/tmp") for word in ("--bind", str(folder / "tmp"), target)
    ]


def own_certificates() -> list[str]:
    """The certificates that the user's variables name; the workspace gets these variables too."""
    named = (os.environ.get(name, "") for name in CERTIFICATES)
    return [path for path in named if path.startswith("/") and os.path.exists(path)]


def volumes_of(folder: Path) -> str:
    """The folder of all machines' volumes, beside the machines."""
    return str(folder.parent.parent / "storage" / "volumes")


def own_folders(folder: Path) -> list[Path]:
    """The folders of a machine that are kept when it stops."""
    return [folder / "home", folder / "venv"]


def targets_of(folder: Path) -> Path:
    """The folder in which a machine sees its volumes: one subfolder each, made from outside."""
    return folder / "targets"


def etc_of(folder: Path) -> Path:
    """The folder with the files of `/etc` that are a machine's own."""
    return folder / "etc"


def is_of_the_system(path: str) -> bool:
    """Whether a path lies in a system folder, all of which a machine sees."""
    return any(within(path, tree) for tree in SYSTEM_FOLDERS)


def closed_to_others(paths: Iterable[str]) -> list[str]:
    """The system folders above these paths that only their owner may enter."""
    above = {str(parent) for path in paths for parent in Path(path).parents}
    return [
        folder
        for folder in sorted(above)
        if is_of_the_system(folder)
        and os.path.isdir(folder)
        and not os.stat(folder).st_mode & stat.S_IXOTH
    ]


def parents(path: str) -> list[str]:
    """The arguments to make the parent folders of a path with modes that let every user in.

    Otherwise bubblewrap gives them the mode of the path.
    """
    return ["--dir", os.path.dirname(path)]


def _volumes_words(folder: Path) -> list[str]:
    path = volumes_of(folder)
    return [*parents(path), "--ro-bind", str(targets_of(folder)), path]


def _system() -> list[str]:
    words = ["--proc", "/proc", "--dir", "/run", "--dir", "/var"]
    kernel = KERNEL if os.geteuid() == 0 else ()  # root can write there without capabilities
    for path in (*filter(os.path.exists, kernel), *SYSTEM_FOLDERS, "/sys"):
        words += ["--ro-bind-try", path, path] if path != ETC else []
    return words


def refresh_etc(home: Path) -> None:
    """Bring the `/etc` of this home's sandboxes up to date; raises `OSError`."""
    EtcCopy(home, [str(home), *homes()]).refresh()


def etc_words(home: Path, own: Path, reachable: Iterable[str]) -> list[str]:
    """The arguments that show the `/etc` of this home, and a workspace's `own` files in it."""
    own.mkdir(exist_ok=True)
    words = ["--ro-bind", str(tree_of(home)), ETC, *parents(OWN_ETC)]
    words += ["--ro-bind", str(own), OWN_ETC]
    for path in reachable:  # a mount makes it readable
        if within(path, ETC) and os.path.exists(path) and not is_readable_by_all(path):
            words += ["--ro-bind", path, path]
    return words


def _devices(another_user: bool, gpus: Collection[str] | None) -> list[str]:
    words = ["--dev", "/dev"]
    if another_user:  # otherwise only the user of bubblewrap can write to it
        words += ["--perms", "1777", "--tmpfs", "/dev/shm"]
    for path in accelerators(gpus):
        words += ["--dev-bind-try", path, path]
    return words


def accelerators(gpus: Collection[str] | None = None) -> list[str]:
    """The devices in `/dev` of GPUs and InfiniBand adapters.

    Where only some `gpus` are shown, `dri` is not, which leads to all of them.
    """
    hidden = hidden_devices(gpus)
    hidden |= {"dri"} if hidden else set()
    names = [
        name for name in os.listdir("/dev") if name.startswith(ACCELERATORS) and name not in hidden
    ]
    return [f"/dev/{name}" for name in sorted(names)]
