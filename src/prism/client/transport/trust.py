"""Checks that a Unix socket belongs to the daemon, before anything is sent to it.

A user who can write to the socket's folder could listen there and read the token. The kernel
tells who owns the folder and who listens.
"""

from __future__ import annotations

import os
import socket
import stat
import sys

from prism.errors import Denied

ROOT = 0
WRITERS = stat.S_IWGRP | stat.S_IWOTH
PEER_CREDENTIALS_BYTES = 12  # bytes: pid, uid, gid


class DaemonNotTrusted(Denied, code="DAEMON_NOT_TRUSTED"):
    """The program that listens there may belong to another user."""


def check_folder(path: str, home: str) -> None:
    """Refuse a socket in a folder that others may write to; raises `OSError` without a folder."""
    folder, trusted = os.path.dirname(path), _trusted(home)
    status = os.lstat(folder)
    if stat.S_ISLNK(status.st_mode) and status.st_uid in trusted:
        status = os.stat(folder)  # the home itself may be a link
    if status.st_uid not in trusted or not stat.S_ISDIR(status.st_mode):
        raise DaemonNotTrusted(
            f"{folder} is not yours",
            details=f"it belongs to uid {status.st_uid}, who could answer in the daemon's place",
            remediation="Choose a shorter PRISM_HOME, or set XDG_RUNTIME_DIR to a folder of yours",
        )
    if status.st_mode & WRITERS:
        raise DaemonNotTrusted(
            f"Others may write to {folder}",
            details="so one of them could answer in the daemon's place",
            remediation=f"`chmod go-w {folder}`",
        )


def check_server(connection: socket.socket, path: str, home: str) -> None:
    """Refuse a listener unless it is this user, root, or for root the home's owner."""
    if not hasattr(socket, "SO_PEERCRED"):
        return  # only Linux tells the listening user; elsewhere only the folder is checked
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS_BYTES)
    uid = int.from_bytes(raw[4:8], sys.byteorder)
    if uid not in _trusted(home):
        raise DaemonNotTrusted(
            f"What listens on {path} is not your daemon",
            details=f"it runs as uid {uid}",
            remediation="Remove that file, and start the daemon: `prism daemon start`",
        )


def _trusted(home: str) -> set[int]:
    """The trusted users: this one and root; for root also the home's owner."""
    trusted = {os.geteuid(), ROOT}
    if os.geteuid() == ROOT:
        trusted.add(os.stat(home).st_uid)
    return trusted
