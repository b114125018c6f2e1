"""Removes what Prism keeps in the home of a login; sent as text, since the agent goes too.

Standard input goes on with a line, the nonce. The answer, as those of `host.py`, names what stays:
workspaces that are not gone, and files that are not Prism's.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from typing import Any

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


def writable(remove: Any, path: str, error: object) -> None:
    """Remove what lies in a folder without the permission to write."""
    os.chmod(os.path.dirname(path), 0o700)
    remove(path)


def remaining() -> "list[str]":
    """Remove everything of Prism, unless a workspace lives; returns what stays."""
    if os.path.islink(root) or not os.path.isdir(root):
        return []
    with open(os.path.join(root, "writing.lock"), "a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        names = os.listdir(workspaces) if os.path.isdir(workspaces) else []
        living = sorted(name for name in names if not name.startswith(".") and lives(name))
        if living:
            return living
        for name in OWN_FOLDERS:
            if os.path.lexists(os.path.join(root, name)):
                shutil.rmtree(os.path.join(root, name), onerror=writable)
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
