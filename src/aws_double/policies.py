"""IAM policies: whether statements allow an action on a resource.

IAM User Guide, "Policy evaluation logic": what no statement allows is denied, and one `Deny`
outweighs every `Allow`. Only the elements that Prism's policies use are implemented; any other
is an error, so that no unknown condition counts as fulfilled.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Context = Mapping[str, str]
VARIABLE = re.compile(r"\$\{([\w:./-]+)\}")
NOBODY = "implicitDeny"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy."""

    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]  # operator, key, values

    def covers(self, action: str, resource: str, context: Context) -> bool:
        """Whether it applies to this action on this resource."""
        return (
            any(_like(action.lower(), pattern.lower()) for pattern in self.actions)
            and self._is_resolved(context)
            and any(_like(resource, _filled(pattern, context)) for pattern in self.resources)
            and all(_holds(*condition, context) for condition in self.conditions)
        )

    def _is_resolved(self, context: Context) -> bool:
        """Whether the request has a value for each variable in the resources.

        IAM User Guide, "IAM policy elements: Variables and tags": if AWS cannot resolve a
        variable, that "might cause the entire statement to be invalid". Here it always does.
        """
        named = {match[1] for pattern in self.resources for match in VARIABLE.finditer(pattern)}
        return named <= context.keys()


def statements(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    """The statements of a policy document; raises `ValueError` for unknown elements."""
    listed = document["Statement"]
    return tuple(
        _statement(statement) for statement in (listed if isinstance(listed, list) else [listed])
    )


def decide(
    policy: Sequence[Statement], action: str, resource: str, context: Context
) -> tuple[bool, str]:
    """Whether it is allowed, and by which statement; `implicitDeny` if none applies."""
    covering = [statement for statement in policy if statement.covers(action, resource, context)]
    if refusing := next((statement for statement in covering if not statement.allows), None):
        return False, refusing.sid
    return (True, covering[0].sid) if covering else (False, NOBODY)


def _statement(fields: Mapping[str, Any]) -> Statement:
    unknown = fields.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise ValueError(f"the double does not know {', '.join(sorted(unknown))} in a statement")
    conditions = [
        (operator, key, _as_tuple(values))
        for operator, keys in fields.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    if strange := {condition[0] for condition in conditions} - OPERATORS.keys():
        raise ValueError(f"the double does not know the operator {', '.join(sorted(strange))}")
    return Statement(
        fields.get("Sid", ""),
        fields["Effect"] == "Allow",
        _as_tuple(fields["Action"]),
        _as_tuple(fields["Resource"]),
        tuple(conditions),
    )


def _as_tuple(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _filled(pattern: str, context: Context) -> str:
    """The pattern with its variables replaced; a variable without a value matches nothing."""
    return VARIABLE.sub(lambda it: context.get(it[1], "\0"), pattern)


def _like(value: str, pattern: str) -> bool:
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _like_arn(value: str, pattern: str) -> bool:
    """Each of the six parts of an ARN by itself."""
    parts, pattern_parts = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(pattern_parts) == 6 and all(map(_like, parts, pattern_parts))


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "ArnEquals": _like_arn,
    "ArnLike": _like_arn,
    "Bool": lambda value, expected: value.lower() == expected.lower(),
    "StringEquals": lambda value, expected: value == expected,
    "StringLike": _like,
    "StringNotEquals": lambda value, expected: value != expected,
}
NEGATED = {"StringNotEquals"}  # all values must differ; fulfilled if the request lacks the key


def _holds(operator: str, key: str, values: Sequence[str], context: Context) -> bool:
    """Whether a condition is fulfilled; unless negated, never if the request lacks its key."""
    known = {name.lower(): value for name, value in context.items()}
    if (value := known.get(key.lower())) is None:
        return operator in NEGATED
    results = (OPERATORS[operator](value, _filled(pattern, context)) for pattern in values)
    return all(results) if operator in NEGATED else any(results)
