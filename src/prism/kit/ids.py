"""Ids that sort by the time at which they were made."""

import secrets
from datetime import datetime


def sortable_id(kind: str, at: datetime) -> str:
    """A new id such as `proj_…`; nobody can guess it."""
    return f"{kind}_{int(at.timestamp() * 1000):011x}{secrets.token_hex(5)}"
