"""Programs of a machine that have files of a volume open, so that it cannot be detached."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prism.agent.protocol import supervisor_pid

SHOWN = 5
ITS_OWN = ("cwd", "root", "exe")


def why_still_mounted(folder: Path, path: str) -> str | None:
    """Why a volume is still mounted in a running machine; None if it is being detached."""
    if not (supervisor := supervisor_pid(str(folder))):
        return None
    stop = "or stop the workspace"
    if os.geteuid() != 0:  # only root may unmount in a sandbox
        return f"Only root can take it out of a running sandbox: stop the workspace ({path})"
    if not (processes := list(_processes_using(supervisor, path))):
        return None
    more = f" and {len(processes) - SHOWN} more" if len(processes) > SHOWN else ""
    named = ", ".join(processes[:SHOWN])
    return f"Programs in the workspace have files of it open: {named}{more}. End them, {stop}"


def _processes_using(supervisor: int, path: str) -> Iterator[str]:
    """The names and pids of the programs that have it open."""
    import psutil  # noqa: PLC0415  cold start: only for detaching

    with suppress(psutil.Error):
        for process in psutil.Process(supervisor).children(recursive=True):
            with suppress(psutil.Error, OSError):
                if any(
                    opened == path or opened.startswith(f"{path}/")
                    for opened in _open_paths(process.pid)
                ):
                    yield f"{process.name()} (process {process.pid})"


def _open_paths(pid: int) -> Iterator[str]:
    """The paths that a process has open, as it sees them: files, folders, mappings."""
    folder = Path(f"/proc/{pid}")
    for name in ITS_OWN:
        with suppress(OSError):
            yield str((folder / name).readlink())
    with suppress(OSError):
        for path in (folder / "fd").iterdir():
            with suppress(OSError):
                yield str(path.readlink())
    with suppress(OSError):
        for line in (folder / "maps").read_text(errors="replace").splitlines():
            yield line.partition("/")[1] + line.partition("/")[2]
