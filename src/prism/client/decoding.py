"""Answers as structs."""

from importlib import import_module
from types import GenericAlias
from typing import Any

import msgspec

from prism.client.request import LazyStruct
from prism.client.wire import HttpAnswer, Wire
from prism.errors import Problem


class AnswerNotUnderstood(Problem, code="ANSWER_NOT_UNDERSTOOD"):
    """The daemon and this client have different versions."""


class TypedWire(Wire):
    """A wire whose answers are structs."""

    def decoded(self, answer: HttpAnswer, kind: Any, path: str) -> Any:
        """The body of an answer as that kind."""
        try:
            return msgspec.json.decode(answer.content, type=_loaded(kind))
        except msgspec.DecodeError as error:
            raise _not_understood(path, error) from error

    def converted(self, value: Any, kind: Any, path: str) -> Any:
        """JSON as that kind."""
        try:
            return msgspec.convert(value, _loaded(kind))
        except msgspec.ValidationError as error:
            raise _not_understood(path, error) from error


def _loaded(kind: Any) -> Any:
    """The type, with each struct in it imported."""
    if isinstance(kind, LazyStruct):
        return getattr(import_module(kind.module), kind.name)
    if isinstance(kind, GenericAlias):
        of: Any = kind.__origin__
        return of[tuple(map(_loaded, kind.__args__))]
    return kind


def _not_understood(what: str, error: Exception) -> AnswerNotUnderstood:
    return AnswerNotUnderstood(
        details=f"{what}: {error}",
        remediation="Compare `prism version` with `prism daemon status`",
    )
