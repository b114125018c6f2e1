"""Asking a supervisor that gives up whoever is too slow, as on a computer that is very busy."""

import contextlib
import os
import socket
import threading

import pytest

from prism.errors import Unavailable
from prism.providers.local.exec_client import TRIES, enter


@pytest.fixture
def supervisor(tmp_path):
    """Plays one that closes so many connections unread and then answers; who knocked."""
    knocked: list[bool] = []
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
                        knocked.append(len(knocked) < unread)
                        with guest:
                            if not knocked[-1]:
                                guest.recv(65536)
                                guest.sendall(b'{"pid": 7}\n{"exit": 3}\n')

            thread = threading.Thread(target=serve)
            thread.start()
            ending.callback(thread.join, 120)
            ending.callback(listening.shutdown, socket.SHUT_RDWR)
            return knocked

        yield play


def test_a_request_that_was_not_read_is_repeated(supervisor, tmp_path):
    knocked = supervisor(unread=2)
    with contextlib.closing(enter(tmp_path, ["true"])) as session:
        assert (session.pid, session.wait(120)) == (7, 3)
    assert knocked == [True, True, False]


def test_it_is_not_repeated_for_ever(supervisor, tmp_path):
    knocked = supervisor(unread=99)
    with pytest.raises(Unavailable, match="does not answer"):
        enter(tmp_path, ["true"])
    assert len(knocked) == TRIES
