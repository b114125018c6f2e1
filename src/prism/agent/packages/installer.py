"""The sandbox of the installer, which shows the system, the cache and one environment only.

uv makes environments and puts wheels into them, which runs none of a package's code. Its work must
not depend on a workspace or a template: it gets a new environment, the variables of the person who
started the daemon, and a sandbox without that person's home, Prism's state and other workspaces.
Code of a package (a build from source) never runs here: it runs in the workspace (`setup.py`).
"""

import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from prism.agent.machine.machine_config import SYSTEM_PATH
from prism.agent.network.named_servers import names_of_this_computer, servers_on_this_computer
from prism.agent.network.namespace import (
    NetworkUnavailable,
    WorkspaceNetwork,
    configured_mode,
    pasta,
    resolver_file,
)
from prism.agent.network.reachable_addresses import HOST_MODE, LAN, addresses_of_this_computer
from prism.agent.protocol import framed_for_init
from prism.agent.sandbox.bubblewrap import (
    KERNEL,
    NETWORKED,
    SYSTEM_FOLDERS,
    TIME_ZONE,
    TO_BECOME,
    closed_to_others,
    etc_words,
    has_worked,
    parents,
    refresh_etc,
)
from prism.agent.sandbox.etc_copy import ETC, OwnEtc
from prism.agent.sandbox.identity import CannotMap, SandboxUser, is_privileged
from prism.agent.sandbox.sandbox_layers import homes, layers
from prism.agent.sandbox.seccomp import filter_for
from prism.agent.system.bind_mounts import attach_mounts
from prism.agent.system.processes import MACHINE_VARIABLE, succeeds
from prism.agent.system.safe_paths import remove_tree

WORKPLACE = "/tmp"  # empty: uv reads `uv.toml` in its working folder and the folders above
# The user's variables with paths of files that uv may need; some contain several paths.
FILE_VARIABLES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "NETRC", "UV_CONFIG_FILE"),
    *("UV_FIND_LINKS", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT"),
)
INIT_PROGRAM = Path(__file__).resolve().parents[1] / "init.py"
NO_PROGRAMS = "/nonexistent"
"""The `PATH` of the installer: uv starts Python by its path, and nothing else."""
WHEELS = "wheels"  # the folder of uv's cache, beside the trees
NETWORK_SOCKET, ETC_FOLDER = "install-network", "install-etc"  # in its folder
FETCHERS = ("/usr/bin/git", "/usr/local/bin/git")
OWN_FILES = (".config/uv/uv.toml", ".netrc")
NEEDS_BUILD = re.compile(
    r"building (from source|source distributions?).{0,300}disabled|\(i\.e\., with `--no-build`\)"
    r"|Git executable not found",
    re.IGNORECASE | re.DOTALL,
)


def works(bwrap: str) -> bool:
    """Whether bubblewrap can make a sandbox on this system."""
    trial = [bwrap, "--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/", "--proc", "/proc"]
    return succeeds([*trial, "--", "/bin/true"], {})


def needs_build(output: str) -> bool:
    """Whether uv refused because a package has to be built from source."""
    return NEEDS_BUILD.search(output) is not None


def is_fetched_by_a_program(package: str) -> bool:
    """Whether a program such as git fetches the package: hostile content could attack it."""
    return re.search(r"\b(git|hg|svn|bzr)\+", package) is not None


class InstallerView(NamedTuple):
    """What the installer sees besides the system; Prism's home and the user's are hidden."""

    writable: list[Path]
    reachable: list[str]
    home: Path
    readonly: Sequence[Path] = ()  # inside of the writable folders


class Tool(NamedTuple):
    """A tool of ours that is ready to start in the installer's sandbox."""

    argv: list[str]
    prepare: Callable[[], object]  # runs in the child, just before the sandbox
    descriptors: list[int]  # to close when it has ended


class InstallerSandbox:
    """Starts our tools for one machine, as a user without rights and with a workspace's filter."""

    def __init__(self, bwrap: str, folder: Path) -> None:
        self._bwrap, self._folder = bwrap, folder
        self._identity: SandboxUser | None = None
        self._network: WorkspaceNetwork | None = None
        self._has_tried_network = False

    def tool(self, argv: list[str], view: InstallerView, *, dials: bool) -> Tool:
        """Prepare the start of a tool; raises `OSError` or `NoIdentity`.

        If it `dials`, it gets a network without this computer's loopback, where that is possible.
        """
        own = [str(INIT_PROGRAM), *view.reachable, *named_files()]
        readable = [path for path in map(os.path.realpath, own) if os.path.exists(path)]
        mounts = self._mounts(readable, view) if is_privileged() else []
        if dials and not self._has_tried_network:
            self._open_network()
        network = self._network
        number = self._confinement()
        first = [sys.executable, "-I", "-S", str(INIT_PROGRAM), str(number), *argv]
        is_another = self._identity is not None
        refresh_etc(view.home)
        own_etc = self._folder / ETC_FOLDER
        OwnEtc(own_etc, resolver=resolver_file if network else None).write()
        command = installer_command(self._bwrap, first, view, own_etc, another_user=is_another)

        def prepare() -> None:
            os.set_inheritable(number, True)
            os.nice(5)
            if network:
                network.enter()
            if mounts:
                attach_mounts(mounts)

        return Tool(command, prepare, [number, *(tree for _, tree in mounts)])

    def _confinement(self) -> int:
        """A socket with the message that confines the first program (`init.py`)."""
        confinement: dict[str, Any] = {"filter": (filter_for(os.uname().machine) or b"").hex()}
        namespaces = []
        if self._identity:
            confinement |= {"uid": self._identity.uid, "groups": self._identity.groups}
            namespaces = [self._identity.namespace]
        ours, theirs = socket.socketpair()
        with ours:
            socket.send_fds(ours, [framed_for_init(confinement)], namespaces)
        return theirs.detach()

    def _mounts(self, readable: list[str], view: InstallerView) -> list[tuple[str, int]]:
        """Mounts in which the files of the daemon's user are the installer's."""
        if self._identity is None:
            self._identity = SandboxUser(crc32(os.fsencode(self._folder)))
        try:
            return self._mounts_for(self._identity, readable, view)
        except CannotMap:
            self.close()
            self._identity = SandboxUser(0, shared=True)
            return self._mounts_for(self._identity, readable, view)

    def _mounts_for(
        self, identity: SandboxUser, readable: list[str], view: InstallerView
    ) -> list[tuple[str, int]]:
        mounts: list[tuple[str, int]] = []
        try:
            for path in sorted(set(readable)):
                if (tree := identity.readable_mount(path)) is not None:
                    mounts.append((path, tree))
            for folder in view.writable:
                _remove_wheels_of_another(folder, identity)
                mounts.append((str(folder), identity.detached_mount(str(folder), again=True)))
        except BaseException:
            for _, tree in mounts:
                os.close(tree)
            raise
        return mounts

    def _open_network(self) -> None:
        """Make a network like a workspace's; it stays None if this computer's has to be used."""
        self._has_tried_network = True
        settings = [Path(path) for path in named_files() if path.endswith(".toml")]
        text = "\n".join(path.read_text(errors="replace") for path in settings)
        addresses = addresses_of_this_computer()
        named = servers_on_this_computer(os.environ, text, names_of_this_computer(), addresses)
        if configured_mode() == HOST_MODE or named.uses_other_addresses:
            return
        user = self._identity.uid if self._identity else None
        environment = {"PATH": SYSTEM_PATH, MACHINE_VARIABLE: str(self._folder)}
        try:
            self._network = WorkspaceNetwork(
                *(self._folder, user, environment, LAN),
                name=NETWORK_SOCKET,
                loopback_ports=named.ports,
            )
            self._network.wait()
        except NetworkUnavailable:
            self._close_network()
            if pasta() and has_worked(self._folder, NETWORKED):
                raise

    def _close_network(self) -> None:
        if self._network:
            self._network.close()
            os.close(self._network.output_pipe)
            self._network = None
            (self._folder / NETWORK_SOCKET).unlink(missing_ok=True)

    def close(self) -> None:
        """End its network, and free its user."""
        self._close_network()
        self._has_tried_network = False
        if self._identity:
            self._identity.close()
            self._identity = None


def _remove_wheels_of_another(writable: Path, identity: SandboxUser) -> None:
    """Remove the cached wheels if they belong to another user than what is written here will.

    So it is after ids could be mapped and now cannot, or the other way round. The wheels cannot
    change their owner: their files are also files of package trees (hard links).
    """
    wheels = writable if writable.name == WHEELS else writable / WHEELS
    if not wheels.is_dir():
        return
    owner = identity.uid if identity.shared else wheels.parent.stat().st_uid
    if wheels.stat().st_uid != owner:
        remove_tree(wheels)
        wheels.mkdir(0o700)


def installer_command(
    bwrap: str,
    argv: Iterable[str],
    view: InstallerView,
    own_etc: Path,
    *,
    another_user: bool = False,
) -> list[str]:
    """The command that runs `argv` in such a sandbox, with its own files of `/etc`.

    With `another_user`, `argv` can change its user.
    """
    words = [bwrap, "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"]
    words += [word for name in TO_BECOME for word in ("--cap-add", name)] if another_user else []
    words += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]
    words += ["--perms", "1777", "--tmpfs", "/dev/shm"]
    kernel = KERNEL if os.geteuid() == 0 else ()  # root can write there without capabilities
    for path in (*filter(os.path.exists, kernel), *SYSTEM_FOLDERS):
        words += ["--ro-bind-try", path, path] if path != ETC else []
    # Package metadata can make uv start git; then the package is installed in the workspace.
    for path in filter(os.path.isfile, FETCHERS):
        words += ["--ro-bind", os.devnull, os.path.realpath(path)]
    readable = [os.path.realpath(TIME_ZONE), *view.reachable, *named_files(), str(INIT_PROGRAM)]
    hidden = [str(view.home), *homes()]
    words += etc_words(view.home, own_etc, readable)
    if another_user:
        hidden += closed_to_others([*map(str, view.writable), *readable])
    for path, is_shown in layers(SYSTEM_FOLDERS, readable, hidden):
        words += [*parents(path), "--ro-bind-try", path, path] if is_shown else ["--tmpfs", path]
    for own in map(str, view.writable):
        words += [*parents(own), "--bind", own, own]
    for tree in map(str, view.readonly):
        words += ["--ro-bind-try", tree, tree]
    return [*words, "--remount-ro", "/", "--chdir", WORKPLACE, "--", *argv]


def named_files() -> list[str]:
    """The files that the user's variables and uv settings name."""
    values = [os.environ[name] for name in FILE_VARIABLES if name in os.environ]
    named = [path for text in values for path in re.split(r"[,\s]+", text) if path.startswith("/")]
    home = os.path.expanduser("~")
    named += [os.path.join(home, path) for path in OWN_FILES]
    return [path for path in named if os.path.exists(path)]
