"""The documents about idleness that machines of all providers read and write."""

from msgspec import convert, json

from prism.agent.protocol import IdleReport, IdleSettings
from prism.workspaces.idleness import Idleness, IdleRule


def encoded(rule: IdleRule | None, minute: float) -> bytes:
    """The settings that a machine reads; a `minute` has fewer seconds in tests."""
    if rule is None:
        return b"{}"
    settings: IdleSettings = {
        "profile": rule.profile,
        "seconds": rule.minutes * minute,
        "action": rule.action,
        "limits": rule.limits,
        "enabled": rule.enabled,
        "awake_until": rule.awake_until.timestamp() if rule.awake_until else None,
    }
    return json.encode(settings)


def decoded(report: IdleReport) -> Idleness:
    """A machine's report; raises `ValidationError` if a time in it is invalid."""
    return convert(report, Idleness, strict=False)
