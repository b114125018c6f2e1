"""When a class stops: a typed time, and whose workspaces would run longer."""

from __future__ import annotations

import re
from datetime import datetime

from prism.annotations import Any
from prism.cli.output.time_format import local_time, to_utc

__all__ = ["local_time", "runs_longer", "time_of"]
CLOCK_TIME = re.compile(r"[0-9]{2}:[0-9]{2}", re.ASCII)


def time_of(text: str) -> str:
    """A typed time in UTC: `17:00` is one of today, and a date its end, on this computer."""
    if CLOCK_TIME.fullmatch(text):
        text = f"{datetime.now().astimezone().date()}T{text}"
    return to_utc(text, None, whole_day=True)


def runs_longer(workspace: dict[str, Any], at: str) -> bool:
    """Whether a workspace may run after that time; an earlier expiry stays as it is."""
    expires = workspace["expires_at"]
    return expires is None or datetime.fromisoformat(expires) > datetime.fromisoformat(at)
