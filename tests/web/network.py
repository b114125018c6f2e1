"""A network between the browser and the daemon that can be cut."""

import contextlib
import socket
import threading
from collections.abc import Iterable


class Relay:
    """Passes bytes to a port of this computer; while it is cut, every connection breaks."""

    def __init__(self, target: int) -> None:
        self._target, self._cut = target, False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.joined = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Breaks all connections, and new ones too."""
        self._cut = True
        for pair in [*self._pairs]:
            _end(pair)

    def restore(self) -> None:
        """Accepts new connections again."""
        self._cut = False

    def close(self) -> None:
        """Stops listening and breaks all connections."""
        self.cut()
        _end([self._listening])
        for thread in self._threads:
            thread.join(120)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listening.accept()[0]
                thread = threading.Thread(target=self._join, args=(near,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            near.close()
            return
        pair = (near, far)
        self._pairs.add(pair)
        self.joined += 1
        if self._cut:
            _end(pair)
        ways = [
            threading.Thread(target=_pass, args=way, daemon=True) for way in (pair, pair[::-1])
        ]
        for way in ways:
            way.start()
        for way in ways:
            way.join()
        self._pairs.discard(pair)
        near.close()
        far.close()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    _end([target])


def _end(sockets: Iterable[socket.socket]) -> None:
    for each_socket in sockets:
        with contextlib.suppress(OSError):
            each_socket.shutdown(socket.SHUT_RDWR)
