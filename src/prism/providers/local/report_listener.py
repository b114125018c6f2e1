"""Hears at once which machines changed, so that nobody waits for the next survey.

A supervisor sends the name of its machine to a socket in the home after each report with news, and
a handle of its process tells when it ends. Whatever is lost on the way is seen by the next survey.
"""

import logging
import os
import resource
import select
import socket
import stat
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from prism.agent.protocol import REPORTS_SOCKET, Stamp, socket_address, stamp
from prism.errors import Problem

log = logging.getLogger(__name__)
MAX_NAME_BYTES = 64
MAX_MESSAGES = 1_000  # that are read before their machines are looked at
FILES_SHARE = 4  # at most this part of the files that the process may open are handles


class ReportListener:
    """A thread that hears of changed machines; Linux only, elsewhere it hears nothing."""

    def __init__(self, home: Path, changed: Callable[[Collection[str]], object]) -> None:
        """`changed` is called with the names of machines, in the thread of the listener."""
        self._path, self._changed = home / REPORTS_SOCKET, changed
        self._most_handles = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // FILES_SHARE
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._socket_stamp: Stamp | None = None
        self._processes: dict[str, int] = {}  # the process of a machine's supervisor
        self._names: dict[int, str] = {}  # by the handle of that process
        self._thread: threading.Thread | None = None
        self._epoll: select.epoll | None = None
        self._stop_read = self._stop_write = -1

    def start(self) -> None:
        """Begin to listen."""
        if not hasattr(select, "epoll") or not hasattr(os, "pidfd_open"):
            return
        self._stop_read, self._stop_write = os.pipe()
        self._epoll = select.epoll()
        self._epoll.register(self._stop_read, select.EPOLLIN)
        with suppress(OSError):  # a disk that has no sockets: the ends of processes are heard
            self._bind()
        self._thread = threading.Thread(target=self._run, name="reports")
        self._thread.start()

    def stop(self) -> None:
        """End the thread; later calls do nothing."""
        if self._thread is None or self._epoll is None:
            return
        os.close(self._stop_write)
        self._thread.join()
        with self._lock:
            self._epoll.close()
            self._epoll = self._thread = None
            os.close(self._stop_read)
            for handle in self._names:
                os.close(handle)
            self._names, self._processes = {}, {}
            self._close_socket()

    def follow(self, name: str, process: int) -> None:
        """Hear when the supervisor of a machine ends; its process was just seen."""
        with self._lock:
            if self._epoll is None or self._processes.get(name) == process:
                return
            if len(self._names) >= self._most_handles:
                return
            try:
                handle = os.pidfd_open(process)
            except OSError:  # it has ended, which the next survey sees
                return
            self._names[handle], self._processes[name] = name, process
            self._epoll.register(handle, select.EPOLLIN)

    def follows(self, name: str) -> bool:
        """Whether every change of this machine that somebody may wait for is heard."""
        return self._socket is not None and name in self._processes

    def _bind(self) -> None:
        assert self._epoll is not None
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(self._path).st_mode):  # of a daemon that was killed
                os.unlink(self._path)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            with socket_address(self._path.parent, REPORTS_SOCKET) as address:
                opened.bind(address)
            os.chmod(self._path, 0o600)
            self._epoll.register(opened.fileno(), select.EPOLLIN)
        except OSError:
            opened.close()
            raise
        self._socket, self._socket_stamp = opened, stamp(self._path)

    def _close_socket(self) -> None:
        if self._socket is None:
            return
        if stamp(self._path) == self._socket_stamp:
            with suppress(OSError):
                os.unlink(self._path)
        self._socket.close()
        self._socket = None

    def _run(self) -> None:
        assert self._epoll is not None
        while True:
            descriptors = [descriptor for descriptor, _ in self._epoll.poll()]
            if self._stop_read in descriptors:
                return
            try:
                if names := self._names_of(descriptors):
                    self._changed(names)
            except (OSError, Problem) as error:  # the next survey sees them
                log.warning("could not look at machines that changed: %s", error)

    def _names_of(self, descriptors: Collection[int]) -> set[str]:
        """The machines that sent news, or whose supervisor ended; forgets ended processes."""
        with self._lock:
            ended = {d: self._names.pop(d) for d in descriptors if d in self._names}
            for handle, name in ended.items():
                os.close(handle)
                self._processes.pop(name, None)
            return {*ended.values(), *self._messages()}

    def _messages(self) -> set[str]:
        names = set[str]()
        if self._socket is None:
            return names
        with suppress(BlockingIOError):
            for _ in range(MAX_MESSAGES):
                names.add(self._socket.recv(MAX_NAME_BYTES).decode(errors="replace"))
        return names
