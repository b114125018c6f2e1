"""One request of the client: its body, and the struct that its answer is.

The command line asks with the same methods and reads plain JSON (`Wire.call`). So nothing here
imports msgspec, or a module with structs, before an answer is to be a struct: that costs a cold
start 20 ms.
"""

from __future__ import annotations

import json

__all__ = ["UNSET", "LazyModule", "LazyStruct", "UnsetType", "ask", "given"]
TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from typing import Any, ClassVar, TypeVar

    from msgspec import UNSET, UnsetType

    from prism.client.wire import Wire

    T = TypeVar("T")
else:

    class UnsetType:
        """What a change does not mention, and so leaves as it is; msgspec's is left out too."""

    UNSET = UnsetType()


class LazyModule:
    """A module of structs that is imported when one of them is wanted."""

    names: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        self._name = name
        self.names.append(name)

    def __getattr__(self, name: str) -> LazyStruct:
        return LazyStruct(self._name, name)


class LazyStruct:
    """A struct or an enumeration by its name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *value: object, **fields: object) -> object:
        """The JSON that a struct with these fields, or the enumeration's value, would be."""
        if value:
            return value[0]
        unset = UnsetType.__name__
        return {name: it for name, it in fields.items() if type(it).__name__ != unset}


def ask(
    wire: Wire,
    method: str,
    path: str,
    answer: type[T],
    body: object = None,
    *,
    wait: float = 0,
    key: str | None = None,
) -> T:
    """Send a request; `key` makes it safe to repeat."""
    content = None if body is None else json.dumps(body, default=_plain).encode()
    headers = {"Idempotency-Key": key} if key else {}
    received = wire.send(method, path, content, headers=headers, wait=wait)
    decoded: T = wire.decoded(received, answer, f"{method} {path}")
    return decoded


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
