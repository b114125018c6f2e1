"""Processes that hold a TCP socket, like a client of the daemon."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

HOLD = """
import os, signal, socket, sys
to = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(os.getpid(), os.fstat(to.fileno()).st_ino, flush=True)
signal.pause()
"""


@contextlib.contextmanager
def socket_holder(code: str = HOLD) -> Iterator[tuple[int, int]]:
    """The pid that a program prints and the inode of its socket, until the block ends.

    The program is no descendant of this process, which is the daemon of the test.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        words = ["setsid", "--fork", sys.executable, "-c", code, port]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            pid, inode = map(int, process.stdout.readline().split())
            try:
                yield pid, inode
            finally:
                os.killpg(pid, signal.SIGKILL)
