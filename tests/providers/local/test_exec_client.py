"""The exec client and a supervisor that closes connections, as on a very busy computer."""

import contextlib
import os
import socket
import threading

import pytest

from prism.errors import Unavailable
from prism.providers.local.exec_client import MAX_ATTEMPTS, enter


@pytest.fixture
def supervisor(tmp_path):
    """Starts a supervisor that closes so many connections unread; lists its connections."""
    unread_connections: list[bool] = []
    with contextlib.ExitStack() as ending:

        def play(unread):
            listening = ending.enter_context(socket.socket(socket.AF_UNIX))
            folder = os.open(tmp_path, os.O_RDONLY)
            listening.bind(f"/proc/self/fd/{folder}/door")
            os.close(folder)
            listening.listen()

            def serve():
                with contextlib.suppress(OSError):
                    while True:
                        guest, _ = listening.accept()
                        unread_connections.append(len(unread_connections) < unread)
                        with guest:
                            if not unread_connections[-1]:
                                guest.recv(65536)
                                guest.sendall(b'{"pid": 7}\n{"exit": 3}\n')

            thread = threading.Thread(target=serve)
            thread.start()
            ending.callback(thread.join, 120)
            ending.callback(listening.shutdown, socket.SHUT_RDWR)
            return unread_connections

        yield play


def test_request_is_repeated_if_it_was_not_read(supervisor, tmp_path):
    unread_connections = supervisor(unread=2)
    with contextlib.closing(enter(tmp_path, ["true"])) as session:
        assert (session.pid, session.wait(120)) == (7, 3)
    assert unread_connections == [True, True, False]


def test_request_fails_after_the_last_try(supervisor, tmp_path):
    unread_connections = supervisor(unread=99)
    with pytest.raises(Unavailable, match="does not answer"):
        enter(tmp_path, ["true"])
    assert len(unread_connections) == MAX_ATTEMPTS
