"""Measures and removes trees of files; no symlink is ever followed."""

import logging
import os
import subprocess
from pathlib import Path

from prism.agent.system.safe_paths import remove_tree

log = logging.getLogger(__name__)
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}


def measured(folder: Path) -> int | None:
    """The bytes of a tree on the disk, hard links counted once; None if it does not exist."""
    command = ["nice", "-n", "19", "du", "-sk", str(folder)]
    process = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)
    first = process.stdout.split(None, 1)
    return int(first[0]) * 1024 if first and first[0].isdigit() else None


def try_remove(folder: Path) -> bool:
    """Remove a tree with its content; returns whether it is gone."""
    try:
        remove_tree(folder)
    except OSError as error:
        log.warning("%s cannot be removed yet: %s", folder, error)
        return False
    return True
