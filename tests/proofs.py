"""What the proofs measured, written into `docs/proofs.md` by the run that measured it.

Only with `PRISM_WRITE_PROOFS=1`; each proof rewrites its own section and no other.
"""

import fcntl
import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "proofs.md"
HEAD = """# Proofs

What the test suite has shown, in numbers. Each section is written by the run that measured it;
[tests/proofs.py](../tests/proofs.py) says how to have them written anew.
"""
SECTION = re.compile(r"^## (?P<title>.+)\n\n(?P<text>(?:(?!^## ).*\n?)*)", re.MULTILINE)


def record(title: str, text: str) -> None:
    """Say in a section of its own what was shown."""
    if not os.environ.get("PRISM_WRITE_PROOFS"):
        return
    with open(__file__) as lock:  # several runs may write at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write(title, text)


def _write(title: str, text: str) -> None:
    page = PAGE.read_text() if PAGE.exists() else HEAD
    sections = {it["title"]: it["text"].strip() for it in SECTION.finditer(page)}
    sections[title] = text.strip()
    parts = [HEAD.strip(), *(f"## {it}\n\n{sections[it]}" for it in sorted(sections))]
    PAGE.write_text("\n\n".join(parts) + "\n")
