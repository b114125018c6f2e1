"""The sandbox of the installer, which shows the system, the cache and one environment only.

uv makes environments and puts wheels into them, which runs none of a package's code. Its work must
not depend on a workspace or a template: it gets a new environment, the variables of the person who
started the daemon, and a sandbox without that person's home, Prism's state and other workspaces.
Code of a package (a build from source) never runs here: it runs in the workspace (`setup.py`).
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from prism.agent.processes import succeeds
from prism.agent.sandbox import NAMES, SYSTEM, hide_secrets
from prism.agent.sandbox_layers import homes, layers

WORKPLACE = "/tmp"  # empty: uv reads `uv.toml` in its working folder and the folders above
# The user's variables with paths of files that uv may need; some contain several paths.
FILES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "NETRC", "UV_CONFIG_FILE"),
    *("UV_FIND_LINKS", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT"),
)
OWN_FILES = (".config/uv/uv.toml", ".netrc")
NEEDS_BUILD = re.compile(
    r"building (from source|source distributions?).{0,300}disabled|\(i\.e\., with `--no-build`\)",
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


def installer_command(bwrap: str, argv: Iterable[str], view: InstallerView) -> list[str]:
    """The command that runs `argv` in such a sandbox."""
    words = [bwrap, "--unshare-pid", "--unshare-ipc", "--die-with-parent"]
    words += ["--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in SYSTEM:
        words += ["--ro-bind-try", path, path]
    words += hide_secrets()
    readable = [*map(os.path.realpath, NAMES), *view.reachable, *named_files()]
    for path, is_shown in layers(SYSTEM, readable, [str(view.home), *homes()]):
        words += ["--ro-bind-try", path, path] if is_shown else ["--tmpfs", path]
    for own in map(str, view.writable):
        words += ["--bind", own, own]
    for tree in map(str, view.readonly):
        words += ["--ro-bind-try", tree, tree]
    return [*words, "--remount-ro", "/", "--chdir", WORKPLACE, "--", *argv]


def named_files() -> list[str]:
    """The files that the user's variables and uv settings name."""
    values = [os.environ[name] for name in FILES if name in os.environ]
    named = [path for text in values for path in re.split(r"[,\s]+", text) if path.startswith("/")]
    home = os.path.expanduser("~")
    named += [os.path.join(home, path) for path in OWN_FILES]
    return [path for path in named if os.path.exists(path)]
