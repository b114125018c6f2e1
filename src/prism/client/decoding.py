"""Typed answers on the raw wire."""

from typing import TypeVar

import msgspec

from prism.client.wire import Wire
from prism.errors import Problem

T = TypeVar("T")


class AnswerNotUnderstood(Problem, code="ANSWER_NOT_UNDERSTOOD"):
    """The daemon and this client have different versions."""


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
    """Send a request and decode its answer; `key` makes it safe to repeat."""
    content = None if body is None else msgspec.json.encode(body)
    headers = {"Idempotency-Key": key} if key else {}
    received = wire.send(method, path, content, headers=headers, wait=wait).content
    try:
        return msgspec.json.decode(received, type=answer)
    except msgspec.DecodeError as error:
        raise _not_understood(f"{method} {path}", error) from error


def understood(answer: object, kind: type[T], path: str) -> T:
    """An answer that was parsed already, as the type that it should be of."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise _not_understood(path, error) from error


def _not_understood(what: str, error: Exception) -> AnswerNotUnderstood:
    return AnswerNotUnderstood(
        details=f"{what}: {error}",
        remediation="Compare `prism version` with `prism daemon status`",
    )
