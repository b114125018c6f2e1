"""Answers as structs."""

from importlib import import_module
from types import GenericAlias
from typing import Any, TypeVar

import msgspec

from prism.client.models import LazyStruct
from prism.client.transport.wire import HttpAnswer, Wire
from prism.errors import Problem

Answer = TypeVar("Answer")


class AnswerNotUnderstood(Problem, code="ANSWER_NOT_UNDERSTOOD"):
    """The daemon and this client have different versions."""


class TypedWire(Wire):
    """A `Wire` that decodes answers to structs."""

    def decoded(self, answer: HttpAnswer, kind: type[Answer], path: str) -> Answer:
        """The body of an answer as that kind."""
        try:
            return msgspec.json.decode(answer.content, type=_load_type(kind))
        except (msgspec.DecodeError, RecursionError) as error:
            raise _not_understood(path, error) from error

    def converted(self, value: Any, kind: type[Answer], path: str) -> Answer:
        """JSON as that kind."""
        try:
            return msgspec.convert(value, _load_type(kind))
        except (msgspec.ValidationError, RecursionError) as error:
            raise _not_understood(path, error) from error


def _load_type(kind: type[Answer]) -> type[Answer]:
    """The type, after importing each struct in it."""
    named: Any = kind
    if isinstance(named, LazyStruct):
        named = getattr(import_module(named.module), named.name)
    elif isinstance(named, GenericAlias):
        of: Any = named.__origin__
        named = of[tuple(map(_load_type, named.__args__))]
    loaded: type[Answer] = named
    return loaded


def _not_understood(subject: str, error: Exception) -> AnswerNotUnderstood:
    return AnswerNotUnderstood(
        details=f"{subject}: {error}",
        remediation="Compare `prism version` with `prism daemon status`",
    )
