"""Removes what Prism keeps in the home of a login; sent as text, since the agent goes too.

Standard input goes on with a line, the nonce. The answer, as those of `host.py`, names what stays:
workspaces that are not gone, and files that are not Prism's.
"""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import sys

OWN_FOLDERS = ("agent", "cache", "uv", "etc-copy", "workspaces")
PLAIN_FILES = ("sandboxed", "networked", "filtered", "isolation-note", "writing.lock")
nonce = sys.stdin.buffer.readline().decode("ascii").strip()
root = os.path.join(os.path.expanduser("~"), ".prism-server")
workspaces = os.path.join(root, "workspaces")


def lives(name: str) -> bool:
    """Whether a workspace is not gone, or its supervisor still runs."""
    try:
        with open(os.path.join(workspaces, name, "seen.json"), encoding="utf-8") as file:
            if json.load(file).get("phase") != "gone":
                return True
        with open(os.path.join(workspaces, name, "lock"), "r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return not os.path.exists(os.path.join(workspaces, name, "seen.json"))
    except (OSError, ValueError, AttributeError):
        return True
    return False


def open_up(folder: str) -> None:
    """Allow us everything in a folder and in those below it, not through links."""
    os.chmod(folder, 0o700)
    for _, names, _, descriptor in os.fwalk(folder):
        for name in names:
            kind = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind):
                os.chmod(name, 0o700, dir_fd=descriptor)


def remaining() -> "list[str]":
    """Remove everything of Prism, unless a workspace lives; returns what stays."""
    if not os.path.isdir(root):
        return []
    if os.path.islink(root):  # the folder elsewhere may have things of others by these names
        return sorted({*OWN_FOLDERS, *PLAIN_FILES}.intersection(os.listdir(root)))
    with open(os.path.join(root, "writing.lock"), "a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        names = os.listdir(workspaces) if os.path.isdir(workspaces) else []
        living = sorted(name for name in names if not name.startswith(".") and lives(name))
        if living:
            return living
        for name in OWN_FOLDERS:
            path = os.path.join(root, name)
            if os.path.isdir(path) and not os.path.islink(path):
                open_up(path)
                shutil.rmtree(path)
        for name in PLAIN_FILES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(root, name))
    left = os.listdir(root)
    if not left:
        os.rmdir(root)
    return sorted(left)


try:
    body = json.dumps({"answer": remaining()[:100]}).encode()
except OSError as error:
    body = json.dumps({"failed": str(error)}).encode()
sys.stdout.buffer.write(f"\n{nonce} {len(body)}\n".encode() + body)
