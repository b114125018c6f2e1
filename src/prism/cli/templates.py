"""`prism template …`."""

from __future__ import annotations

import sys

from prism.cli.clean_output import for_programs
from prism.cli.connection import daemon
from prism.cli.parser import nothing
from prism.cli.terminal import say, show_fields, show_json, show_table
from prism.client.templates import Templates
from prism.errors import Invalid

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any


def _list(asked: Namespace) -> None:
    found = daemon().call(Templates.list)
    if asked.json:
        return show_json(found)
    if not found:
        return say("No templates. What is wrong with them: `prism template validate`")
    rows = [
        (
            template["name"],
            template["validation_status"],
            _yes(template["runs_locally"]),
            template["description"],
        )
        for template in found
    ]
    return show_table(("NAME", "STATUS", "HERE", "DESCRIPTION"), rows, "DESCRIPTION")


def _info(asked: Namespace) -> None:
    if asked.yaml:
        return _yaml(asked)
    template = daemon().call(Templates.info, asked.name)
    if asked.json:
        return show_json(template)
    resolved = template["resolved"]
    return show_fields(
        {
            "name": template["name"],
            "description": template.get("description"),
            "status": template["validation_status"],
            "inherits": ", ".join(template["inherits"]),
            "runs locally": "; ".join(template["local_reasons"]) or _yes(template["runs_locally"]),
            "size": resolved["size"],
            "packages": ", ".join(template["resolved_packages"]),
            "users": ", ".join(template["resolved_users"]),
            "ports": ", ".join(map(str, template["resolved_ports"])),
            "services": ", ".join(resolved["services"]),
            "parameters": ", ".join(map(_parameter, resolved["parameters"].items())),
            "if it fails": template["troubleshooting_guide"],
        }
    )


def _yaml(asked: Namespace) -> None:
    template = daemon().call(Templates.yaml, asked.name)
    if asked.json:
        return show_json(template)
    return print(template["yaml"].rstrip("\n"), file=for_programs(sys.stdout))


def _validate(asked: Namespace) -> None:
    if asked.packages and not asked.json:
        say("Asking the package index, for one template after the other")
    found = daemon().call(Templates.validate, packages=asked.packages)
    if asked.json:
        show_json(found)
    else:
        rows = [
            (result["template"], result["status"], result["checks_passed"], len(result["issues"]))
            for result in found["validation_results"]
        ]
        show_table(("TEMPLATE", "STATUS", "PASSED", "ISSUES"), rows, "TEMPLATE")
        for result in found["validation_results"]:
            tell(result["issues"])
    wrong = found["total_templates"] - found["validated"]
    if wrong:
        raise Invalid(f"{wrong} of {found['total_templates']} templates are not valid")


def tell(issues: list[dict[str, str]]) -> None:
    """Say what is wrong with a template, and where."""
    for issue in issues:
        say(f"{issue['level']}: {issue['where']}: {issue['message']}")


def _parameter(parameter: tuple[str, dict[str, Any]]) -> str:
    name, its = parameter
    default = "" if its["default"] is None else f", default {its['default']}"
    return f"{name} ({its['type']}{default})"


def _yes(so: bool) -> str:
    return "yes" if so else "no"


def _one(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="TEMPLATE", help="the template's name or slug")


def _shown(made: ArgumentParser) -> None:
    _one(made)
    said = "the file as its author wrote it, also if the template cannot be used"
    made.add_argument("--yaml", action="store_true", help=said)


def _how(made: ArgumentParser) -> None:
    said = "also ask the package index whether the pip packages exist"
    made.add_argument("--packages", action="store_true", help=said)


VERBS = {"list": (nothing, _list), "info": (_shown, _info), "validate": (_how, _validate)}
