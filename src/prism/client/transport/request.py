"""Sends a request of the client; the answer is a struct, or JSON (`Wire.call`)."""

from __future__ import annotations

import json

from prism.annotations import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeVar

    from msgspec import UNSET, UnsetType

    from prism.client.transport.wire import Wire

    Answer = TypeVar("Answer")

else:

    class UnsetType:
        """A field that a change leaves as it is, like msgspec's `UNSET`."""

    UNSET = UnsetType()

__all__ = ["UNSET", "Noun", "UnsetType", "trim"]


class Noun:
    """The base class of the client's methods for one noun."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def _ask(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        body: object = None,
        *,
        wait: float = 0,
        key: str | None = None,
        patient: bool = False,
    ) -> Answer:
        """Send a request; `key` makes it safe to repeat, `patient` makes the timeout longer."""
        wire = self._wire.patient() if patient else self._wire
        content = None if body is None else json.dumps(body, default=_to_json).encode()
        headers = {"Idempotency-Key": key} if key else {}
        received = wire.send(method, path, content, headers=headers, wait=wait)
        return wire.decoded(received, answer, f"{method} {path}")


def trim(body: Answer) -> Answer:
    """A request without the fields that are None, for which the daemon has defaults."""
    fields: Any = body
    content: Any = {name: value for name, value in fields.items() if value is not None}
    typed: Answer = content
    return typed


def _to_json(value: object) -> object:
    """A time or a struct as JSON."""
    import msgspec  # noqa: PLC0415  cold start: the command line sends neither

    return msgspec.to_builtins(value)
