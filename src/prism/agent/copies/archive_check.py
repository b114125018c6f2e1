"""Compares a tar archive of a snapshot, read from standard input, with the snapshot's manifest.

    restic dump --archive tar ID / | python -I -S archive_check.py MANIFEST

So what lies at a destination is read there and compared, contents included, without space for it
on this computer. The last line of the output says in JSON how it differs. An archive has no
sockets, pipes and devices, and its times are whole seconds, so these are not compared.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import IO

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from prism.agent.copies.manifest import DIFFERENCES, ManifestEntry, load, paths
from prism.agent.protocol import ArchiveAnswer

ARCHIVED = {"file", "folder", "link"}
TREE, MANIFEST = "data", "manifest.json"


def compare(archive: IO[bytes], manifest: str) -> list[str]:
    """The first differences of an archive from a manifest, as messages."""
    root = load(manifest)
    expected = {f"{TREE}/{path}": entry for path, entry in paths(root) if entry.kind in ARCHIVED}
    expected[TREE] = root
    wrong: list[str] = []
    manifest_seen = False
    with tarfile.open(fileobj=archive, mode="r|") as members:
        for member in members:
            name = member.name.rstrip("/")
            content = members.extractfile(member) if member.isreg() else None
            digest = hashlib.file_digest(content, "sha256").hexdigest() if content else None  # type: ignore[arg-type]
            if name == MANIFEST:
                manifest_seen = digest == _digest_of(manifest)
            elif name == TREE or name.startswith(f"{TREE}/"):
                entry = expected.pop(name, None)
                if entry is None or not _is_equal(member, digest, entry):
                    wrong.append(f"{_shown(name)} {'was added' if entry is None else 'differs'}")
            members.members = []  # type: ignore[attr-defined]  # it would keep them all
            if len(wrong) == DIFFERENCES:
                return wrong
    wrong += [f"{_shown(path)} is missing" for path in [*expected][:DIFFERENCES]]
    if not manifest_seen:
        wrong.append("its manifest differs or is missing")
    return wrong[:DIFFERENCES]


def _is_equal(member: tarfile.TarInfo, digest: str | None, entry: ManifestEntry) -> bool:
    facts = entry.facts
    if (member.uid, member.gid) != (facts.uid, facts.gid):
        return False
    if entry.kind == "link":
        return member.issym() and member.linkname == entry.extra
    if member.mode != facts.mode:
        return False
    if entry.kind == "folder":
        return member.isdir()
    return member.isreg() and member.size == facts.size and digest == entry.extra


def _shown(name: str) -> str:
    return name.removeprefix(f"{TREE}/")


def _digest_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(words: list[str]) -> int:
    """Compare, and print the result."""
    gc.disable()  # there are many entries and no cycles
    os.nice(10)
    try:
        answer: ArchiveAnswer = {"differences": compare(sys.stdin.buffer, words[1])}
        while sys.stdin.buffer.read(1 << 20):  # what follows the end of the archive
            pass
    except (tarfile.TarError, EOFError) as error:
        answer = {"differences": [f"it cannot be read: {error}"]}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv))
