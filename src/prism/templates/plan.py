"""Whether a template can run on this computer, and whether a launch's parameters fit."""

import math
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from prism.errors import ValidationFailed
from prism.templates.model import Template, TemplateInvalid, TemplateParameter
from prism.templates.patterns import mismatch

QUICKSTART = "Data Science (pip)"
TYPES_BY_KIND: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def runs_locally(template: Template, programs_found: Collection[str]) -> tuple[str, ...]:
    """Why it cannot run on this machine, given the programs that are on PATH; empty if it can."""
    reasons = []
    foreign = [manager for manager, packages in template.packages.items() if packages]
    if foreign and "pip" not in template.packages:
        managers = " and ".join(foreign)
        reasons.append(
            f"its packages come from {managers}, and it lists no pip equivalents for them"
        )
    for program in required(template):
        if program not in programs_found:
            needed = (
                name for name, service in template.services.items() if program in service.requires
            )
            names = " and ".join(needed)
            reasons.append(f"{names} needs the program {program!r}, which is not on PATH")
    return tuple(reasons)


def required(template: Template) -> tuple[str, ...]:
    """The programs that its services need and its packages do not bring, each once."""
    named = (program for service in template.services.values() for program in service.requires)
    return tuple(dict.fromkeys(named))


def local_refusal(template: Template, reasons: tuple[str, ...]) -> TemplateInvalid:
    """The refusal to launch it here: why, and what would work."""
    return TemplateInvalid(
        f"{template.name!r} does not run on this machine",
        details="; ".join(reasons),
        remediation=f"Launch one that does, such as {QUICKSTART!r} (`prism template list` shows "
        "which), or switch to an AWS profile: `prism profile list`",
        data={"reasons": list(reasons)},
    )


def parameters_for(template: Template, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters, with defaults; raises for unknown, wrong or missing ones."""
    errors = [
        (f"parameters.{name}", _unknown_parameter(name, template))
        for name in arguments
        if name not in template.parameters
    ]
    values: dict[str, Any] = {}
    for name, parameter in template.parameters.items():
        if name in arguments:
            values[name] = arguments[name]
            errors += [
                (f"parameters.{name}", why) for why in value_errors(parameter, arguments[name])
            ]
        elif parameter.default is not None:
            values[name] = parameter.default
        else:
            errors.append((f"parameters.{name}", f"is required: {_type_phrase(parameter)}"))
    if errors:
        raise ValidationFailed.of(
            *errors, remediation=f"See `prism template info {template.slug or template.name}`"
        )
    return values


def value_errors(parameter: TemplateParameter, value: object) -> list[str]:
    """Why a value does not fit a parameter."""
    if not _is_of_type(parameter.type, value):
        return [f"must be {_type_phrase(parameter)}, not {_kind_of(value)}"]
    errors = []
    if isinstance(value, str) and not value.isprintable():
        errors.append("must be one line of printable text")
    if parameter.choices and not any(
        value == choice and isinstance(value, bool) == isinstance(choice, bool)
        for choice in parameter.choices
    ):
        errors.append(f"must be one of {', '.join(map(str, parameter.choices))}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if parameter.minimum is not None and value < parameter.minimum:
            errors.append(f"must be at least {parameter.minimum:g}")
        if parameter.maximum is not None and value > parameter.maximum:
            errors.append(f"must be at most {parameter.maximum:g}")
    if parameter.pattern is not None and (why := mismatch(parameter.pattern, str(value))):
        errors.append(why)
    return errors


def _is_of_type(kind: str, value: object) -> bool:
    if isinstance(value, bool):  # in Python a boolean is an integer
        return kind == "boolean"
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, TYPES_BY_KIND[kind])


def _type_phrase(parameter: TemplateParameter) -> str:
    return f"{'an' if parameter.type == 'integer' else 'a'} {parameter.type}"


def _kind_of(value: object) -> str:
    kinds = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return kinds.get(type(value), "a list" if isinstance(value, list) else "null or an object")


def _unknown_parameter(name: str, template: Template) -> str:
    if not template.parameters:
        return f"{template.name!r} has no parameters"
    if close := get_close_matches(name, template.parameters, n=1):
        return f"there is no such parameter; did you mean {close[0]!r}?"
    return f"there is no such parameter; it has {', '.join(template.parameters)}"
