"""Lists the processes and services of an EC2 machine for its idle watch."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from prism.agent.idle.samples import ProcessSample, SystemSample, look
from prism.agent.idle.ssh_sessions import Observed, at_work, words
from prism.agent.machine.folder import Folder, read
from prism.agent.machine.machine_config import MachineConfig
from prism.agent.network.sockets import TcpConnections
from prism.agent.protocol import BY_PRISM, LocalServiceSpec, ServedByMachine

HOST = "127.0.0.1"
SSHD = {"sshd", "sshd-session"}
INIT_PID = 1  # the ancestor of all processes
SERVICE_TOKEN = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])", re.ASCII)


class ListeningService(NamedTuple):
    """One service that the idle watch can ask."""

    name: str
    port: int | None
    answered: bool


class HostView(MachineConfig):
    """A machine's services, from its own files: `services.json`, and a `NAME.env` for each."""

    def __init__(self, etc: Path, folder: Path) -> None:
        self._etc = etc
        served = cast(ServedByMachine, read(etc / "services.json"))
        services = cast(dict[str, LocalServiceSpec], served.get("services") or {})
        super().__init__({"key": "", "name": folder.name, "services": services}, Folder(folder))
        self.folder.home = Path(str(served.get("home") or "/root"))

    def secret(self, service: str) -> str:
        """The token in a service's environment, which only root can read."""
        try:
            match = SERVICE_TOKEN.search((self._etc / f"{service}.env").read_text())
        except (OSError, UnicodeError):
            return ""
        return match[0] if match else ""

    def serving(self) -> Iterator[ListeningService]:
        """The services, and whether their ports answer."""
        for name, service in self.services.items():
            port = int(service.get("port") or 0)
            yield ListeningService(name, port or None, bool(port) and _listens(port))


class HostProcesses:
    """Samples all processes of a machine, except our own."""

    def __init__(self, of: int = INIT_PID) -> None:
        self._of = of

    def __call__(self, figure_names: Iterable[str], connections: TcpConnections) -> SystemSample:
        """Sample all processes now."""
        sample, own_pid = look(self._of, figure_names, connections), os.getpid()
        return sample._replace(
            processes=_without(sample.processes, own_pid), moved=_without(sample.moved, own_pid)
        )


class Logins:
    """SSH sessions without a terminal, on a machine with an `sshd` of its own.

    A session leader whose parent is an `sshd` is an SSH session, and a file server has moved bytes
    if it has read or written any. Commands of the daemon do not count.
    """

    last = 0.0

    def __init__(self) -> None:
        self._moved: dict[tuple[int, str], int | None] = {}

    def observed(self, processes: Collection[ProcessSample]) -> Observed:
        """What is in progress in SSH sessions, and when bytes moved."""
        servers = {p.pid for p in processes if p.name in SSHD}
        work: list[str] = []
        moved: dict[tuple[int, str], int | None] = {}
        for process in processes:
            if process.pid != process.session or process.terminal or process.parent not in servers:
                continue
            called = words(process.pid)
            if process.name == "sftp-server" or "@internal-sftp" in "".join(called[:1]):
                moved[process.pid, process.began] = _bytes_moved(process.pid)
            elif process.name in SSHD or "".join(called[-1:]).endswith(BY_PRISM):
                continue
            elif name := at_work(process, processes):
                work.append(f"`{name}` runs over SSH")
        # A server whose count cannot be read counts as having moved bytes.
        grown = any(count is None or count != self._moved.get(key) for key, count in moved.items())
        self._moved = moved
        return tuple(work), ((time.time(), "bytes moved over SSH"),) if grown else ()


def _bytes_moved(pid: int) -> int | None:
    """The bytes that a process itself has read and written."""
    try:
        lines = Path(f"/proc/{pid}/io").read_bytes().splitlines()
        return sum(int(line.split()[1]) for line in lines if line[1:5] == b"char")
    except (OSError, ValueError):
        return None


def _without(by_process: Any, pid: int) -> Any:
    if by_process is None:
        return None
    return {key: value for key, value in by_process.items() if key[0] != pid}


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((HOST, port)) == 0
