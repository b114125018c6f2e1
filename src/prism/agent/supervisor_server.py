"""Forks supervisors, which then start without importing anything.

    python -I -S supervisor_server.py PADDING

Standard input is a socket of the daemon. Each message is a folder and the variables of its
supervisor, with a pipe beside it, on which the exit code of the start is written. The server ends
with the daemon; supervisors outlive both. They show the command line of `supervisor.py`, for which
`PADDING` makes room.
"""

import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from prism.agent.supervisor import main as supervise
from prism.agent.system.process_title import set_title

MAX_REQUEST_BYTES = 1 << 17
SUPERVISOR_PROGRAM = Path(__file__).with_name("supervisor.py")


def serve(requests: socket.socket) -> None:
    """Fork a supervisor for each request, until the daemon closes the socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what is forked here
    gc.collect()
    gc.freeze()  # what is never written stays shared with all supervisors
    while True:
        request, fds, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 1)
        if not request:
            return
        if fds and not os.fork():
            requests.close()
            _start(request, fds[0])
        for descriptor in fds:
            os.close(descriptor)


def _start(request: bytes, answer: int) -> NoReturn:
    """In the child: start the supervisor, and answer with the exit code."""
    code = 1
    try:
        os.set_inheritable(answer, False)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        order = json.loads(request)
        os.environ.clear()
        os.environ.update(order["environment"])
        words = [sys.executable, "-I", "-S", str(SUPERVISOR_PROGRAM), order["folder"]]
        set_title("\0".join(words).encode())
        code = supervise([str(SUPERVISOR_PROGRAM), order["folder"]], not_inherited=[answer])
    finally:
        os.write(answer, bytes([code]))
        os._exit(0)


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)))
