"""`prism template new`: writes a template that can be launched without changes."""

from __future__ import annotations

import json
import os
import re

import prism
from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import say, show_json, suggest
from prism.cli.workspace.templates import show_issues
from prism.client.templates import Templates
from prism.client.transport.wire import Wire, quoted
from prism.errors import AlreadyExists, Invalid, Unavailable

PARENT = "Plain Shell"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# A `#` with one blank begins a comment; the other lines with `#` are optional fields.
BODY = """\
# yaml-language-server: $schema={schema}
#
# To use one of the fields below, remove the # before it and before the lines indented under it.
# Then check the template: prism template validate

name: {name}
{slug}description: What it is for, in one line
inherits: {parents}

# How big a machine: XS, S, M, L or XL.
#size: M

# What to install, by manager. On your own machine only what is below pip is.
#package_manager: pip
#packages:
#  pip: [numpy, pandas]

# What a launch may set: --parameter greeting=Hi
#parameters:
#  greeting:
#    type: string
#    default: Hello

# Variables of every service and shell.
#environment:
#  GREETING: "{{parameters.greeting}}"

# Run once in the workspace's home, when the packages are there.
#post_install:
#  - mkdir -p data

# What people connect to. A cloud machine can only be reached on a port that is in `ports`.
#ports: [8000]
#services:
#  files:
#    description: The files of the workspace
#    command: python -m http.server {{port}} --bind 127.0.0.1
#    port: 8000
#    health: /

# What to do when nobody uses it: prism idle profile list
#idle_profile: standard
"""


class TemplateExists(AlreadyExists, code="TEMPLATE_EXISTS"):
    """A template of that name already exists."""


def _new(args: Namespace) -> None:
    name, slug = args.name, args.slug or _slug(args.name)
    wire = daemon()
    path = _path(args.output, slug, wire)
    _check(name, slug, path)
    _refuse_taken_name(name, slug, wire)
    requested = args.inherits or [PARENT]
    parents = [wire.call(Templates.info, parent)["name"] for parent in requested]
    _write(path, content(name, args.slug, parents))
    issues = _validated(path, slug, wire)
    _show(args, {"name": name, "slug": slug, "path": path, "issues": issues}, wire)


def content(name: str, slug: str | None, parents: list[str]) -> str:
    """The text of the file; typed values are written as JSON, which is valid YAML."""
    schema = os.path.join(os.path.dirname(prism.__file__), "templates", "template.schema.json")
    where = "file://" + "/".join(map(quoted, os.path.abspath(schema).split("/")))
    return BODY.format(
        schema=where,
        name=_yaml(name),
        slug=f"slug: {_yaml(slug)}\n" if slug else "",
        parents=f"[{', '.join(map(_yaml, parents))}]",
    )


def _yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")  # as the daemon derives it


def _path(output: str | None, slug: str, wire: Wire) -> str:
    if output is not None:
        return os.path.abspath(output)
    if wire.address.url:
        raise Invalid(
            f"The templates of the daemon at {wire.address} are not on this computer",
            details="only that daemon knows its home",
            remediation="Name the file: `--output FILE`",
        )
    return os.path.join(_templates_folder(wire), f"{slug}.yml")


def _templates_folder(wire: Wire) -> str:
    return os.path.join(wire.address.home, "templates")


def _check(name: str, slug: str, path: str) -> None:
    """Refuse a name that the daemon would refuse, before the file is written."""
    if not name.isprintable() or name.strip() != name or "/" in name or not 0 < len(name) <= 200:
        raise Invalid(
            "A template cannot have that name",
            details="it must be printable, without `/`, without blanks around it, not too long",
        )
    if not SLUG.fullmatch(slug):
        raise Invalid(
            f"No slug can be made of {name!r}" if not slug else f"{slug!r} is not a valid slug",
            details="a slug consists of a-z, 0-9 and single hyphens inside",
            remediation="Give it one: `--slug my-template`",
        )
    if os.path.lexists(path):
        raise _file_exists(path)


def _refuse_taken_name(name: str, slug: str, wire: Wire) -> None:
    for template in wire.call(Templates.list):
        if {name, slug} & {template["name"], template["slug"]}:
            raise TemplateExists(
                f"The template {template['name']!r} already exists, "
                f"for short {template['slug']!r}",
                remediation="Choose another name, and inherit from it: "
                f"`prism template new NAME --inherits {template['slug']}`",
            )


def _file_exists(path: str) -> TemplateExists:
    return TemplateExists(
        f"{path} already exists",
        details="nothing was written",
        remediation="Choose another name, or move that file away",
    )


def _write(path: str, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _file_exists(path) from None
    except OSError as error:
        raise Unavailable(f"Cannot write {path}", details=error.strerror or "") from None


def _validated(path: str, slug: str, wire: Wire) -> list[dict[str, Any]] | None:
    """The issues that the daemon found; `None` if the file is not in its folder."""
    if wire.address.url:
        return None
    real = os.path.realpath(path)
    for result in wire.call(Templates.validate)["validation_results"]:
        if os.path.realpath(result["file"]) == real:
            if result["status"] != "valid":
                os.unlink(path)  # it contains only what was just typed
                show_issues(result["issues"])
                raise Invalid(f"The template {slug!r} would not be valid; nothing was written")
            return list(result["issues"])
    return None


def _show(args: Namespace, template: dict[str, Any], wire: Wire) -> None:
    if args.json:
        return show_json(template)
    print(template["path"])
    if template["issues"] is None:
        where = "`templates` in the daemon's home" if wire.address.url else _templates_folder(wire)
        return say(f"It is not checked yet. Put it into {where}, as NAME.yml")
    show_issues(template["issues"])
    return suggest(f"Launch it: `prism launch {template['slug']} WORKSPACE`")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name to give it")
    help_text = f"inherit from this template; repeat it for several (default: {PARENT})"
    parser.add_argument("--inherits", metavar="TEMPLATE", action="append", help=help_text)
    parser.add_argument("--slug", metavar="SLUG", help="a short name (default: made from NAME)")
    help_text = "the file to write (default: in the daemon's templates folder)"
    parser.add_argument("--output", "-o", metavar="FILE", help=help_text)


VERBS = {"new": (_arguments, _new)}
