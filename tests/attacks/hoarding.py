"""A program that takes all that the kernel counts for its user, and keeps it.

    python hoarding.py REPORT inotify|signals|queues|flight

It writes how much it has got into REPORT, and runs until it is killed.
"""

import ctypes
import os
import signal
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
MOST = 100_000
KEPT: list[tuple[socket.socket, socket.socket]] = []
QUEUES = iter(range(1_000_000))


def inotify():
    """Instances of inotify."""
    return LIBC.inotify_init1(0) >= 0


def signals():
    """Queued signals."""
    return LIBC.sigqueue(os.getpid(), signal.SIGRTMIN, None) == 0


def queues():
    """Message queues of POSIX."""
    return LIBC.mq_open(b"/%d" % next(QUEUES), os.O_RDWR | os.O_CREAT, 0o600, None) >= 0


def flight():
    """Messages with descriptors that nobody receives."""
    try:
        socket.send_fds(KEPT[-1][0], [b"."], [0] * 253)
    except BlockingIOError:
        KEPT.append(socket.socketpair())
        KEPT[-1][0].setblocking(False)
    except OSError:
        return False
    return True


def main(report, kind):
    """Take until the kernel refuses."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    if kind == "flight":
        KEPT.append(socket.socketpair())
        KEPT[-1][0].setblocking(False)
    count = 0
    while count < MOST and globals()[kind]():
        count += 1
    with open(f"{report}.new", "w") as file:
        file.write(f"{count} {ctypes.get_errno()}")
    os.rename(f"{report}.new", report)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
