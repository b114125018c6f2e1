"""Makes a sandbox like a machine's, and looks inside for what should be hidden.

The exit code is 0 if nothing of Prism's home, of the user's and of `private` is visible, 3 if
something is, which is printed line by line, and another if there is no sandbox, with the reason.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prism.agent.protocol import SEEN, SandboxProbe
from prism.agent.sandbox.bubblewrap import SYSTEM_FOLDERS, bubblewrap_command, refresh_etc
from prism.agent.sandbox.etc_copy import COPY_FOLDER
from prism.agent.sandbox.sandbox_layers import faces, homes, layers, within

REFUSED_EXIT_CODE = 1
MEMORY = "/dev/shm"
PROBE_TIMEOUT = 8.0
MANY = 5000  # names; a command line holds no more than some
SANDBOX_FOLDERS = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/var",
    "/tmp",
)  # a sandbox has some of its own
LOOK = """for path; do [ ! -e "$path" -a ! -L "$path" ] || printf '%s\\n' "$path"; done"""


def main(probe: SandboxProbe) -> int:
    """Run the test, and print what is visible; the exit code."""
    home, reachable = probe["home"], probe["reachable"]
    hidden = [home, *homes()]
    with tempfile.TemporaryDirectory(prefix="prism-trial-") as name:
        folder = Path(os.path.realpath(name), "workspaces", "trial")
        for own in ("home", "venv"):
            (folder / own).mkdir(parents=True)
        visible = [
            layer.path for layer in layers(SYSTEM_FOLDERS, reachable, hidden) if layer.shown
        ]
        names = set(secrets([*hidden, *probe["private"]], [*visible, os.path.realpath(name)]))
        look = ["/bin/sh", "-c", LOOK, "sh", *sorted(names)[:MANY]]
        with etc_for_trial(home, folder.parents[1]):
            refresh_etc(folder.parents[1])
            line = bubblewrap_command(probe["bwrap"], look, folder, reachable, (), private=[home])
            try:
                done = subprocess.run(
                    line, capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                sys.stdout.write(f"{error}\n")
                return REFUSED_EXIT_CODE
    sys.stdout.write(done.stderr if done.returncode else done.stdout)
    if done.returncode:
        return REFUSED_EXIT_CODE
    return SEEN if done.stdout.strip() else 0


@contextmanager
def etc_for_trial(home: str | None, trial: Path) -> Iterator[None]:
    """Give the home of a trial a copy of `/etc`: that of the real home, or one in memory.

    On a busy disk, the many small files take longer than people wait for a check.
    """
    if home and os.access(copy := os.path.join(home, COPY_FOLDER), os.W_OK):
        (trial / COPY_FOLDER).symlink_to(copy)
        yield
        return
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="prism-etc-", dir=memory) as name:
        (trial / COPY_FOLDER).symlink_to(name)
        yield


def secrets(private: Iterable[str], visible: Iterable[str]) -> Iterator[str]:
    """The hidden content of these places, under each of its names."""
    for path in private:
        real = os.path.realpath(path)
        for alias in {os.path.abspath(path), real, *faces(real, SYSTEM_FOLDERS)}:
            known = [
                *visible,
                *(
                    tree
                    for tree in (*SYSTEM_FOLDERS, *SANDBOX_FOLDERS)
                    if tree != alias and within(tree, alias)
                ),
            ]
            yield from _within(alias, known)


def _within(top: str, known: list[str]) -> Iterator[str]:
    try:
        names = os.listdir(top)
    except NotADirectoryError:
        yield top
        return
    except OSError:  # what we cannot look into, nor is there, they cannot
        return
    for name in names:
        path = os.path.join(top, name)
        if any(within(tree, path) and tree != path for tree in known):
            yield from _within(path, known)
        elif not any(within(path, tree) for tree in known):
            yield path
