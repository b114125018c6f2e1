"""Ids that sort by the time of their creation."""

import secrets
from datetime import datetime


def sortable_id(kind: str, at: datetime) -> str:
    """A new id such as `proj_…`, which nobody can guess."""
    return f"{kind}_{int(at.timestamp() * 1000):011x}{secrets.token_hex(5)}"
