"""Checks of whole templates, after their fields are valid.

Each is a generator of `(path, why)`; the dictionary at the end has their names, in order. Those
in `WARNINGS` do not make a template invalid.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from prism.errors import Problem
from prism.templates.fields import FieldError
from prism.templates.model import Family, Size, Template, TemplateParameter
from prism.templates.patterns import why_unusable
from prism.templates.plan import value_errors

Check = Callable[[Template], Iterator[FieldError]]
Machines = Callable[[None, Size | None, Family], object]
"""Raises a `Problem` if a family has no machine of a size; the catalog's `machine_type`."""

SYSTEMS = {
    "apt": ("ubuntu-24.04", "ubuntu-22.04", "debian-12"),
    "dnf": ("rocky-9", "amazon-linux-2023"),
}
RESERVED_NAMES = {"validate"}
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROFILE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
BLANK = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_.-]*)\}")
OF_SERVICES = frozenset({"port", "token", "home", "name"})
OF_ALL = frozenset({"home", "name"})


def _name(template: Template) -> Iterator[FieldError]:
    name, slug = template.name, template.slug
    if not name.isprintable() or name.strip() != name or "/" in name:
        yield ("name",), "must be printable, without `/` and without blanks around it"
    if not SLUG.fullmatch(slug):
        yield ("slug",), f"must be a-z, 0-9 and single hyphens inside, not {slug!r}"
    for field, value in (("name", name), ("slug", slug)):
        if value in RESERVED_NAMES:
            yield (field,), f"{value!r} is reserved"


def _base(template: Template) -> Iterator[FieldError]:
    for manager in template.packages:
        legal = SYSTEMS.get(manager, ())
        if legal and template.base not in legal:
            yield (
                ("packages", manager),
                f"{manager} packages need a base that has {manager}: {' or '.join(legal)}, "
                f"not {template.base or 'none'}",
            )


def _packages(template: Template) -> Iterator[FieldError]:
    listed = [manager for manager, packages in template.packages.items() if packages]
    manager = template.package_manager
    if listed and manager is None:
        yield ("package_manager",), f"must say which is the main one of {', '.join(listed)}"
    elif listed and manager not in listed:
        yield ("package_manager",), f"is {manager}, but there are no {manager} packages"
    for manager, packages in template.packages.items():
        for index, package in enumerate(packages):
            if package.startswith("-") or not package.isprintable() or package.strip() != package:
                yield ("packages", manager, index), f"{package!r} is not the name of a package"


def _users(template: Template) -> Iterator[FieldError]:
    for index, user in enumerate(template.users):
        if not USER_NAME.fullmatch(user):
            yield ("users", index), f"{user!r} cannot be the name of an account"


def _services(template: Template) -> Iterator[FieldError]:
    for name, service in template.services.items():
        path = ("services", name)
        if not SLUG.fullmatch(name):
            yield path, "its name must be a-z, 0-9 and single hyphens inside"
        if service.port not in template.ports:
            yield (*path, "port"), f"{service.port} is not among the template's ports"
        try:
            if not shlex.split(service.command):
                yield (*path, "command"), "is blank"
        except ValueError as error:
            yield (*path, "command"), f"cannot be split into words: {error}".lower()
    for port, names in _names_by_port(template).items():
        if len(names) > 1:
            yield ("services", names[-1], "port"), f"{port} is also the port of {names[0]}"


def _names_by_port(template: Template) -> dict[int, list[str]]:
    ports: dict[int, list[str]] = {}
    for name, service in template.services.items():
        ports.setdefault(service.port, []).append(name)
    return ports


def _health(template: Template) -> Iterator[FieldError]:
    for name, service in template.services.items():
        path = service.health
        if path is not None and not re.fullmatch(r"/[!-~]*", path):
            yield ("services", name, "health"), f"must be a path that starts with /, not {path!r}"


def _placeholders(template: Template) -> Iterator[FieldError]:
    for name, service in template.services.items():
        path = ("services", name)
        yield from _check_text(template, service.command, (*path, "command"), OF_SERVICES)
        for key, text in service.environment.items():
            yield from _check_text(template, text, (*path, "environment", key), OF_SERVICES)
    for key, text in template.environment.items():
        yield from _check_text(template, text, ("environment", key), OF_ALL)
    for index, text in enumerate(template.post_install):
        # a shell or a program written by one has braces of its own: only ours are looked at
        yield from _check_text(template, text, ("post_install", index), OF_ALL, ours_only=True)


def _check_text(
    template: Template,
    text: str,
    path: tuple[str | int, ...],
    known: frozenset[str],
    ours_only: bool = False,
) -> Iterator[FieldError]:
    for word in BLANK.findall(text):
        ours = word in OF_SERVICES or word.startswith("parameters.")
        parameter = word.removeprefix("parameters.") if word.startswith("parameters.") else None
        if word in known or parameter in template.parameters or (ours_only and not ours):
            continue
        allowed = [*sorted(known), *(f"parameters.{name}" for name in template.parameters)]
        yield path, f"{{{word}}} is not known here; known are {', '.join(allowed)}"


def _environment(template: Template) -> Iterator[FieldError]:
    places: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("environment",), template.environment),
        *((("services", n, "environment"), s.environment) for n, s in template.services.items()),
    ]
    for path, variables in places:
        for key, value in variables.items():
            if not VARIABLE_NAME.fullmatch(key):
                yield (*path, key), "cannot be the name of a variable"
            elif key in {"HOME", "PATH"}:
                yield (*path, key), "is the workspace's own and cannot be set"
            if "\0" in value:
                yield (*path, key), "cannot hold a zero byte"


def _parameters(template: Template) -> Iterator[FieldError]:
    for name, parameter in template.parameters.items():
        path = ("parameters", name)
        if not VARIABLE_NAME.fullmatch(name):
            yield path, "its name must be letters, digits and underscores"
        errors = [*_limits(parameter)]
        yield from (((*path, field), why) for field, why in errors)
        if errors:
            continue
        for index, choice in enumerate(parameter.choices):
            yield from (
                ((*path, "choices", index), why) for why in value_errors(parameter, choice)
            )
        if parameter.default is not None:
            yield from (
                ((*path, "default"), why) for why in value_errors(parameter, parameter.default)
            )


def _limits(parameter: TemplateParameter) -> Iterator[tuple[str, str]]:
    low, high = parameter.minimum, parameter.maximum
    kind = f"{'an' if parameter.type == 'integer' else 'a'} {parameter.type}"
    number = parameter.type in {"integer", "number"}
    for field, limit in (("minimum", low), ("maximum", high)):
        if limit is not None and not number:
            yield field, f"means nothing for {kind}"
    if low is not None and high is not None and low > high:
        yield "maximum", "is less than the minimum"
    if parameter.pattern is not None:
        if parameter.type != "string":
            yield "pattern", f"means nothing for {kind}"
        if why := why_unusable(parameter.pattern):
            yield "pattern", f"is not a regular expression: {why}"


def _idle_profile(template: Template) -> Iterator[FieldError]:
    if template.idle_profile is not None and not PROFILE_NAME.fullmatch(template.idle_profile):
        why = f"must be letters, digits and ._- inside, not {template.idle_profile!r}"
        yield ("idle_profile",), why


def _secrets(template: Template) -> Iterator[FieldError]:
    for name, service in template.services.items():
        if "{token}" in service.command:
            why = "shows {token} to everybody in the process list; use its environment"
            yield ("services", name, "command"), why


def machine_check(machines: Machines) -> Check:
    """Make the check that the template's family has a machine of its size."""

    def machine(template: Template) -> Iterator[FieldError]:
        try:
            machines(None, template.size, template.family)
        except Problem as problem:
            yield ("size" if template.size else "family",), problem.message

    return machine


CHECKS: dict[str, Check] = {
    "name": _name,
    "base": _base,
    "packages": _packages,
    "users": _users,
    "services": _services,
    "health": _health,
    "placeholders": _placeholders,
    "environment": _environment,
    "parameters": _parameters,
    "idle-profile": _idle_profile,
    "secrets": _secrets,
}
WARNINGS = frozenset({"secrets", "runs-locally"})


def spelled(path: tuple[Any, ...]) -> str:
    """A path as text: `services.jupyter.port`, `ports[1]`."""
    words = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(words).removeprefix(".")
