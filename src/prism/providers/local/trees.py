"""Whole trees of files: copied, measured, removed; no symlink is ever followed."""

import logging
import os
import subprocess
import sys
from pathlib import Path

from prism.agent.safe_paths import remove_tree

log = logging.getLogger(__name__)
LINUX = sys.platform == "linux"
WORDS = {"LC_ALL": "C", "PATH": os.defpath}
FULL = ("No space left on device", "Disk quota exceeded")


class CopyFailed(Exception):
    """A tree could not be copied; the message is for people."""

    def __init__(self, message: str, *, full: bool) -> None:
        self.full = full
        super().__init__(message)


def copying(source: Path, target: Path) -> subprocess.Popen[bytes]:
    """Begin to copy what is in a folder into a new one; blocks are shared where that is possible.

    Links stay links, hard links stay hard links, holes stay holes.
    """
    own = ["-a", "--reflink=auto", "--sparse=auto"] if LINUX else ["-Rpc"]
    argv = ["cp", *own, f"{source}/.", str(target)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        argv, env=WORDS, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE, start_new_session=True
    )


def copied(process: subprocess.Popen[bytes], target: Path) -> None:
    """Wait until a copy is complete and on the disk; raises `CopyFailed`.

    What vanished while it was being read is no failure: the source was in use.
    """
    _, said = process.communicate()
    lines = said.decode(errors="replace").strip().splitlines()
    vanished = target.is_dir() and lines and all("No such file" in line for line in lines)
    if process.returncode and not vanished:
        words = next(iter(lines), f"it ended with exit code {process.returncode}")
        raise CopyFailed(words, full=any(word in words for word in FULL))
    if LINUX:
        subprocess.run(["sync", "-f", str(target)], env=WORDS, check=False)
    else:
        os.sync()


def measured(folder: Path) -> int | None:
    """How many bytes of the disk a tree takes, links counted once; none if it is not there."""
    command = ["nice", "-n", "19", "du", "-sk", str(folder)]
    done = subprocess.run(command, env=WORDS, capture_output=True, check=False)
    first = done.stdout.split(None, 1)
    return int(first[0]) * 1024 if first and first[0].isdigit() else None


def cleared(folder: Path) -> bool:
    """Remove a tree, whatever is in it; whether it is gone."""
    try:
        remove_tree(folder)
    except OSError as error:
        log.warning("%s cannot be removed yet: %s", folder, error)
        return False
    return True
