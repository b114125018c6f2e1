"""The paths of Prism's installation that a sandboxed machine must be able to read."""

import sys
from pathlib import Path


def reachable() -> list[str]:
    """Our environment, and the real path of its Python."""
    python = Path(sys.executable).resolve().parents[1]
    return [sys.prefix, str(python), sys.base_prefix]
