"""Corrects the scripts of an environment that was moved: `moved_scripts.py VENV OLD NEW`.

A script begins with the absolute path of its Python. Runs in the workspace, whose files these are.
"""

import os
import stat
import sys
from pathlib import Path

LARGEST_BYTES = 1_000_000
ACTIVATION = "activate"


def corrected(text: bytes, name: str, old: bytes, new: bytes) -> bytes:
    """A script with the new path: in its first line, and in all of one that activates."""
    if name.startswith(ACTIVATION):
        return text.replace(old, new)
    first, line_break, rest = text.partition(b"\n")
    return (first.replace(old, new) if first.startswith(b"#!") else first) + line_break + rest


def main(venv: Path, old: str, new: str) -> None:
    """Correct each script in `bin`; what cannot be read stays as it is."""
    for path in sorted((venv / "bin").iterdir()):
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_BYTES:
            continue
        text = path.read_bytes()
        after = corrected(text, path.name, os.fsencode(old), os.fsencode(new))
        if after != text:
            draft = path.with_name(f".{path.name}.new")
            draft.write_bytes(after)
            draft.chmod(stat.S_IMODE(status.st_mode))
            draft.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
