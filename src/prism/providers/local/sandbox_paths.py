"""What of Prism's own installation a sandboxed machine must be able to read."""

import sys
from pathlib import Path


def reachable() -> list[str]:
    """The environment that runs us, and its Python wherever it really lies."""
    python = Path(sys.executable).resolve().parents[1]
    return [sys.prefix, str(python), sys.base_prefix]
