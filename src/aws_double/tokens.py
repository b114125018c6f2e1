"""Client tokens: a repeated request acts once; a different one with the same token is refused."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_double.refusals import Refusal

IGNORED = {"ClientToken", "DryRun"}


@dataclass(slots=True)
class _UsedToken:
    means: str
    made: tuple[str, ...]
    until: datetime | None


class Tokens:
    """The tokens of one account and region, by action."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], _UsedToken] = {}

    def made(self, action: str, args: dict[str, Any], now: datetime) -> tuple[str, ...]:
        """What the request has made before; nothing if it is new."""
        if not (token := args.get("ClientToken")):
            return ()
        if len(token) > 64 or not token.isascii():
            raise Refusal("InvalidParameterValue", "Client token must be at most 64 ASCII chars")
        used = self._used.get((action, token))
        if used is None or (used.until is not None and used.until <= now):
            return ()
        if used.means != _fingerprint(args):
            raise Refusal(
                "IdempotentParameterMismatch",
                "Request with the same client token has been made before, with other parameters.",
            )
        return used.made

    def keep(
        self, action: str, args: dict[str, Any], ids: tuple[str, ...], until: datetime | None
    ) -> None:
        """Remember what a request has made, for ever if `until` is not known yet."""
        if token := args.get("ClientToken"):
            self._used[action, token] = _UsedToken(_fingerprint(args), ids, until)

    def expire(self, action: str, token: str | None, until: datetime) -> None:
        """The token of what has just ended is kept so long."""
        if token and (used := self._used.get((action, token))) is not None:
            used.until = until


def _fingerprint(args: dict[str, Any]) -> str:
    parameters = {key: value for key, value in args.items() if key not in IGNORED}
    return json.dumps(parameters, sort_keys=True, default=str)
