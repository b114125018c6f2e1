"""One request of the client, and the struct that its answer is; or JSON (`Wire.call`)."""

from __future__ import annotations

import json

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from msgspec import UNSET, UnsetType

    from prism.client.wire import Wire

    T = TypeVar("T")
else:

    class UnsetType:
        """What a change does not mention, and so leaves as it is; msgspec's is left out too."""

    UNSET = UnsetType()

__all__ = ["UNSET", "Noun", "UnsetType", "given"]


class Noun:
    """What you may ask about one kind of thing."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def _ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        body: object = None,
        *,
        wait: float = 0,
        key: str | None = None,
        patient: bool = False,
    ) -> T:
        """Send a request; `key` makes it safe to repeat, `patient` waits long for the answer."""
        wire = self._wire.patient() if patient else self._wire
        content = None if body is None else json.dumps(body, default=_plain).encode()
        headers = {"Idempotency-Key": key} if key else {}
        received = wire.send(method, path, content, headers=headers, wait=wait)
        return wire.decoded(received, answer, f"{method} {path}")


def given(body: T) -> T:
    """A request without what is none; what nobody said is left to the daemon."""
    fields: Any = body
    kept: Any = {name: value for name, value in fields.items() if value is not None}
    said: T = kept
    return said


def _plain(value: object) -> object:
    """A time, or a struct that somebody hands in, as JSON has it."""
    import msgspec  # noqa: PLC0415  cold start: the command line sends neither

    return msgspec.to_builtins(value)
